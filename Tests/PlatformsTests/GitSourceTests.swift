// Names become commits, ranges become lists, lines have authors. Method: real repositories, made commit by commit.

import Foundation
import Ports
import Releases
import Testing

@testable import Platforms

@Suite struct GitSourceTests {
    @Test func branchesTagsAndIDsBecomeCommits() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let first = try await repository.commit("one", ["a": "1"])
            try await repository.git("tag", "-a", "v1", "-m", "version 1")
            let second = try await repository.commit("two", ["a": "2"])
            let source = scratch.source
            #expect(try await source.resolve("v1", repository: repository.path) == first)
            #expect(try await source.resolve("main", repository: repository.path) == second)
            #expect(try await source.resolve(first.short, repository: repository.path) == first)
            #expect(try await source.resolve(second.rawValue, repository: repository.path) == second)
        }
    }

    @Test func aBranchThatMovedIsFollowed() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            try await repository.commit("one", ["a": "1"])
            _ = try await scratch.source.resolve("main", repository: repository.path)
            let second = try await repository.commit("two", ["a": "2"])
            #expect(try await scratch.source.resolve("main", repository: repository.path) == second)
            try await repository.git("reset", "--quiet", "--hard", "HEAD~1")
            try await repository.git("commit", "--quiet", "--amend", "-m", "rewritten")
            #expect(try await scratch.source.resolve("main", repository: repository.path) == repository.head())
        }
    }

    @Test func aCommitOutlivesItsBranch() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            try await repository.commit("one", ["a": "1"])
            try await repository.git("checkout", "--quiet", "-b", "side")
            let side = try await repository.commit("side", ["b": "1"])
            _ = try await scratch.source.resolve("side", repository: repository.path)
            try await repository.git("checkout", "--quiet", "main")
            try await repository.git("branch", "--quiet", "-D", "side")
            // A folder where the branch was a file: only a fetch that prunes gets past it.
            try await repository.git("branch", "--quiet", "side/more")
            #expect(try await scratch.source.resolve("main", repository: repository.path) != side)
            #expect(try await scratch.source.resolve(side.short, repository: repository.path) == side)
            let gone = try await failure { () throws(Failure) in
                try await scratch.source.resolve("side", repository: repository.path)
            }
            #expect(gone.message == "side is neither a commit, a tag nor a branch of \(repository.path)")
        }
    }

    @Test(arguments: [
        "--upload-pack=touch /tmp/x", "-v", "HEAD~1", "main:service.py", ":/one", "main@{1}", "a..b", "a b", "",
        "main^{tree}",
        "a\nb",
    ])
    func expressionsAndOptionsAreNotNames(_ name: String) async throws {
        try await withScratch { scratch in
            let failure = try await failure { () throws(Failure) in
                try await scratch.source.resolve(name, repository: "/nowhere")
            }
            #expect(failure.message == "'\(name)' is not the name of a commit")
        }
    }

    @Test(arguments: ["--upload-pack=touch /tmp/x", "ext::sh -c touch%20/tmp/x", ""])
    func aRepositoryThatIsAnOptionOrACommandIsRefused(_ repository: String) async throws {
        try await withScratch { scratch in
            let failure = try await failure { () throws(Failure) in
                try await scratch.source.resolve("main", repository: repository)
            }
            #expect(failure.message.contains("is not a repository") || failure.message.contains("not allowed"))
        }
    }

    @Test func theRangeIsEverythingNewNewestFirst() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let first = try await repository.commit("one", ["a": "1"])
            let second = try await repository.commit("two: with | odd \u{1F}signs", ["a": "2"])
            let third = try await repository.commit("three", ["a": "3"])
            let commits = try await scratch.source.commits(from: first, to: third, repository: repository.path)
            #expect(commits.map(\.id) == [third, second])
            #expect(commits.map(\.subject) == ["three", "two: with | odd \u{1F}signs"])
            #expect(commits.allSatisfy { $0.author == "Ada <ada@example.com>" && $0.committedAt > 1_600_000_000_000 })
            #expect(try await scratch.source.commits(from: third, to: third, repository: repository.path).isEmpty)
        }
    }

    @Test func aRepositoryOfAnotherUserCanBeRead() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let commit = try await repository.commit("one", ["a": "1"])
            for case let file as String in FileManager.default.enumerator(atPath: repository.path)! {
                chown("\(repository.path)/\(file)", 65_534, 65_534)
            }
            chown(repository.path, 65_534, 65_534)
            #expect(try await scratch.source.resolve("main", repository: repository.path) == commit)
        }
    }

    @Test func aRepositoryThatIsNotThereIsATransientFailureWithoutThePassword() async throws {
        try await withScratch { scratch in
            let failure = try await failure { () throws(Failure) in
                try await scratch.source.resolve("main", repository: "http://ada:hunter2@127.0.0.1:1/shop.git")
            }
            #expect(failure.isTransient)
            #expect(failure.message.hasPrefix("cannot fetch from http://ada:***@127.0.0.1:1/shop.git: "))
            #expect(!failure.description.contains("hunter2"))
        }
    }

    @Test func gitPastItsDeadlineIsEndedWithItsChildren() async throws {
        try await withScratch { scratch in
            let begin = ContinuousClock.now
            let failure = try await failure { () throws(Failure) in
                try await GitCommand(
                    arguments: ["-c", "alias.hang=!echo $$ >\(scratch.path)/pid; sleep 600", "hang"],
                    deadline: .seconds(4)
                ).answer()
            }
            #expect(failure.isTransient)
            #expect(ContinuousClock.now - begin < .seconds(30))
            let text = try String(contentsOfFile: "\(scratch.path)/pid", encoding: .utf8)
            let pid = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
            try await eventually("the child ends") { !isRunning(pid) }
        }
    }
}
