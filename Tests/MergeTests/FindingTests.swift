// Goal: a finding says what a person needs to decide. Method: one story a kind of finding, and what is shown of it.

import Merge
import Testing

private let accounts = Names.accounts

@Suite struct FindingTests {
    @Test func `the clone's, the canary's and stable's value of a column stand side by side`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [4: Value("c")]))
        try story.stable(.set(.key(account(1)), [4: Value("b")]))
        let finding = try #require(story.clone.findings(account(1)).first)
        #expect(story.world.schema[finding.row.table]?.name == "accounts")
        #expect(
            story.world.schema.compared(finding).map(\.shown) == ["a: a c b"])
    }

    @Test func `a whole row is compared by the columns that differ`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [2: Value(5), 4: Value("c")]))
        try story.stable(.delete(.key(account(1))))
        let deleted = try #require(story.clone.findings(account(1)).first)
        #expect(deleted.reason == .deleteModified && deleted.stable == nil)
        #expect(story.world.schema.compared(deleted).map(\.shown) == ["n: 1 5 nothing", "a: a c nothing"])
        try story.canary(.insert(accounts, row("2 bob 1 1 c s 1 d")))
        try story.stable(.set(.key(account(2)), [4: Value("b")]))
        let missing = try #require(story.clone.findings(account(2)).first)
        #expect(story.world.schema.compared(missing).map(\.shown) == ["a: nothing c b"])
    }

    @Test func `a row that gave way names the one it gave way to`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d"), (accounts, "2 bob 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [1: Value("cat")]))
        try story.stable(.set(.key(account(2)), [1: Value("ann")]))
        let finding = try #require(story.clone.findings(account(1)).first)
        #expect(finding.counterpart == account(2))
        #expect(story.world.schema.compared(finding).map(\.shown) == ["u: ann cat nothing"])
    }

    @Test func `what moved to another partition is shown in that one's columns`() throws {
        var story = try Story(.shop(), [(Names.east, "east 1 - 3 a")])
        try story.canary(.set(.key(event("east", 1)), [3: Value(5)]))
        try story.stable(.set(.key(event("east", 1)), [3: Value(7)]))
        try story.stable(.set(.key(event("east", 1)), [0: Value("west")]))
        // west: id region a n account
        for finding in story.clone.findings(event("west", 1)) {
            #expect(finding.saved?[3] != Value("a") && finding.live?[0] == Value(1))
        }
        let moved = try #require(story.clone.findings(event("west", 1)).first { $0.reason == .overwritten })
        #expect(moved.movedFrom == event("east", 1) && story.world.schema.compared(moved).map(\.shown) == ["n: 3 5 7"])
    }

    @Test func `a finding that is listed again does not make a younger one older`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [2: Value(5)]))
        try story.stable(.set(.key(account(1)), [4: Value("b")]))
        try story.stable(.set(.key(account(1)), [0: Value(2), 4: Value("e")]))
        let kept = try #require(story.clone.findings(account(2)).first { $0.reason == .kept })
        #expect(kept.firstCommitLSN == 200 && kept.lastCommitLSN == 300 && kept.count == 2 && kept.xid == 3)
    }
}

extension ComparedValue {
    fileprivate var shown: String {
        "\(column): " + [saved, live, stable].map { $0?.string ?? "nothing" }.joined(separator: " ")
    }
}
