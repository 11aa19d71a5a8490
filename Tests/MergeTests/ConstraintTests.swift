// Goal: the clone keeps its constraints, and of two rows the right one gives way (rewind: section 4). Method: for each kind
// of constraint the shortest story in which the clone would break it.

import Merge
import Testing

private let accounts = Names.accounts

@Suite struct ConstraintTests {
    // MARK: Unique

    @Test func `stable takes a unique value that the canary had freed`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d"), (accounts, "2 bob 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [1: Value("cat"), 2: Value(5)]))
        try story.stable(.set(.key(account(2)), [1: Value("ann")]))
        // The victim takes live's value of that column and keeps its others.
        #expect(story.own(account(1)) == "1 cat 1 1 a s 1 d" && story.own(account(2)) == "2 ann 1 1 a s 1 d")
        #expect(story.reasons(account(1)) == ["unique"] && story.isOpen(account(1)))
        #expect(story.saved(account(1), .unique) == "1 ann 1 1 a s 1 d" && story.reasons(account(2)).isEmpty)
    }

    @Test func `stable takes the unique value of a row that the canary had deleted`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d"), (accounts, "2 bob 1 1 a s 1 d")])
        try story.canary(.delete(.key(account(1))))
        try story.stable(.insert(accounts, row("3 ann 1 1 a s 1 d")))
        #expect(story.own(account(1)) == nil && story.reasons(account(1)) == ["unique"])
        #expect(!story.isTainted)
    }

    @Test func `a merged row that meets an untouched one gives way itself`() throws {
        // Order 1 keeps the clone's account 1 and gets stable's slot 2: order 2 has both.
        var story = try Story(
            .shop(),
            [
                (accounts, "1 - 1 1 a s 1 d"), (accounts, "2 - 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d"),
                (Names.orders, "2 1 2 0 a d"),
            ])
        try story.canary(.set(.key(order(1)), [1: Value(2)]))
        try story.stable(.set(.key(order(1)), [2: Value(2)]))
        #expect(story.own(order(1)) == "1 2 2 0 a d" && story.own(order(2)) == "2 1 2 0 a d")
        #expect(story.reasons(order(1)) == ["kept account", "unique"])
    }

    @Test func `an index over an expression and a predicate is judged by what the clone says`() throws {
        var story = try Story(.shop(), [(Names.mails, "1 Ann t a"), (Names.mails, "2 bob t a")])
        try story.canary(.set(.key(mail(1)), [2: Value("f")]))
        try story.stable(.set(.key(mail(2)), [1: Value("ANN")]))
        // Both columns of the index are live's now.
        #expect(story.own(mail(1)) == "1 Ann f a" && story.own(mail(2)) == "2 ANN t a")
        #expect(story.reasons(mail(1)) == ["unique"])
    }

    @Test func `NULLs are distinct unless the index says otherwise`() throws {
        for areDistinct in [true, false] {
            let id = TableID(rawValue: 1)
            let unique = UniqueIndex(
                id: UniqueID(rawValue: 1), columns: [1], entries: .values(nullsAreDistinct: areDistinct))
            let schema = try Schema([
                TableSchema(
                    id: id, name: "t", columns: [.init(name: "id"), .init(name: "u")], key: [0], uniques: [unique])
            ])
            var engine = MergeEngine(schema: schema)
            var answers = Answers()
            for key in ["1", "2"] {
                answers.add(row("\(key) \(key == "1" ? "-" : "x")"), for: RowID(table: id, key: row(key)))
            }
            let batch = [
                SourceTransaction(
                    xid: 1, commitLSN: 1, endLSN: 1, origin: .canary,
                    changes: [.update(id, old: nil, new: row("1 y"))]),
                SourceTransaction(
                    xid: 2, commitLSN: 2, endLSN: 2, origin: .stable,
                    changes: [.update(id, old: nil, new: row("2 -"))]),
            ]
            guard case .done(let net) = try engine.merge(batch, answers) else {
                Issue.record("asked for more")
                continue
            }
            engine.commit(net)
            #expect(net.state.findings.map(\.reason) == (areDistinct ? [] : [.unique]))
        }
    }

    // MARK: Foreign keys

    @Test func `stable's child of the canary's parent brings the parents, up to the top`() throws {
        var story = try Story(.shop(), [(accounts, "1 - 1 1 a s 1 d")])
        try story.canary(.insert(accounts, row("2 - 1 1 c s 1 d")), .insert(Names.orders, row("7 2 1 0 c d")))
        try story.stable(.insert(Names.items, row("7 1 - a")))
        #expect(story.own(item(7, 1)) == "7 1 - a" && story.own(order(7)) == "7 2 1 0 c d")
        #expect(story.own(account(2)) == "2 - 1 1 c s 1 d")
        #expect(story.reasons(order(7)) == ["fk_parent"] && story.reasons(account(2)) == ["fk_parent"])
        #expect(story.reasons(item(7, 1)).isEmpty && !story.isTainted)
    }

    @Test func `a parent by another unique column takes live's value of that column`() throws {
        var story = try Story(
            .shop(), [(accounts, "1 ann 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d")])
        try story.canary(.set(.key(account(1)), [1: Value("bob"), 4: Value("c")]))
        try story.stable(.insert(Names.items, row("1 1 bob a")))
        #expect(story.own(account(1)) == "1 bob 1 1 a s 1 d" && story.reasons(account(1)) == ["fk_parent"])
    }

    @Test func `what a parent takes from live can take the value of another row, whose children follow`() throws {
        var story = try Story(
            .shop(onUpdate: .cascade),
            [(accounts, "1 ann 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d"), (Names.nodes, "1 - a")])
        // The canary moves account 1 to key 2; its order follows in live.
        try story.canary(.set(.key(account(1)), [0: Value(2)]))
        // Stable's new order refers to 2, which brings the row with the name ann; 1 has to give way to it.
        try story.stable(.insert(Names.orders, row("2 2 2 0 a d")))
        #expect(story.own(account(2)) == "2 ann 1 1 a s 1 d" && story.own(account(1)) == nil)
        #expect(story.own(order(1)) == "1 2 1 0 a d")
        #expect(story.reasons(account(1)) == ["unique"] && story.reasons(order(1)) == ["fk_child"])
        #expect(story.isOpen(order(1)) && !story.isTainted)
    }

    @Test func `stable deletes a parent whose child the canary had deleted`() throws {
        for (action, own) in [(Action.cascade, nil), (.null, "1 - 1 0 a d"), (.refuse, nil)] as [(Action, String?)] {
            var story = try Story(
                .shop(onDelete: action), [(accounts, "1 - 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d")])
            try story.canary(.delete(.key(order(1))))
            try story.stable(.delete(.key(account(1))))
            #expect(story.own(order(1)) == own)
            #expect(story.reasons(order(1)) == [action == .refuse ? "fk_child" : "fk_action"])
            #expect(story.isOpen(order(1)) == (action == .refuse))
        }
    }

    @Test func `stable gives a parent another key and the clone's own child follows`() throws {
        for (action, own) in [(Action.cascade, "1 5 1 0 a d"), (.null, "1 - 1 0 a d")] {
            var story = try Story(
                .shop(onUpdate: action), [(accounts, "1 - 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d")])
            try story.canary(.delete(.key(order(1))))
            try story.stable(.set(.key(account(1)), [0: Value(5)]))
            #expect(story.own(order(1)) == own && story.reasons(order(1)) == ["fk_action"])
        }
    }

    @Test func `a child whose key refers gets another key, and its report with it`() throws {
        var story = try Story(
            .shop(onUpdate: .cascade),
            [(accounts, "1 - 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d"), (Names.items, "1 1 - a")])
        try story.canary(.set(.key(item(1, 1)), [3: Value("c")]))
        try story.stable(.set(.key(item(1, 1)), [3: Value("b")]))
        try story.canary(.delete(.key(item(1, 1))))
        try story.stable(.set(.key(order(1)), [0: Value(4)]))
        #expect(story.own(item(1, 1)) == nil && story.own(item(4, 1)) == "4 1 - b")
        #expect(story.reasons(item(4, 1)) == ["overwritten a", "fk_action"])
    }

    @Test func `an action goes on to untouched children of the clone's row`() throws {
        // The canary gives node 2 to node 9; node 3 below it is the same in both. Stable deletes node 1.
        var story = try Story(
            .shop(onDelete: .cascade),
            [(Names.nodes, "1 - a"), (Names.nodes, "9 - a"), (Names.nodes, "2 1 a"), (Names.nodes, "3 2 a")])
        try story.canary(.set(.key(node(2)), [1: Value(9)]))
        try story.stable(.delete(.key(node(1))))
        #expect(story.own(node(2)) == nil && story.own(node(3)) == nil)
        #expect(story.lives(node(3)) == "3 2 a" && story.isTainted(node(3)))
        #expect(story.reasons(node(2)) == ["fk_action"] && story.reasons(node(3)) == ["fk_action"])
    }

    @Test func `live's action on a child that the canary had brought is spared the clone`() throws {
        for (action, rest) in [(Action.cascade, nil), (.null, "3 - 1 0 a d")] as [(Action, String?)] {
            var story = try Story(
                .shop(onDelete: action, onUpdate: action),
                [
                    (accounts, "1 - 1 1 a s 1 d"), (accounts, "2 - 1 1 a s 1 d"), (Names.orders, "3 1 1 0 a d"),
                    (Names.items, "3 1 - a"),
                ])
            try story.canary(.set(.key(order(3)), [1: Value(2)]))
            try story.stable(.delete(.key(account(2))))
            #expect(story.lives(order(3)) == rest)
            #expect(story.own(order(3)) == "3 1 1 0 a d" && story.reasons(order(3)) == ["spared"])
            // Its own children stay with it.
            #expect(story.own(item(3, 1)) == "3 1 - a")
        }
    }

    @Test func `live's action on a row that only the canary had made does not bring it into the clone`() throws {
        var story = try Story(.shop(onDelete: .null), [(accounts, "1 - 1 1 a s 1 d")])
        try story.canary(.insert(Names.orders, row("3 1 1 0 c d")))
        try story.stable(.delete(.key(account(1))))
        #expect(story.lives(order(3)) == "3 - 1 0 c d" && story.own(order(3)) == nil)
        #expect(story.reasons(order(3)) == ["spared"])
    }

    @Test func `a statement of stable's is no action, though it looks like one`() throws {
        // The order is emptied before the account goes, not by it.
        var story = try Story(
            .shop(onDelete: .null),
            [(accounts, "1 - 1 1 a s 1 d"), (accounts, "2 - 1 1 a s 1 d"), (Names.orders, "3 1 1 0 a d")])
        try story.canary(.set(.key(order(3)), [1: Value(2)]))
        try story.stable(.set(.key(order(3)), [1: .null]), .delete(.key(account(2))))
        #expect(story.own(order(3)) == "3 - 1 0 a d" && story.reasons(order(3)) == ["overwritten account"])
    }

    @Test func `a swap of referenced values is no loss`() throws {
        var story = try Story(
            .shop(onUpdate: .cascade),
            [
                (accounts, "1 ann 1 1 a s 1 d"), (accounts, "2 bob 1 1 a s 1 d"), (Names.orders, "1 1 1 0 a d"),
                (Names.items, "1 1 ann a"),
            ])
        try story.stable(.swap(account(1), account(2), [1]))
        #expect(story.own(item(1, 1)) == story.lives(item(1, 1)) && story.clone.report.isEmpty)
    }

    @Test func `rows without a key are children too`() throws {
        var story = try Story(
            .shop(onDelete: .cascade),
            [
                (accounts, "1 - 1 1 a s 1 d"), (accounts, "2 - 1 1 a s 1 d"), (Names.log, "1 x d"),
                (Names.log, "2 y d"),
            ])
        try story.canary(.delete(.key(logLine("1 x d"))), .insert(accounts, row("3 - 1 1 c s 1 d")))
        try story.stable(.delete(.key(account(1))), .insert(Names.log, row("3 z d")))
        #expect(story.copies("1 x d") == 0 && story.reasons(logLine("1 x d")) == ["fk_action"])
        #expect(story.copies("3 z d") == 1 && story.reasons(account(3)) == ["fk_parent"])
    }

    @Test func `a constraint the merge does not know is settled by what the clone refused`() throws {
        var story = try Story(.shop(), [(accounts, "1 - 1 1 a s 1 d"), (accounts, "2 - 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [4: Value("c")]))
        let source = try story.source(.stable, [.set(.key(account(2)), [4: Value("b")])])
        var clone = story.clone
        try clone.merge([source], refused: [account(1), account(2)])
        #expect(clone.database[account(1)] == row("1 - 1 1 c s 1 d"))
        #expect(clone.findings(account(1)).map(\.reason) == [.constraint] && clone.findings(account(2)).isEmpty)
        #expect(clone.broken(story.live) == nil)
    }
}
