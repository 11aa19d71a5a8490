// Instances start, become ready, are found again and end with all they started. Method: real processes of a real commit.

import Foundation
import Ports
import Releases
import Testing

@testable import Platforms

@Suite struct InstanceTests {
    @Test func anInstanceRunsInItsCheckoutWithWhatThePolicyGivesIt() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            setenv("PERCH_TEST_SECRET", "of the daemon", 1)
            var spec = scratch.spec("shop-1-canary-1", commit, environment: ["COLOUR": "green"])
            spec.databaseURL = "postgres://canary:hunter2@127.0.0.1/shop"
            spec.environment = ["PERCH_RELEASE": "shop-1"]
            let instance = try await scratch.platform.start(spec)
            try await scratch.platform.awaitReady(instance, process: spec.process)

            let lines = Set(await scratch.platform.output(name: instance.name, lines: 100))
            for expected in [
                "PORT=\(instance.port)", "COLOUR=green", "PERCH_RELEASE=shop-1", "PERCH_SERVICE=shop",
                "PERCH_ARM=canary",
                "PERCH_COMMIT=\(commit)", "PERCH_INSTANCE=shop-1-canary-1",
                "DATABASE_URL=postgres://canary:***@127.0.0.1/shop",
                "cwd=\(scratch.data)/checkouts/shop/\(commit)",
            ] {
                #expect(lines.contains(expected), "\(expected) is not among \(lines)")
            }
            #expect(!lines.contains { $0.hasPrefix("PERCH_TEST_SECRET") })
            let record = try String(contentsOfFile: scratch.home(instance.name).recordPath, encoding: .utf8)
            #expect(!record.contains("hunter2") && !record.contains("green"))
            #expect(await scratch.platform.health(of: instance, process: spec.process) == .ready)
            #expect(await scratch.platform.running(service: scratch.shop) == [instance])
            #expect(!(20_000...65_535).filter { $0 == instance.port }.isEmpty)
        }
    }

    @Test func startingTwiceIsStartingOnce() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let instances = try await withThrowingTaskGroup(of: Instance.self) { group in
                for _ in 0..<6 {
                    group.addTask { try await scratch.platform.start(scratch.spec("shop-1-canary-1", commit)) }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(instances.count == 1)
            #expect(await scratch.platform.running(service: scratch.shop).count == 1)
        }
    }

    @Test func instancesStartedTogetherHaveDifferentPorts() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let ports = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...4 {
                    group.addTask {
                        try await scratch.platform.start(scratch.spec("shop-1-canary-\(number)", commit)).port
                    }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(ports.count == 4)
        }
    }

    @Test func anotherCommitUnderTheSameNameIsRefused() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let repository = try await Repository(in: scratch, name: "again")
            let other = try await repository.commit("other", ["service.py": servicePy])
            try await scratch.platform.prepare(commit: other, policy: scratch.policy(repository))
            _ = try await scratch.platform.start(scratch.spec("shop-1-stable-1", commit))
            let failure = try await failure { () throws(Failure) in
                try await scratch.platform.start(scratch.spec("shop-1-stable-1", other))
            }
            #expect(failure.message == "shop-1-stable-1 runs commit \(commit.short), not \(other.short)")
        }
    }

    @Test func anInstanceThatEndsBeforeItIsReadySaysHowWithItsLastLines() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let spec = scratch.spec(
                "shop-1-canary-1", commit,
                command: ["/bin/sh", "-c", "echo starting; echo 'no module named x' >&2; exit 3"])
            let instance = try await scratch.platform.start(spec)
            let failure = try await failure { () throws(Failure) in
                try await scratch.platform.awaitReady(instance, process: spec.process)
            }
            #expect(
                failure.message == """
                    shop-1-canary-1 exited with status 3 before it was ready; its last lines:
                        starting
                        no module named x
                    """)
            #expect(
                await scratch.platform.health(of: instance, process: spec.process)
                    == .exited(status: "exited with status 3", lines: ["starting", "no module named x"]))
            #expect(await scratch.platform.running(service: scratch.shop).isEmpty)
        }
    }

    @Test func anInstanceThatNeverAnswers2xxIsNotReadyInTime() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            var spec = scratch.spec("shop-1-canary-1", commit, environment: ["ANSWER": "302"])
            spec.process.readyWithin = .seconds(2)
            let instance = try await scratch.platform.start(spec)
            let failure = try await failure { () throws(Failure) in
                try await scratch.platform.awaitReady(instance, process: spec.process)
            }
            #expect(failure.message.hasPrefix("shop-1-canary-1 was not ready within 2s: /healthz answered 302;"))
            #expect(await scratch.platform.health(of: instance, process: spec.process) == .starting)
        }
    }

    @Test func aProgramThatDoesNotExistIsNamed() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let missing = try await failure { () throws(Failure) in
                try await scratch.platform.start(scratch.spec("a", commit, command: ["no-such-program"]))
            }
            #expect(missing.message.hasPrefix("program no-such-program is not in PATH"))
            let notExecutable = try await failure { () throws(Failure) in
                try await scratch.platform.start(scratch.spec("a", commit, command: ["./service.py"]))
            }
            #expect(notExecutable.message == "cannot start a: ./service.py: Permission denied")
            #expect(scratch.home("a").presence == .absent)
        }
    }

    @Test(arguments: ["../evil", "", "-rf", "a/b", "a b"])
    func aNameThatCouldLeadOutOfTheDataFolderIsRefused(_ name: String) async throws {
        try await withScratch { scratch in
            let failure = try await failure { () throws(Failure) in
                try await scratch.platform.stop(name: name, drain: .zero)
            }
            #expect(failure.message == "'\(name)' is not an instance's name")
        }
    }

    @Test func aChildInheritsNoDescriptorNoIgnoredAndNoBlockedSignal() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            signal(SIGPIPE, SIG_IGN)
            let leaks = (0..<20).map { _ in open("/dev/null", O_RDONLY) }
            defer { for leak in leaks { close(leak) } }
            let script =
                "ls /proc/self/fd | tr '\\n' ' '; echo; grep -E '^Sig(Blk|Ign):' /proc/self/status; readlink /proc/$$/fd/0"
            _ = try await scratch.platform.start(scratch.spec("a", commit, command: ["/bin/sh", "-c", script]))
            try await eventually("it ends") { scratch.home("a").presence != .running }
            let lines = await scratch.platform.output(name: "a", lines: 10)
            // 3 is the folder that ls reads.
            #expect(lines.first == "0 1 2 3 ")
            #expect(lines.dropFirst() == ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "/dev/null"])
        }
    }

    @Test func aChildLeadsItsOwnSession() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            _ = try await scratch.platform.start(scratch.spec("a", commit, command: ["sleep", "60"]))
            let identity = try #require(scratch.home("a").record(of: AnySubject.self)?.identity)
            #expect(identity.status?.session == identity.pid)
            #expect(identity.status?.group == identity.pid)
        }
    }
}
