// Goal: a batch comes to one operation a row, in an order in which nothing is in another's way (rewind: section 11). Method:
// net results of short batches, and each of the section's counterexamples. The clone of these tests looks at its unique
// indexes after every operation.

import Testing

@testable import Merge

private let accounts = Names.accounts

@Suite struct CompactionTests {
    private func story(_ rows: [String] = ["1 ann 1 1 a s 1 d", "2 bob 1 1 a s 1 d"]) throws -> Story {
        try Story(.shop(), rows.map { (accounts, $0) })
    }

    private func net(_ story: inout Story, _ transactions: [[Statement]]) throws -> NetTable {
        var batch: [SourceTransaction] = []
        for statements in transactions { batch.append(try story.source(.stable, statements)) }
        try story.take(batch)
        return try #require(story.last).tables.first ?? NetTable(table: accounts)
    }

    @Test func `what is done to a row comes to one operation`() throws {
        var story = try story()
        let inserted = try net(
            &story, [[.insert(accounts, row("5 - 1 1 a s 1 d"))], [.set(.key(account(5)), [4: Value("b")])]])
        #expect(inserted.inserts == [row("5 - 1 1 b s 1 d")] && inserted.updates.isEmpty && inserted.deletes.isEmpty)
        let nothing = try net(&story, [[.insert(accounts, row("6 - 1 1 a s 1 d"))], [.delete(.key(account(6)))]])
        #expect(nothing.isEmpty)
        let updated = try net(
            &story, [[.set(.key(account(1)), [4: Value("b")])], [.set(.key(account(1)), [3: Value(2)])]])
        #expect(updated.updates.map(\.row) == [account(1)] && updated.inserts.isEmpty)
        let deleted = try net(&story, [[.set(.key(account(1)), [4: Value("x")])], [.delete(.key(account(1)))]])
        #expect(deleted.deletes == [account(1)] && deleted.updates.isEmpty)
        let replaced = try net(&story, [[.delete(.key(account(2)))], [.insert(accounts, row("2 bob 9 9 z z 9 z"))]])
        #expect(replaced.updates.map(\.values) == [row("2 bob 9 9 z z 9 z")] && replaced.deletes.isEmpty)
        let back = try net(
            &story, [[.set(.key(account(2)), [4: Value("y")])], [.set(.key(account(2)), [4: Value("z")])]])
        #expect(back.isEmpty)
    }

    @Test func `TRUNCATE drops what came before it`() throws {
        var story = try Story(.shop(), [(Names.mails, "1 x f a")])
        let insert = try story.source(
            .stable, [.insert(Names.mails, row("2 y f a")), .set(.key(mail(1)), [3: Value("b")])])
        let truncate = try story.source(.stable, [.truncate([Names.mails]), .insert(Names.mails, row("1 z f a"))])
        try story.take(insert, truncate)
        let net = try #require(story.last).tables[0]
        #expect(net.isEmptied && net.inserts == [row("1 z f a")] && net.updates.isEmpty && net.deletes.isEmpty)
    }

    @Test func `changes are merged one by one, not their sum`() throws {
        // Live 2 -> 7 -> 2: as a sum nothing, but the first of them overwrote the canary's value.
        var story = try story()
        try story.canary(.increment(.key(account(1)), 2, by: 1))
        let plus = try story.source(.stable, [.increment(.key(account(1)), 2, by: 5)])
        let minus = try story.source(.stable, [.increment(.key(account(1)), 2, by: -5)])
        try story.take(plus, minus)
        #expect(story.lives(account(1)) == "1 ann 2 1 a s 1 d" && story.own(account(1)) == "1 ann 2 1 a s 1 d")
        #expect(story.reasons(account(1)) == ["overwritten n"])
    }

    @Test func `a tainted row that stable deletes and makes again is new, not merged`() throws {
        var story = try story()
        try story.canary(.set(.key(account(1)), [4: Value("c")]))
        let delete = try story.source(.stable, [.delete(.key(account(1)))])
        let insert = try story.source(.stable, [.insert(accounts, row("1 ann 1 1 c s 1 d"))])
        try story.take(delete, insert)
        #expect(story.own(account(1)) == "1 ann 1 1 c s 1 d" && story.reasons(account(1)) == ["delete_modified"])
    }

    @Test func `unique values that shift or swap are deletes and inserts`() throws {
        var story = try story()
        let shift = try net(
            &story, [[.set(.key(account(2)), [1: Value("cat")]), .set(.key(account(1)), [1: Value("bob")])]])
        #expect(Set(shift.deletes) == [account(1), account(2)] && shift.inserts.count == 2 && shift.updates.isEmpty)
        let swap = try net(&story, [[.swap(account(1), account(2), [1])]])
        #expect(Set(swap.deletes) == [account(1), account(2)] && swap.inserts.count == 2)
    }

    @Test func `a row that gets other values in an exclusion constraint is replaced`() throws {
        let id = TableID(rawValue: 1)
        let schema = try Schema([
            TableSchema(
                id: id, name: "bookings", columns: [.init(name: "id"), .init(name: "during"), .init(name: "a")],
                key: [0],
                excluded: [1])
        ])
        let batch = [
            SourceTransaction(
                xid: 1, commitLSN: 1, endLSN: 1, origin: .stable,
                changes: [.update(id, old: nil, new: row("1 [3,4) a")), .update(id, old: nil, new: row("2 [1,2) b"))])
        ]
        var answers = Answers()
        answers.add(row("1 [1,2) a"), for: RowID(table: id, key: row("1")))
        answers.add(row("2 [1,2) a"), for: RowID(table: id, key: row("2")))
        guard case .done(let net) = try MergeEngine(schema: schema).merge(batch, answers) else {
            Issue.record("asked for more")
            return
        }
        let table = try #require(net.tables.first)
        #expect(table.deletes.map(\.key) == [row("1")] && table.inserts == [row("1 [3,4) a")])
        #expect(table.updates.map(\.row.key) == [row("2")])
    }

    @Test func `a unique value is free before it is taken`() throws {
        var story = try story()
        let net = try net(&story, [[.delete(.key(account(1)))], [.insert(accounts, row("3 ann 1 1 a s 1 d"))]])
        #expect(net.deletes == [account(1)] && net.inserts.count == 1)
        let other = try self.net(
            &story, [[.set(.key(account(3)), [1: Value("eve")])], [.insert(accounts, row("4 ann 1 1 a s 1 d"))]])
        #expect(other.deletes == [account(3)] && other.inserts.count == 2)
    }

    @Test func `a key change takes along what was not sent, over several keys`() throws {
        var story = try story(["1 ann 1 1 a s 1 document"])
        let net = try net(
            &story, [[.set(.key(account(1)), [0: Value(5)])], [.set(.key(account(5)), [0: Value(6), 4: Value("b")])]])
        #expect(net.deletes == [account(1)] && net.inserts == [row("6 ann 1 1 b s 1 document")])
    }

    @Test func `a key that is left and taken is one row`() throws {
        var story = try story()
        let net = try net(
            &story, [[.set(.key(account(1)), [0: Value(5)])], [.set(.key(account(2)), [0: Value(1)])]])
        // Row 1 is another account now, with another name.
        #expect(Set(net.deletes) == [account(1), account(2)])
        #expect(Set(net.inserts) == [row("5 ann 1 1 a s 1 d"), row("1 bob 1 1 a s 1 d")])
    }

    @Test func `a batch can be written twice`() throws {
        var story = try story()
        try story.canary(.set(.key(account(2)), [4: Value("c")]))
        let batch = [
            try story.source(
                .stable, [.swap(account(1), account(2), [1]), .insert(accounts, row("3 eve 1 1 a s 1 d"))]),
            try story.source(.stable, [.set(.key(account(1)), [0: Value(7)]), .delete(.key(account(3)))]),
        ]
        try story.take(batch)
        let net = try #require(story.last)
        var again = story.clone.database
        for table in net.tables { try again.applyLeniently(table) }
        #expect(again.rows == story.clone.database.rows)
    }

    @Test func `what was merged before is passed over`() throws {
        var story = try story()
        let source = try story.source(.stable, [.increment(.key(account(1)), 2, by: 1)])
        try story.take(source)
        try story.take(source)
        #expect(story.own(account(1)) == "1 ann 2 1 a s 1 d" && story.clone.engine.position == source.endLSN)
        #expect(try #require(story.last).tables.isEmpty)
    }

    @Test func `the same batch comes to the same operations in the same order`() throws {
        var story = try story()
        try story.canary(.set(.key(account(1)), [1: Value("eve")]), .insert(accounts, row("9 x 1 1 c s 1 d")))
        let sources = [
            try story.source(
                .stable, [.set(.key(account(2)), [1: Value("ann")]), .insert(Names.orders, row("1 9 1 0 a d"))]),
            try story.source(.stable, [.insert(accounts, row("8 y 1 1 a s 1 d")), .delete(.key(account(1)))]),
        ]
        let outcomes = try (0..<5).map { _ in
            var clone = story.clone
            return try clone.merge(sources)
        }
        for outcome in outcomes {
            #expect(outcome.tables == outcomes[0].tables && outcome.state == outcomes[0].state)
        }
        try story.take(sources)
    }
}
