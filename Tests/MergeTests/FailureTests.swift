// Goal: what once broke the model of the merge stays repaired (rewind: section 12, failures 1 to 7). Method: each failure as
// the shortest story that has its pattern.

import Merge
import Testing

private let accounts = Names.accounts

@Suite struct FailureTests {
    @Test func `1: live's action on a child that the canary re-parented is not applied to the clone`() throws {
        var story = try Story(
            .shop(onDelete: .cascade),
            [(Names.nodes, "1 - a"), (Names.nodes, "2 - a"), (Names.nodes, "3 1 a"), (Names.nodes, "4 3 a")])
        try story.canary(.set(.key(node(3)), [1: Value(2)]))
        try story.stable(.delete(.key(node(2))))
        #expect(story.lives(node(3)) == nil && story.lives(node(4)) == nil)
        #expect(story.own(node(3)) == "3 1 a" && story.own(node(4)) == "4 3 a")
        #expect(story.reasons(node(3)) == ["spared"] && story.reasons(node(4)) == ["spared"])
    }

    @Test func `2: a conflict outside a stable transaction is resolved, under cascade too`() throws {
        // The column m follows live, also in the canary's transactions: n + m <= 9 breaks in the clone alone.
        var story = try Story(
            .shop(rules: ["m": .follow], mode: .cascade, hasChecks: true), [(accounts, "1 - 7 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [2: Value(0)]))
        #expect(story.own(account(1)) == "1 - 7 2 a s 1 d")
        try story.canary(.set(.key(account(1)), [3: Value(9)]))
        #expect(story.own(account(1)) == "1 - 0 9 a s 1 d" && !story.isTainted)
        #expect(story.reasons(account(1)) == ["check"] && story.clone.quarantined.isEmpty)
    }

    @Test func `3: heal ends after a key change by the canary that took a unique value along`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [0: Value(2)]))
        // The absent key comes first, its unique value parked while the other row has it.
        try story.heal(
            .insert(accounts, row("1 - 1 1 a s 1 d")), .delete(.key(account(2))),
            .set(.key(account(1)), [1: Value("ann")]))
        #expect(!story.isTainted && story.lives(account(1)) == story.own(account(1)))
    }

    @Test func `4: heal's stale write only taints again, and the next one repairs it`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d"), (accounts, "2 bob 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [1: Value("eve")]))
        // Stable takes the value and gives it back, and heal writes what it had seen in between.
        try story.stable(.set(.key(account(2)), [1: Value("ann")]))
        #expect(story.own(account(1)) == "1 eve 1 1 a s 1 d" && !story.isTainted)
        try story.stable(.set(.key(account(2)), [1: Value("bob")]))
        try story.heal(.set(.key(account(1)), [1: Value("ann")]))
        #expect(story.isTainted(account(1)) && story.own(account(1)) == "1 eve 1 1 a s 1 d")
        try story.heal(.set(.key(account(1)), [1: Value("eve")]))
        #expect(!story.isTainted)
    }

    @Test func `5: a grand-parent deleted in live cascades in the clone, under a tainted parent too`() throws {
        var story = try Story(
            .shop(onDelete: .cascade),
            [
                (Names.nodes, "1 - a"), (Names.nodes, "9 - a"), (Names.nodes, "2 1 a"), (Names.nodes, "3 2 a"),
                (Names.nodes, "4 3 a"),
            ])
        try story.canary(.set(.key(node(2)), [1: Value(9)]), .set(.key(node(4)), [2: Value("c")]))
        try story.stable(.delete(.key(node(1))))
        for id in 2...4 { #expect(story.own(node(id)) == nil && story.lives(node(id)) != nil) }
        // A later child of stable's brings them back from live, all the way up.
        try story.stable(.insert(Names.nodes, row("5 4 b")))
        #expect(story.own(node(4)) == "4 3 c" && story.own(node(3)) == "3 2 a" && story.own(node(2)) == "2 9 a")
        #expect(story.reasons(node(2)) == ["fk_action", "fk_parent"] && !story.isTainted)
    }

    @Test func `6: a conflict takes columns from live and not whole rows`() throws {
        var story = try Story(
            .shop(rules: ["n": .hold]),
            [(accounts, "1 ann 1 1 a s 1 d"), (accounts, "2 bob 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d")])
        // The canary changes name, amount and text of account 1, and gives its order away.
        try story.canary(
            .set(.key(account(1)), [1: Value("eve"), 2: Value(5), 4: Value("c")]), .set(.key(order(1)), [1: Value(2)]))
        try story.stable(.set(.key(account(1)), [2: Value(7)]))
        // Held: stable's amount, but the canary's name and text stay out, so no other row has to move.
        #expect(story.own(account(1)) == "1 ann 7 1 a s 1 d" && story.own(order(1)) == "1 1 1 0 a d")
        // The held row is merged like any other from now on.
        try story.stable(.set(.key(account(1)), [3: Value(2)]))
        #expect(story.own(account(1)) == "1 ann 7 2 a s 1 d")
        // A unique value that stable takes costs the row this column alone.
        try story.stable(.set(.key(account(2)), [1: Value("ann")]))
        #expect(story.own(account(1)) == "1 eve 7 2 a s 1 d" && story.own(order(1)) == "1 1 1 0 a d")
    }

    @Test func `7: what is listed is listed again under the key that stable gives it`() throws {
        var story = try Story(.shop(), [(accounts, "1 - 1 1 a s 1 d"), (Names.log, "- x d")])
        try story.canary(.set(.key(account(1)), [4: Value("c")]), .set(.key(logLine("- x d")), [1: Value("y")]))
        try story.stable(.set(.key(account(1)), [4: Value("b")]), .set(.key(logLine("- y d")), [2: Value("e")]))
        #expect(!story.isTainted(account(1)))
        try story.reload()
        try story.stable(.set(.key(account(1)), [0: Value(5)]), .set(.key(logLine("- y e")), [1: Value("z")]))
        #expect(story.reasons(account(5)) == ["overwritten a"])
        #expect(story.clone.findings(account(5)).first?.movedFrom == account(1))
        #expect(story.reasons(logLine("- z e")) == ["update_missing"])
    }
}
