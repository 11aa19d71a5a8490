// Goal: every line of the transition tables (rewind: section 2). Method: one row, one transaction a line, and what live,
// clone and report are then.

import Merge
import Testing

private let accounts = Names.accounts

@Suite struct TransitionTests {
    /// Accounts 1 (equal), 2 (modified by the canary), 3 (only live), 4 (only the clone).
    private func story(
        rules: [String: ColumnRule] = [:], mode: MergeMode = .nonconflict, canaryRow: MergePolicy.CanaryRow = .keep,
        isFull: Bool = false
    ) throws -> Story {
        var story = try Story(
            .shop(rules: rules, mode: mode, canaryRow: canaryRow, isFull: isFull),
            [
                (accounts, "1 - 1 0 a s 1 d"), (accounts, "2 - 1 0 a s 1 d"), (accounts, "4 - 1 0 a s 1 d"),
            ])
        try story.canary(
            .set(.key(account(2)), [2: Value(7)]), .insert(accounts, row("3 - 3 0 c s 1 d")),
            .delete(.key(account(4))))
        return story
    }

    // MARK: Live alone moves

    @Test func `a row the canary makes is tainted and stays out of the clone`() throws {
        let story = try story()
        #expect(story.own(account(3)) == nil)
        #expect(story.clone.engine.taint(account(3))?.live == row("3 - 3 0 c s 1 d"))
        #expect(story.clone.report.isEmpty)
    }

    @Test func `a row the canary makes again is equal, modified or gone as its values say`() throws {
        var story = try story()
        try story.canary(.insert(accounts, row("4 - 1 0 a s 1 d")))
        #expect(!story.isTainted(account(4)))
        try story.canary(.delete(.key(account(4))))
        try story.canary(.insert(accounts, row("4 - 2 0 a s 1 d")))
        #expect(story.clone.engine.taint(account(4))?.clone == row("4 - 1 0 a s 1 d"))
    }

    @Test func `taint is difference and not history`() throws {
        var story = try story()
        try story.canary(.set(.key(account(2)), [2: Value(1)]))
        #expect(!story.isTainted(account(2)))
        try story.canary(.delete(.key(account(3))))
        #expect(!story.isTainted(account(3)))
    }

    @Test func `the canary gives a row another key`() throws {
        var story = try story()
        try story.canary(.set(.key(account(1)), [0: Value(9)]), .set(.key(account(3)), [0: Value(8)]))
        #expect(story.isTainted(account(1)) && story.isTainted(account(9)) && story.isTainted(account(8)))
        #expect(!story.isTainted(account(3)))
        #expect(story.own(account(1)) == "1 - 1 0 a s 1 d")
        try story.canary(.set(.key(account(9)), [0: Value(1)]))
        #expect(!story.isTainted(account(1)) && !story.isTainted(account(9)))
    }

    @Test func `the tainted row knows who wrote it last`() throws {
        var story = try story()
        let first = try #require(story.clone.engine.taint(account(2))).xid
        try story.stable(.set(.key(account(2)), [4: Value("b")]))
        #expect(try #require(story.clone.engine.taint(account(2))).xid == first + 1)
    }

    // MARK: Stable's changes

    @Test(arguments: [false, true]) func `stable's changes of equal rows are the clone's`(isFull: Bool) throws {
        var story = try story(isFull: isFull)
        try story.stable(
            .insert(accounts, row("5 - 5 0 n s 1 -")), .set(.key(account(1)), [4: Value("b")]))
        #expect(story.own(account(1)) == "1 - 1 0 b s 1 d")
        #expect(story.own(account(5)) == "5 - 5 0 n s 1 -")
        try story.stable(.delete(.key(account(1))), .set(.key(account(5)), [0: Value(6)]))
        #expect(story.own(account(1)) == nil && story.own(account(5)) == nil)
        #expect(story.own(account(6)) == "6 - 5 0 n s 1 -")
        #expect(story.clone.report.isEmpty)
    }

    @Test func `stable inserts a key that the clone still has`() throws {
        var story = try story()
        try story.stable(.insert(accounts, row("4 - 9 0 n s 1 -")))
        #expect(story.own(account(4)) == "4 - 9 0 n s 1 -")
        #expect(story.reasons(account(4)) == ["insert_exists"] && story.isOpen(account(4)))
        #expect(story.saved(account(4), .insertExists) == "4 - 1 0 a s 1 d")
        #expect(!story.isTainted(account(4)))
    }

    @Test func `stable changes a row that only the canary had made`() throws {
        var story = try story()
        try story.stable(.set(.key(account(3)), [4: Value("b")]))
        #expect(story.own(account(3)) == "3 - 3 0 b s 1 d")
        #expect(story.reasons(account(3)) == ["update_missing"] && story.isOpen(account(3)))
    }

    @Test func `such a row can be dropped`() throws {
        var story = try story(canaryRow: .drop)
        try story.stable(.set(.key(account(3)), [4: Value("b")]))
        #expect(story.own(account(3)) == nil && story.isTainted(account(3)))
        #expect(story.reasons(account(3)) == ["dropped"] && !story.isOpen(account(3)))
    }

    @Test func `stable deletes a modified row, a row of live's and changes nothing else`() throws {
        var story = try story()
        try story.stable(.delete(.key(account(2))), .delete(.key(account(3))))
        #expect(story.own(account(2)) == nil)
        #expect(story.saved(account(2), .deleteModified) == "2 - 1 0 a s 1 d")
        #expect(story.reasons(account(3)).isEmpty)
        #expect(!story.isTainted(account(2)) && !story.isTainted(account(3)))
    }

    @Test func `stable gives a modified row another key, over one that the clone still has`() throws {
        var story = try story()
        try story.stable(.set(.key(account(2)), [0: Value(4), 4: Value("b")]))
        #expect(story.own(account(2)) == nil)
        #expect(story.own(account(4)) == "4 - 1 0 b s 1 d")
        #expect(story.lives(account(4)) == "4 - 7 0 b s 1 d")
        #expect(story.reasons(account(4)) == ["insert_exists", "kept n", "moved"])
    }

    @Test func `stable's TRUNCATE empties the clone too and forgets every taint`() throws {
        var story = try Story(.shop(), [(Names.mails, "1 x f a"), (Names.mails, "2 y f a")])
        try story.canary(.insert(Names.mails, row("3 z f c")), .delete(.key(mail(2))))
        try story.stable(.insert(Names.mails, row("5 z f a")), .truncate([Names.mails]))
        #expect(story.clone.database.allRows(Names.mails).isEmpty && !story.isTainted)
        #expect(try #require(story.last).tables.map(\.isEmptied) == [true])
        #expect(try #require(story.last).tables[0].inserts.isEmpty)
    }

    @Test func `the canary's TRUNCATE names no row and leaves the clone as it is`() throws {
        var story = try Story(.shop(), [(Names.mails, "1 x f a"), (Names.mails, "2 y f a")])
        try story.canary(.insert(Names.mails, row("3 z f c")), .truncate([Names.mails]))
        #expect(story.clone.state.emptied.keys.sorted() == [Names.mails] && story.clone.state.taints.isEmpty)
        #expect(story.own(mail(1)) == "1 x f a")
        try story.stable(.insert(Names.mails, row("1 n f a")), .insert(Names.mails, row("7 n f a")))
        #expect(story.own(mail(1)) == "1 n f a" && story.own(mail(7)) == "7 n f a" && story.own(mail(2)) == "2 y f a")
        #expect(story.reasons(mail(1)) == ["insert_exists"] && story.reasons(mail(7)).isEmpty)
        try story.reload()
        try story.unfold()
        #expect(story.clone.state.emptied.isEmpty && story.clone.state.taints.keys.sorted() == [mail(2)])
        try story.stable(.set(.key(mail(7)), [3: Value("b")]))
        #expect(story.own(mail(7)) == "7 n f b")
    }

    // MARK: Whose it is

    @Test func `what nobody marked is stable's, the canary's or held, as the policy says`() throws {
        for unattributed in [MergePolicy.Unattributed.stable, .canary, .hold] {
            var story = try Story(.shop(unattributed: unattributed), [(accounts, "1 - 1 0 a s 1 d")])
            try story.nobody(.set(.key(account(1)), [4: Value("b")]))
            #expect(story.isTainted == (unattributed == .canary))
            #expect(story.reasons(account(1)) == (unattributed == .hold ? ["unattributed"] : []))
            #expect(story.isOpen(account(1)) == (unattributed == .hold))
        }
    }

    @Test func `under cascade a transaction with a conflict is kept out, and so is what builds on it`() throws {
        var story = try story(mode: .cascade)
        try story.stable(.set(.key(account(1)), [4: Value("b")]), .set(.key(account(3)), [4: Value("b")]))
        #expect(story.own(account(1)) == "1 - 1 0 a s 1 d" && story.own(account(3)) == nil)
        #expect(story.clone.report.isEmpty)
        let quarantined = try #require(story.clone.quarantined.first)
        #expect(quarantined.conflicts.map(\.reason) == [.updateMissing] && quarantined.transaction.changes.count == 2)
        try story.stable(.set(.key(account(3)), [4: Value("c")]))
        #expect(story.clone.quarantined.count == 2)
        // Column by column is no conflict: the clone keeps what it has of the row.
        try story.stable(.set(.key(account(1)), [2: Value(5)]))
        #expect(story.own(account(1)) == "1 - 5 0 a s 1 d" && story.clone.quarantined.count == 2)
    }

    @Test func `a stream that does not fit live is refused`() throws {
        let story = try story()
        let wrong: [(Change, MergeError)] = [
            (.insert(accounts, new: row("2 - 1 0 a s 1 d")), .alreadyInLive(account(2), commitLSN: 500)),
            (.delete(accounts, old: .key([Value(4)])), .notInLive(account(4), commitLSN: 500)),
            (.delete(accounts, old: .key([])), .shape(accounts, commitLSN: 500)),
            (.insert(accounts, new: row("1 2")), .shape(accounts, commitLSN: 500)),
            (.truncate([TableID(rawValue: 77)]), .unknownTable(TableID(rawValue: 77), commitLSN: 500)),
        ]
        for (change, error) in wrong {
            let source = SourceTransaction(xid: 5, commitLSN: 500, endLSN: 508, origin: .stable, changes: [change])
            #expect(throws: error) { try story.clone.engine.merge([source]) }
        }
    }

    @Test func `a row that the clone should have and has not stops the merge`() throws {
        let story = try story()
        let source = SourceTransaction(
            xid: 5, commitLSN: 500, endLSN: 508, origin: .canary,
            changes: [.update(accounts, old: nil, new: row("77 - 1 0 a s 1 d"))])
        var answers = Answers()
        answers.add(nil, for: account(77))
        #expect(throws: MergeError.notInClone(account(77), commitLSN: 500)) {
            try story.clone.engine.merge([source], answers)
        }
    }
}
