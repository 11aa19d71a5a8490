// Goal: heal writes together what live needs together, and nothing else (rewind: section 10). Method: short stories; random
// groups are healed in HistoryTests, where live is checked after each.

import Merge
import Testing

private let accounts = Names.accounts

@Suite struct HealingTests {
    @Test func `a row whose own columns differ needs nobody and is plain`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d")])
        try story.canary(.set(.key(account(1)), [4: Value("c")]))
        let taint = try #require(story.clone.engine.taint(account(1)))
        #expect(
            taint.kind == .modified && taint.live == row("1 ann 1 1 c s 1 d") && taint.clone == row("1 ann 1 1 a s 1 d")
        )
        #expect(story.clone.engine.needs(account(1)).isEmpty && story.clone.engine.isPlain(account(1)))
    }

    @Test func `unique values in a circle are healed at once`() throws {
        var story = try Story(.shop(), (1...3).map { (accounts, "\($0) n\($0) 1 1 a s 1 d") })
        try story.canary(.swap(account(1), account(2), [1]))
        try story.canary(.swap(account(2), account(3), [1]))
        let engine = story.clone.engine
        #expect(engine.closure(of: [account(2)]) == [account(1), account(2), account(3)])
        #expect(engine.closure(of: [account(2)], atMost: 2) == nil && !engine.isPlain(account(2)))
    }

    @Test func `a row that goes takes its children along, one that comes its parents`() throws {
        var story = try Story(
            .shop(onDelete: .cascade),
            [(accounts, "1 - 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d"), (Names.items, "1 1 - a")])
        try story.canary(.delete(.key(account(1))))
        try story.canary(
            .insert(accounts, row("2 - 1 1 c s 1 d")), .insert(Names.orders, row("2 2 1 0 c d")),
            .insert(Names.log, row("2 c d")))
        let engine = story.clone.engine
        #expect(engine.needs(account(2)) == [order(2), logLine("2 c d")] && engine.needs(order(2)).isEmpty)
        #expect(engine.needs(item(1, 1)) == [order(1)] && engine.closure(of: [item(1, 1)])?.count == 3)
        // Parents come before children and go behind them.
        #expect(engine.healSeeds == [account(1), order(1), item(1, 1), order(2), account(2)])
    }

    @Test func `children stay where another row takes the value they refer to`() throws {
        var story = try Story(
            .shop(),
            [
                (accounts, "1 ann 1 1 a s 1 d"), (accounts, "2 bob 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d"),
                (Names.items, "1 1 ann a"),
            ])
        try story.canary(.swap(account(1), account(2), [1]))
        #expect(story.clone.engine.needs(account(1)) == [account(2)])
    }

    @Test func `only a transaction that wrote live's row is named as its writer`() throws {
        var story = try Story(
            .shop(onDelete: .null),
            [(accounts, "1 - 1 1 a s 1 d"), (accounts, "2 - 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d")])
        try story.canary(.set(.key(order(1)), [1: Value(2)]))
        let writer = try #require(story.clone.engine.taint(order(1))).xid
        try story.stable(.delete(.key(account(1))))
        #expect(story.own(order(1)) == "1 - 1 0 a d" && story.reasons(order(1)) == ["fk_action"])
        #expect(try #require(story.clone.engine.taint(order(1))).xid == writer)
    }
}
