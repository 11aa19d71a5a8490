// Goal: what is in the clone's own tables is enough to go on (P5), and small. Method: restored engines beside those that
// were never stopped; the deltas that a batch asks for.

import Foundation
import Merge
import Testing

private let accounts = Names.accounts

@Suite struct PersistenceTests {
    @Test func `a batch writes only what changed`() throws {
        var story = try Story(.shop(), [(accounts, "1 - 1 1 a s 1 d"), (accounts, "2 - 1 1 a s 1 d")])
        try story.stable(.set(.key(account(1)), [4: Value("b")]))
        var delta = try #require(story.last).state
        #expect(delta.taints.isEmpty && delta.taintsRemoved.isEmpty && delta.findings.isEmpty && delta.position == 108)
        try story.canary(.set(.key(account(1)), [4: Value("c")]), .insert(Names.log, row("- x d")))
        delta = try #require(story.last).state
        #expect(delta.taints == [TaintRecord(row: account(1), live: row("1 - 1 1 c s 1 d"), xid: 2)])
        #expect(delta.copies == [CopiesRecord(row: logLine("- x d"), count: 1, xid: 2)])
        try story.canary(.set(.key(account(1)), [4: Value("b")]), .delete(.key(logLine("- x d"))))
        delta = try #require(story.last).state
        #expect(delta.taintsRemoved == [account(1)] && delta.copiesRemoved == [logLine("- x d")])
        #expect(delta.taints.isEmpty && delta.copies.isEmpty && story.clone.state == PersistedState(at: delta.position))
        try story.canary(.insert(Names.mails, row("1 x f a")), .truncate([Names.mails]))
        delta = try #require(story.last).state
        #expect(delta.forgotten == [Names.mails] && delta.emptied == [EmptiedTable(table: Names.mails, xid: 4)])
        try story.stable(.truncate([Names.mails]))
        delta = try #require(story.last).state
        #expect(delta.forgotten == [Names.mails] && delta.emptied.isEmpty && story.clone.state.emptied.isEmpty)
    }

    @Test func `an engine is restored from its records and the clone's rows of tainted keys`() throws {
        var story = try Story(.shop(), [(accounts, "1 ann 1 1 a s 1 d"), (accounts, "2 bob 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [1: Value("eve")]), .insert(Names.mails, row("3 X t c")))
        guard
            case .needs(let lookups) = try MergeEngine.restore(
                schema: story.world.schema, policy: story.world.policy, from: story.clone.state)
        else {
            Issue.record("nothing was asked")
            return
        }
        #expect(lookups == [.row(account(1)), .row(mail(3))])
        try story.reload()
        // The restored engine finds the clone's row that has the name.
        try story.stable(.set(.key(account(2)), [1: Value("ann")]), .insert(Names.mails, row("4 y t a")))
        #expect(story.reasons(account(1)) == ["unique"])
    }

    @Test func `records survive being stored, with bytes that are no text`() throws {
        let id = RowID(table: accounts, key: [.text([0xFF, 0x41]), .null, Value("ä")])
        var state = PersistedState()
        state.taints[id] = TaintRecord(row: id, live: id.key, xid: 7)
        state.copies[id] = CopiesRecord(row: id, count: -2, xid: 8)
        state.emptied[accounts] = EmptiedTable(table: accounts, xid: 9)
        state.ghosts[id] = Ghost(row: id, values: ["a": .null, "b": .text([0xFE])], healedLSN: 5)
        state.position = 1 << 60
        let stored = try JSONEncoder().encode(state)
        #expect(try JSONDecoder().decode(PersistedState.self, from: stored) == state)
        #expect(throws: EncodingError.self) { try JSONEncoder().encode([Value.unchanged]) }
    }

    @Test func `findings are one per row, reason and column, and absorb later ones`() throws {
        var story = try Story(.shop(rules: ["n": .hold]), [(accounts, "1 - 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [2: Value(5)]))
        let first = try story.source(.stable, [.set(.key(account(1)), [2: Value(6)])])
        let canary = try story.source(.canary, [.set(.key(account(1)), [2: Value(7)])])
        let second = try story.source(.stable, [.set(.key(account(1)), [2: Value(8)])])
        try story.take(first, canary, second)
        let finding = try #require(story.clone.findings(account(1)).first)
        #expect(story.clone.report.count == 1 && finding.count == 2 && finding.isOpen)
        #expect(finding.saved == row("1 - 1 1 a s 1 d"))
        #expect(finding.firstCommitLSN == first.commitLSN && finding.lastCommitLSN == second.commitLSN)
    }

    @Test func `only open findings hold up a rollback, and only under nocascade`() {
        #expect(
            MergeMode.nocascade.gate(openEntries: 1) == .refuse && MergeMode.nocascade.gate(openEntries: 0) == .proceed)
        #expect(MergeMode.nonconflict.gate(openEntries: 1) == .proceedWithOpenDecisions)
        #expect(MergeMode.nonconflict.gate(openEntries: 0) == .proceed)
        #expect(MergeMode.force.gate(openEntries: 1) == .proceed && MergeMode.cascade.gate(openEntries: 1) == .proceed)
    }

    // MARK: Lookups

    @Test func `stable's traffic on equal rows of plain tables asks nothing`() throws {
        var story = try Story(.shop(), [(Names.nodes, "1 - a"), (Names.log, "- x d"), (Names.notes, "1 - - a")])
        try story.canary(.insert(Names.nodes, row("9 - c")))
        try story.stable(
            .insert(Names.nodes, row("2 1 a")), .set(.key(node(1)), [2: Value("b")]), .delete(.key(note(1))),
            .insert(Names.log, row("- y d")), .delete(.key(logLine("- x d"))))
        #expect(story.clone.rounds == 0)
    }

    @Test func `everything that a batch needs is asked for at once`() throws {
        var story = try Story(
            .shop(), (1...5).map { (accounts, "\($0) n\($0) 1 1 a s 1 d") } + [(Names.nodes, "1 - a")])
        let batch = try (1...5).map { id in
            try story.source(id == 3 ? .canary : .stable, [.set(.key(account(id)), [4: Value("b")])])
        }
        guard case .needs(let lookups) = try story.clone.engine.merge(batch) else {
            Issue.record("nothing was asked")
            return
        }
        #expect(lookups == Set((1...5).map { .row(account($0)) }))
        try story.take(batch)
        #expect(story.clone.rounds == 1)
    }
}

extension PersistedState {
    fileprivate init(at position: UInt64) {
        self.init()
        self.position = position
    }
}
