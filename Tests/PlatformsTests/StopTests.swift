// Ending is asked, waited for and enforced, and never hits a stranger. Method: processes that ignore, leave children, lie.

import Foundation
import Ports
import Releases
import Testing

@testable import Platforms

@Suite struct StopTests {
    @Test func stopWaitsUntilTheInstanceHasDrained() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let spec = scratch.spec("a", commit)
            let instance = try await scratch.platform.start(spec)
            try await scratch.platform.awaitReady(instance, process: spec.process)
            try await scratch.platform.stop(name: "a", drain: .seconds(20))
            #expect(await scratch.platform.output(name: "a", lines: 2) == ["draining", "drained"])
            #expect(scratch.home("a").presence == .absent)
            #expect(await scratch.platform.running(service: scratch.shop).isEmpty)
            try await scratch.platform.stop(name: "a", drain: .seconds(20))
        }
    }

    @Test func whoIgnoresSIGTERMIsKilledWithItsChildrenAfterTheDrainTime() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let script =
                "trap '' TERM; sleep 600 & echo $!; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait; wait; wait"
            _ = try await scratch.platform.start(scratch.spec("a", commit, command: ["/bin/sh", "-c", script]))
            let children = try await pids(2, of: "a", scratch)
            let begin = ContinuousClock.now
            try await scratch.platform.stop(name: "a", drain: .milliseconds(400))
            #expect(ContinuousClock.now - begin >= .milliseconds(400))
            for child in children { #expect(!isRunning(child)) }
        }
    }

    @Test func aChildThatLeftTheGroupIsEndedToo() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let script =
                "import os,time\nif os.fork()==0: os.setpgid(0,0)\nprint(os.getpid(),flush=True)\ntime.sleep(600)"
            _ = try await scratch.platform.start(scratch.spec("a", commit, command: ["python3", "-c", script]))
            let both = try await pids(2, of: "a", scratch)
            try await scratch.platform.stop(name: "a", drain: .seconds(10))
            for pid in both { #expect(!isRunning(pid)) }
        }
    }

    @Test func whatADeadInstanceLeftRunningIsEndedByStop() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            _ = try await scratch.platform.start(
                scratch.spec("a", commit, command: ["/bin/sh", "-c", "sleep 600 & echo $!; exit 1"]))
            let child = try await pids(1, of: "a", scratch)[0]
            try await eventually("the leader ends") { scratch.home("a").presence == .ended("exited with status 1") }
            #expect(isRunning(child))
            try await scratch.platform.stop(name: "a", drain: .seconds(10))
            #expect(!isRunning(child))
        }
    }

    @Test func aStrangerWithTheSamePidIsNeitherSeenNorSignalled() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let instance = try await scratch.platform.start(scratch.spec("a", commit, command: ["sleep", "600"]))
            var record = try #require(scratch.home("a").record(of: Instance.self))
            let stranger = record.identity
            record.identity.startTicks -= 1
            try write(record, to: scratch.home("a"))

            #expect(await scratch.platform.running(service: scratch.shop).isEmpty)
            let health = await scratch.platform.health(of: instance, process: .init(command: []))
            #expect(health == .exited(status: "ended, nobody saw how", lines: []))
            try await scratch.platform.stop(name: "a", drain: .milliseconds(100))
            #expect(stranger.status?.isZombie == false)
            kill(stranger.pid, SIGKILL)
            waitpid(stranger.pid, nil, 0)
        }
    }

    @Test func aRecordOfAnEarlierBootIsOfNobody() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            _ = try await scratch.platform.start(scratch.spec("a", commit, command: ["sleep", "600"]))
            var record = try #require(scratch.home("a").record(of: Instance.self))
            let pid = record.identity.pid
            record.identity.boot = "of yesterday"
            try write(record, to: scratch.home("a"))
            #expect(await scratch.platform.running(service: scratch.shop).isEmpty)
            try await scratch.platform.stop(name: "a", drain: .milliseconds(100))
            #expect(isRunning(pid))
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
    }

    @Test func aProcessThatIsNotOurChildIsFoundWatchedAndStopped() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let instance = try await scratch.platform.start(scratch.spec("a", commit, command: ["sleep", "600"]))
            var record = try #require(scratch.home("a").record(of: Instance.self))
            kill(record.identity.pid, SIGKILL)
            try await eventually("the first ends") { scratch.home("a").presence == .ended("killed by signal 9") }

            // As after a restart of the daemon: somebody else's child, of whom only the record is known.
            let pidFile = "\(scratch.path)/pid"
            _ = try await GitCommand(
                arguments: [
                    "-c", "alias.detach=!PERCH_INSTANCE=a setsid sleep 600 >/dev/null 2>&1 & echo $! >\(pidFile)",
                    "detach",
                ], deadline: .seconds(10)
            ).answer()
            let text = try String(contentsOfFile: pidFile, encoding: .utf8)
            let pid = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
            try await eventually("it leads a session") { ProcessStatus(of: pid)?.session == pid }
            record.identity = try #require(ProcessIdentity(of: pid))
            #expect(record.identity.status?.parent != getpid())
            try write(record, to: scratch.home("a"))

            #expect(await scratch.platform.running(service: scratch.shop) == [instance])
            try await scratch.platform.stop(name: "a", drain: .seconds(10))
            #expect(!isRunning(pid))
        }
    }

    @Test func aNewDaemonOnTheSameFolderFindsAndStopsWhatTheOldOneStarted() async throws {
        try await withScratch { scratch in
            let commit = try await Repository.prepared(in: scratch)
            let spec = scratch.spec("a", commit)
            let instance = try await scratch.platform.start(spec)
            try await scratch.platform.awaitReady(instance, process: spec.process)

            let later = ProcessPlatform(dataFolder: scratch.data, logger: scratch.quiet)
            #expect(await later.running(service: scratch.shop) == [instance])
            #expect(await later.health(of: instance, process: spec.process) == .ready)
            #expect(try await later.start(spec) == instance)
            try await later.stop(name: "a", drain: .seconds(20))
            #expect(await scratch.platform.running(service: scratch.shop).isEmpty)
        }
    }

    @Test func aChildThatIsNotReleasedNeverRunsItsProgram() async throws {
        try await withScratch { scratch in
            let log = open("/dev/null", O_WRONLY)
            defer { close(log) }
            var child = try DetachedChild(
                program: "/bin/sh", arguments: ["sh", "-c", "touch \(scratch.path)/ran"], environment: [:],
                folder: "/", output: log)
            let pid = child.pid
            #expect(isRunning(pid))
            // What the kernel does to our end of the socket when we die.
            child.discard()
            #expect(!isRunning(pid))
            #expect(!FileSystem.exists("\(scratch.path)/ran"))
        }
    }

    private func pids(_ count: Int, of name: String, _ scratch: Scratch) async throws -> [Int32] {
        try await eventually("\(count) pids are printed") {
            await scratch.platform.output(name: name, lines: 10).count >= count
        }
        return await scratch.platform.output(name: name, lines: 10).compactMap { Int32($0) }
    }

    private func write(_ record: ProcessRecord<Instance>, to home: ProcessHome) throws {
        try JSONEncoder().encode(record).write(to: URL(fileURLWithPath: home.recordPath))
    }
}
