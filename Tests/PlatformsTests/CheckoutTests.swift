// A commit is checked out clean and built once. Method: real repositories and builds that count, fail, hang and die.

import Foundation
import Ports
import Releases
import Testing

@testable import Platforms

@Suite struct CheckoutTests {
    /// Counts its runs in a file outside of the checkout.
    private func counting(_ scratch: Scratch, then rest: String = "true") -> [String] {
        ["/bin/sh", "-c", "echo run >>\(scratch.path)/runs; \(rest)"]
    }

    private func runs(_ scratch: Scratch) -> Int {
        (try? String(contentsOfFile: "\(scratch.path)/runs", encoding: .utf8).split(separator: "\n").count) ?? 0
    }

    private func folder(_ scratch: Scratch, _ commit: CommitID) -> String {
        "\(scratch.data)/checkouts/shop/\(commit)"
    }

    @Test func manyWhoPrepareTheSameCommitBuildItOnce() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let commit = try await repository.commit("one", ["a.txt": "a"])
            let policy = scratch.policy(repository, build: counting(scratch, then: "sleep 0.3; echo made >made"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask { try await scratch.platform.prepare(commit: commit, policy: policy) }
                }
                try await group.waitForAll()
            }
            try await scratch.platform.prepare(commit: commit, policy: policy)
            #expect(runs(scratch) == 1)
            #expect(FileSystem.names(in: folder(scratch, commit)) == [".git", "a.txt", "made"])
        }
    }

    @Test func aCheckoutHasTheCommitAndNothingOfTheWorkingTree() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let first = try await repository.commit("one", ["a.txt": "committed", "old.txt": "old"])
            try await repository.commit("two", ["later.txt": "later"])
            try repository.write("dirty", to: "a.txt")
            try repository.write("untracked", to: "b.txt")
            try await scratch.platform.prepare(commit: first, policy: scratch.policy(repository))
            #expect(FileSystem.names(in: folder(scratch, first)) == [".git", "a.txt", "old.txt"])
            #expect(try String(contentsOfFile: "\(folder(scratch, first))/a.txt", encoding: .utf8) == "committed")
        }
    }

    @Test func aFailedBuildSaysItsLastLinesAndIsMadeAgainFromNothing() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let commit = try await repository.commit("one", ["a.txt": "a"])
            let policy = scratch.policy(
                repository, build: counting(scratch, then: "ls; touch left-over; echo 'cannot find symbol' >&2; exit 2")
            )
            for _ in 0..<2 {
                let failure = try await failure { () throws(Failure) in
                    try await scratch.platform.prepare(commit: commit, policy: policy)
                }
                #expect(
                    failure.message == """
                        the build of \(commit.short) failed: exited with status 2; its last lines:
                            a.txt
                            cannot find symbol
                        """)
            }
            #expect(runs(scratch) == 2)
            let notPrepared = try await failure { () throws(Failure) in
                try await scratch.platform.start(scratch.spec("a", commit))
            }
            #expect(notPrepared.message.contains("is not prepared"))
        }
    }

    @Test func aBuildPastItsDeadlineIsKilledWithWhatItStarted() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let commit = try await repository.commit("one", ["a.txt": "a"])
            var policy = scratch.policy(
                repository, build: ["/bin/sh", "-c", "sleep 600 & echo $! >\(scratch.path)/pid; echo compiling; wait"])
            policy.source.buildWithin = .milliseconds(700)
            let failure = try await failure { () throws(Failure) in
                try await scratch.platform.prepare(commit: commit, policy: policy)
            }
            #expect(
                failure.message == """
                    the build of \(commit.short) did not end within 700ms; its last lines:
                        compiling
                    """)
            let text = try String(contentsOfFile: "\(scratch.path)/pid", encoding: .utf8)
            let pid = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
            #expect(!isRunning(pid))
        }
    }

    @Test func aCancelledBuildIsKilled() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let commit = try await repository.commit("one", ["a.txt": "a"])
            let policy = scratch.policy(
                repository, build: ["/bin/sh", "-c", "echo $$ >\(scratch.path)/pid; sleep 600"])
            let preparing = Task { try await scratch.platform.prepare(commit: commit, policy: policy) }
            var pid: Int32?
            try await eventually("the build runs") {
                let text = (try? String(contentsOfFile: "\(scratch.path)/pid", encoding: .utf8)) ?? ""
                pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines))
                return pid != nil
            }
            preparing.cancel()
            await #expect(throws: Failure.self) { try await preparing.value }
            #expect(!isRunning(try #require(pid)))
        }
    }

    @Test func aBuildOfADaemonThatDiedIsEndedAndMadeAgain() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let commit = try await repository.commit("one", ["a.txt": "a"])
            let folder = folder(scratch, commit)
            try FileSystem.makeFolder(folder)
            try scratch.write("half", to: "data/checkouts/shop/\(commit)/half-made")
            let home = ProcessHome(in: "\(scratch.data)/builds", name: "build-shop-\(commit.short)")
            let launch = ProcessHome.Launch(
                command: ["sleep", "600"], environment: ProcessEnvironment.inherited, folder: folder)
            let old = try home.start(launch, subject: AnySubject(), now: .now)

            try await scratch.platform.prepare(
                commit: commit, policy: scratch.policy(repository, build: counting(scratch)))
            #expect(!isRunning(old.identity.pid))
            #expect(FileSystem.names(in: folder) == [".git", "a.txt"])
            #expect(runs(scratch) == 1)
        }
    }

    @Test func anotherBuildCommandBuildsAgainUnlessAnInstanceRunsFromTheFirst() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let commit = try await repository.commit("one", ["service.py": servicePy])
            try await scratch.platform.prepare(commit: commit, policy: scratch.policy(repository))
            _ = try await scratch.platform.start(scratch.spec("a", commit))
            let changed = scratch.policy(repository, build: counting(scratch))
            let failure = try await failure { () throws(Failure) in
                try await scratch.platform.prepare(commit: commit, policy: changed)
            }
            #expect(failure.message == "commit \(commit.short) of shop runs from a build made differently")
            try await scratch.platform.stop(name: "a", drain: .zero)
            try await scratch.platform.prepare(commit: commit, policy: changed)
            #expect(runs(scratch) == 1)
        }
    }

    @Test func hooksOfTheRepositoryAreNotRun() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let commit = try await repository.commit("one", ["a.txt": "a"])
            try repository.write("#!/bin/sh\ntouch \(scratch.path)/hook\n", to: ".git/hooks/post-checkout")
            chmod("\(repository.path)/.git/hooks/post-checkout", 0o755)
            try await scratch.platform.prepare(commit: commit, policy: scratch.policy(repository))
            #expect(!FileSystem.exists("\(scratch.path)/hook"))
        }
    }

    @Test func aCommitThatDoesNotExistIsNamedWithItsRepository() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            try await repository.commit("one", ["a.txt": "a"])
            let nowhere = try #require(CommitID(rawValue: String(repeating: "ab", count: 20)))
            let failure = try await failure { () throws(Failure) in
                try await scratch.platform.prepare(commit: nowhere, policy: scratch.policy(repository))
            }
            #expect(failure.message == "commit ababababab is not in \(repository.path)")
        }
    }
}
