// Goal: tables whose rows have no key are merged copy by copy, partitioned ones row by row. Method: short stories.

import Merge
import Testing

private let log = Names.log

@Suite struct KeylessTests {
    private func story(canaryRow: MergePolicy.CanaryRow = .keep, mode: MergeMode = .nonconflict) throws -> Story {
        try Story(.shop(mode: mode, canaryRow: canaryRow), [(log, "- x d"), (log, "- x d"), (log, "- y d")])
    }

    @Test func `one copy is written at a time`() throws {
        var story = try story()
        let source = SourceTransaction(
            xid: 1, commitLSN: 100, endLSN: 108, origin: .stable, changes: [.delete(log, old: .full(row("- x d")))])
        var clone = story.clone
        try clone.merge([source])
        #expect(clone.database.copies[log]?[row("- x d")] == 1)
        try story.stable(.set(.key(logLine("- x d")), [1: Value("z")]), .insert(log, row("- z d")))
        #expect(story.copies("- x d") == 1 && story.copies("- z d") == 2 && story.clone.report.isEmpty)
    }

    @Test func `the canary's copies stay out and its deletes undone`() throws {
        var story = try story()
        try story.canary(
            .insert(log, row("- c d")), .delete(.key(logLine("- y d"))), .set(.key(logLine("- x d")), [1: Value("w")]))
        #expect(story.copies("- c d") == 0 && story.copies("- y d") == 1 && story.copies("- x d") == 2)
        #expect(
            story.clone.engine.excessCopies == [
                logLine("- c d"): 1, logLine("- y d"): -1, logLine("- x d"): -1, logLine("- w d"): 1,
            ])
        try story.stable(.delete(.key(logLine("- c d"))), .insert(log, row("- y d")))
        #expect(story.copies("- y d") == 2 && story.clone.report.isEmpty)
    }

    @Test func `a copy that only live has becomes the clone's once stable changes it`() throws {
        var story = try story()
        try story.canary(.insert(log, row("- c d")))
        try story.stable(.set(.key(logLine("- c d")), [1: Value("b")]))
        #expect(story.copies("- b d") == 1 && story.reasons(logLine("- b d")) == ["update_missing"])
        story = try self.story(canaryRow: .drop)
        try story.canary(.insert(log, row("- c d")))
        try story.stable(.set(.key(logLine("- c d")), [1: Value("b")]))
        #expect(story.copies("- b d") == 0 && story.reasons(logLine("- b d")) == ["dropped"])
        story = try self.story(mode: .cascade)
        try story.canary(.insert(log, row("- c d")))
        try story.stable(.set(.key(logLine("- c d")), [1: Value("b")]), .insert(log, row("- n d")))
        #expect(story.copies("- b d") == 0 && story.copies("- n d") == 0 && story.clone.quarantined.count == 1)
    }

    @Test func `copies in the clone are taken before those that only live has`() throws {
        var story = try story()
        try story.canary(.insert(log, row("- y d")))
        let source = SourceTransaction(
            xid: 9, commitLSN: 900, endLSN: 908, origin: .stable, changes: [.delete(log, old: .full(row("- y d")))])
        var clone = story.clone
        try clone.merge([source])
        #expect(clone.database.copies[log]?[row("- y d")] == nil)
        #expect(clone.engine.excessCopies == [logLine("- y d"): 1])
    }

    @Test func `a table that the canary emptied is counted by live's copies`() throws {
        var story = try story()
        try story.canary(.truncate([log]), .insert(log, row("- x d")))
        #expect(story.copies("- x d") == 2)
        try story.stable(.insert(log, row("- n d")), .delete(.key(logLine("- x d"))))
        #expect(story.copies("- n d") == 1 && story.copies("- x d") == 1)
        try story.reload()
        try story.unfold()
        #expect(story.clone.engine.excessCopies == [logLine("- x d"): -1, logLine("- y d"): -1])
    }

    // MARK: Partitions

    @Test func `a row that moves to another partition is merged, though the stream says DELETE and INSERT`() throws {
        for isFull in [false, true] {
            var story = try Story(
                .shop(onUpdate: .cascade, isFull: isFull), [(Names.east, "east 1 - 3 a"), (Names.notes, "1 east 1 a")])
            try story.canary(.set(.key(event("east", 1)), [3: Value(5)]))
            try story.stable(.set(.key(event("east", 1)), [0: Value("west"), 4: Value("b")]))
            // west: id region a n account
            #expect(story.lives(event("west", 1)) == "1 west b 5 -" && story.own(event("west", 1)) == "1 west b 3 -")
            #expect(story.own(event("east", 1)) == nil && story.reasons(event("west", 1)) == ["kept n", "moved"])
            #expect(story.own(note(1)) == "1 west 1 a")
        }
    }

    @Test func `a DELETE and an INSERT of keys that have nothing in common are two changes`() throws {
        var story = try Story(.shop(), [(Names.east, "east 1 - 3 a")])
        try story.canary(.set(.key(event("east", 1)), [3: Value(5)]))
        try story.stable(.delete(.key(event("east", 1))), .insert(Names.west, row("2 west b 5 -")))
        #expect(story.own(event("east", 1)) == nil && story.own(event("west", 2)) == "2 west b 5 -")
        #expect(story.reasons(event("east", 1)) == ["delete_modified"] && story.reasons(event("west", 2)) == ["moved"])
    }

    @Test func `copies that a foreign key changed in the clone need a parent there`() throws {
        // The copy that only the clone has gets the default 9, and there is no parent 9: it goes, as live's did.
        let action = ReferentialAction.assign([0: Value(9)])
        let key = ForeignKey(
            id: ForeignKeyID(rawValue: 1), columns: [0], references: UniqueID(rawValue: 1), onDelete: action)
        let (parents, children) = (TableID(rawValue: 1), TableID(rawValue: 2))
        let schema = try Schema([
            TableSchema(
                id: parents, name: "parents", columns: [.init(name: "id")], key: [0],
                uniques: [UniqueIndex(id: UniqueID(rawValue: 1), columns: [0])]),
            TableSchema(id: children, name: "children", columns: [.init(name: "parent")], key: [], foreignKeys: [key]),
        ])
        let engine = MergeEngine(schema: schema)
        let batch = [
            SourceTransaction(
                xid: 1, commitLSN: 1, endLSN: 1, origin: .canary, changes: [.delete(children, old: .full(row("1")))]),
            SourceTransaction(
                xid: 2, commitLSN: 2, endLSN: 2, origin: .stable, changes: [.delete(parents, old: .key(row("1")))]),
        ]
        var answers = Answers()
        answers.add(nil, for: RowID(table: parents, key: row("9")))
        answers.add(copies: 1, for: RowID(table: children, key: row("1")))
        answers.add(copies: 0, for: RowID(table: children, key: row("9")))
        guard case .done(let net) = try engine.merge(batch, answers) else {
            Issue.record("asked for more")
            return
        }
        #expect(
            net.tables.map(\.copiesAdded) == [[], []]
                && net.tables[1].copiesRemoved == [NetCopies(row: row("1"), count: 1)])
        #expect(net.state.findings.map(\.reason) == [.foreignKeyAction, .foreignKeyAction, .foreignKeyChild])
    }

    @Test func `a DELETE and an INSERT in one partition are two changes`() throws {
        var story = try Story(.shop(), [(Names.east, "east 1 - 3 a")])
        try story.canary(.set(.key(event("east", 1)), [3: Value(5)]))
        try story.stable(.delete(.key(event("east", 1))), .insert(Names.east, row("east 1 - 5 b")))
        #expect(story.own(event("east", 1)) == "east 1 - 5 b" && story.reasons(event("east", 1)) == ["delete_modified"])
    }
}
