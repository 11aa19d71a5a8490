// Lines have authors within a range. Method: real repositories with edits, moves, deletions, formatting and merges.

import Ports
import Releases
import Testing

@testable import Platforms

@Suite struct HistoryTests {
    private static let original =
        "def price(cart):\n    total = sum(cart)\n    return total\n\ndef tax(x):\n    return x * 2\n"

    @Test func aLineIsBlamedOnTheCommitOfTheRangeThatChangedIt() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let stable = try await repository.commit("base", ["shop.py": Self.original])
            let bad = try await repository.commit(
                "bad", ["shop.py": Self.original.replacing("sum(cart)", with: "sum(cart) / 0")])
            let canary = try await repository.commit("other", ["README": "x"])
            let lines = try await scratch.source.blame(
                LineRange(file: "shop.py", lines: 1...3), from: stable, to: canary, repository: repository.path)
            #expect(
                lines == [
                    BlamedLine(number: 1, text: "def price(cart):", commit: nil, contentCommit: nil),
                    BlamedLine(number: 2, text: "    total = sum(cart) / 0", commit: bad, contentCommit: bad),
                    BlamedLine(number: 3, text: "    return total", commit: nil, contentCommit: nil),
                ])
        }
    }

    @Test func aCommitThatOnlyFormattedIsNotTheContentsAuthor() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let stable = try await repository.commit("base", ["shop.js": "a()\nb()\n"])
            let bad = try await repository.commit("bad", ["shop.js": "a()\nbad()\n"])
            let format = try await repository.commit("format", ["shop.js": "  a()\n  bad()\n"])
            let reviewed = try await repository.commit("quotes", ["shop.js": "  a();\n  bad();\n"])
            let canary = try await repository.commit(
                "ignore", [".git-blame-ignore-revs": "# formatting\n\(reviewed)\n"])
            let lines = try await scratch.source.blame(
                LineRange(file: "shop.js", lines: 1...2), from: stable, to: canary, repository: repository.path)
            #expect(lines.map(\.commit) == [reviewed, reviewed])
            #expect(lines.map(\.contentCommit) == [nil, bad])
            #expect(format != bad)
        }
    }

    @Test func windowsLineEndsAndTheFirstCommitAreUnderstood() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let stable = try await repository.commit("base", ["a.txt": "x"])
            try await repository.git("checkout", "--quiet", "--orphan", "fresh")
            let root = try await repository.commit("root", ["shop.cs": "one\r\ntwo\r\n"])
            let lines = try await scratch.source.blame(
                LineRange(file: "shop.cs", lines: 1...2), from: stable, to: root, repository: repository.path)
            #expect(lines.map(\.text) == ["one", "two"])
            #expect(lines.map(\.commit) == [root, root])
        }
    }

    @Test func aDeletionWithinLinesIsATouch() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let stable = try await repository.commit("base", ["shop.py": Self.original])
            let deletion = try await repository.commit(
                "deletion", ["shop.py": Self.original.replacing("    total = sum(cart)\n", with: "")])
            let canary = try await repository.commit(
                "tax", ["shop.py": "import os\n" + Self.original.replacing("    total = sum(cart)\n", with: "")])
            let touches = try await scratch.source.touches(
                LineRange(file: "shop.py", lines: 2...3), from: stable, to: canary, repository: repository.path)
            #expect(touches.map(\.commit) == [deletion])
            #expect(touches[0].hunk.contains("-    total = sum(cart)\n"))
        }
    }

    @Test func filesOfARangeAreListedByCommitAndAMergeHasOnlyItsOwn() async throws {
        try await withScratch { scratch in
            let repository = try await Repository(in: scratch)
            let stable = try await repository.commit("base", ["a.py": Self.original, "b c.py": "b\n", "ü.py": "u\n"])
            try await repository.git("checkout", "--quiet", "-b", "side")
            let side = try await repository.commit("side", ["side.py": "s\n", "b c.py": "changed\n"])
            try await repository.git("checkout", "--quiet", "main")
            try await repository.git("mv", "a.py", "moved.py")
            try await repository.git("rm", "--quiet", "ü.py")
            let moved = try await repository.commit("move", [:])
            try await repository.git("merge", "--quiet", "--no-edit", "side")
            let merge = try await repository.head()

            let changes = try await scratch.source.changes(from: stable, to: merge, repository: repository.path)
            #expect(Set(changes.map(\.commit)) == [merge, side, moved])
            let byCommit = Dictionary(uniqueKeysWithValues: changes.map { ($0.commit, $0) })
            #expect(byCommit[merge] == CommitChange(commit: merge, isMerge: true, files: [:]))
            #expect(byCommit[side]?.files == ["side.py": .added, "b c.py": .modified])
            #expect(byCommit[moved]?.files == ["a.py": .deleted, "moved.py": .added, "ü.py": .deleted])
            #expect(
                try await scratch.source.files(at: merge, repository: repository.path)
                    == ["b c.py", "moved.py", "side.py"])
            #expect(try await scratch.source.text(of: "b c.py", at: merge, repository: repository.path) == "changed\n")
            #expect(try await scratch.source.text(of: "a.py", at: merge, repository: repository.path) == nil)
        }
    }
}
