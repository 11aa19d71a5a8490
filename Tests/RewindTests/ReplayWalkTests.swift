// Goal: the decision what of a recording reaches the restored data. Method: single cases by hand, then random histories of
// both arms against an in-memory live and restored database. PERCH_TEST_SEED repeats one history.

import Glibc
import Ports
import Postgres
import Releases
import Testing

@testable import Rewind

private let accounts = RandomHistory.keyed
private let log = RandomHistory.keyless

private func row(_ id: Int, _ a: String, _ b: String = "b", _ long: String = "long") -> [TupleValue] {
    [.of("\(id)"), .of(a), .of(b), .of(long)]
}
private func key(_ id: Int) -> OldTuple {
    OldTuple(kind: .key, values: [.of("\(id)"), .null, .null, .null])
}
private func whole(_ row: [TupleValue]) -> OldTuple { OldTuple(kind: .full, values: row) }
private func line(_ a: String) -> [TupleValue] { [.of(a), .of("b"), .of("long")] }

private struct Told: Equatable {
    var applied = 0
    var reasons: [QuarantinedChange.Reason] = []
    var nothing = 0
}

/// Runs each (arm, change) as a transaction of its own.
private func walk(
    _ changes: [(Arm, RecordedChange)], writes: Policy.DataRollback.Writes = .stable
) -> (walk: ReplayWalk, told: [Told], entries: [QuarantinedChange]) {
    var walk = ReplayWalk(writes: writes, facts: RandomHistory.facts)
    var told: [Told] = []
    var entries: [QuarantinedChange] = []
    for (number, (arm, change)) in changes.enumerated() {
        let transaction = RecordedTransaction(
            xid: UInt32(number), commitLSN: .init(rawValue: 1), endLSN: .init(rawValue: 2),
            committedAt: PostgresTimestamp(microsecondsSince2000: 0), origin: arm, changes: [change])
        walk.begin(transaction)
        switch walk.step(0, of: transaction) {
        case .apply: told.append(Told(applied: 1))
        case .quarantine(let new):
            entries += new
            told.append(Told(reasons: new.map(\.reason)))
        case .nothing: told.append(Told(nothing: 1))
        }
    }
    return (walk, told, entries)
}

@Suite struct ReplayWalkTests {
    @Test func `Stable's changes of rows the canary left alone are applied`() {
        let (walk, told, _) = walk([
            (.stable, .insert(accounts, new: row(1, "s"))),
            (.stable, .update(accounts, old: nil, new: row(1, "s2"))),
            (.stable, .update(accounts, old: key(1), new: row(2, "s2"))),
            (.stable, .delete(accounts, old: key(2))),
            (.stable, .truncate([accounts], cascade: false, restartIdentity: false)),
        ])
        #expect(told == Array(repeating: Told(applied: 1), count: 5))
        #expect(walk.ledger.tables.isEmpty)
        #expect(walk.counts.changes == 5 && walk.counts.stableTransactions == 5)
    }

    @Test func `A row both wrote keeps its last value without the canary, with stable's image in quarantine`() {
        let (walk, told, entries) = walk([
            (.canary, .update(accounts, old: nil, new: row(1, "c"))),
            (.stable, .update(accounts, old: nil, new: row(1, "c", "s"))),
            (.stable, .update(accounts, old: nil, new: row(1, "s", "s"))),
        ])
        #expect(told.map(\.reasons) == [[.canaryWrite], [.bothWrote], [.bothWrote]])
        #expect(entries[1].row?["b"] == "s" && entries[1].key == ["id": "1"] && entries[1].id == 2)
        #expect(walk.ledger.tables[TableName(accounts)]?.rows[[.of("1")]]?.presence == .both)
    }

    @Test func `A row only the canary made takes no update, and its deletion leaves no taint`() {
        let (walk, told, _) = walk([
            (.canary, .insert(accounts, new: row(1, "c"))),
            (.stable, .update(accounts, old: nil, new: row(1, "s"))),
            (.stable, .delete(accounts, old: key(1))),
            (.stable, .insert(accounts, new: row(1, "s"))),
        ])
        #expect(told.map(\.reasons) == [[.canaryWrite], [.updateMissing], [], []])
        #expect(told[2].nothing == 1 && told[3].applied == 1)
        #expect(walk.ledger.tables.isEmpty)
    }

    @Test func `A key that the canary deleted is not inserted again`() {
        let (_, told, _) = walk([
            (.canary, .delete(accounts, old: key(1))),
            (.stable, .insert(accounts, new: row(1, "s"))),
            (.stable, .delete(accounts, old: key(1))),
            (.stable, .insert(accounts, new: row(1, "s"))),
        ])
        #expect(told.map(\.reasons) == [[.canaryWrite], [.insertExists], [], []])
        #expect(told[2].applied == 1 && told[3].applied == 1)
    }

    @Test func `A key moved by the canary taints both keys, and stable's move carries the taint on`() {
        let (walk, told, _) = walk([
            (.canary, .update(accounts, old: key(1), new: row(2, "c"))),
            (.stable, .update(accounts, old: nil, new: row(2, "c", "s"))),
            (.stable, .update(accounts, old: key(2), new: row(3, "c", "s"))),
            (.stable, .insert(accounts, new: row(1, "s"))),
        ])
        #expect(told.map(\.reasons) == [[.canaryWrite], [.updateMissing], [.updateMissing], [.insertExists]])
        let rows = walk.ledger.tables[TableName(accounts)]?.rows
        #expect(rows?[[.of("1")]]?.presence == .both)
        #expect(rows?[[.of("2")]] == nil)
        #expect(rows?[[.of("3")]]?.presence == .liveOnly)
    }

    @Test func `A TRUNCATE by the canary taints the table, one by stable clears it`() {
        let (walk, told, _) = walk([
            (.stable, .insert(accounts, new: row(7, "s"))),
            (.canary, .truncate([accounts, log], cascade: false, restartIdentity: false)),
            (.stable, .insert(accounts, new: row(8, "s"))),
            (.stable, .update(accounts, old: nil, new: row(8, "s2"))),
        ])
        #expect(told.map(\.reasons) == [[], [.canaryWrite, .canaryWrite], [], []])
        #expect(walk.ledger.tables[TableName(accounts)]?.emptiedByCanary == true)
        var after = walk
        let truncate = RecordedTransaction(
            xid: 1, commitLSN: .zero, endLSN: .zero, committedAt: PostgresTimestamp(microsecondsSince2000: 0),
            origin: .stable,
            changes: [.truncate([accounts, log], cascade: false, restartIdentity: false)])
        guard case .apply = after.step(0, of: truncate) else {
            Issue.record("stable's TRUNCATE is applied")
            return
        }
        #expect(after.ledger.tables.isEmpty)
    }

    @Test func `Copies of a row without key are counted, and the canary's copy is the one that goes first`() {
        let (walk, told, _) = walk([
            (.canary, .insert(log, new: line("x"))),
            (.stable, .delete(log, old: whole(line("x")))),
            (.stable, .delete(log, old: whole(line("x")))),
            (.canary, .update(log, old: whole(line("y")), new: line("c"))),
            (.stable, .update(log, old: whole(line("c")), new: line("cs"))),
        ])
        #expect(told.map(\.reasons) == [[.canaryWrite], [], [], [.canaryWrite], [.updateMissing]])
        #expect(told[1].nothing == 1 && told[2].applied == 1)
        #expect(walk.ledger.tables[TableName(log)]?.surplus == [line("y"): -1, line("cs"): 1])
    }

    @Test func `A row without key whose long value was not sent is found by its old tuple`() {
        var unsent = line("s")
        unsent[2] = .unchangedToast
        let (walk, told, entries) = walk([
            (.canary, .update(log, old: whole(line("x")), new: [.of("c"), .of("b"), .unchangedToast])),
            (.stable, .update(log, old: whole(line("c")), new: unsent)),
        ])
        #expect(told[1].reasons == [.updateMissing])
        #expect(entries[1].row?["long"] == "long")
        #expect(walk.ledger.tables[TableName(log)]?.surplus == [line("x"): -1, line("s"): 1])
    }

    @Test func `A tainted row that stable moves to another partition stays out as one change`() {
        var walk = ReplayWalk(writes: .stable, facts: RandomHistory.facts)
        let taint = RecordedTransaction(
            xid: 1, commitLSN: .zero, endLSN: .zero, committedAt: PostgresTimestamp(microsecondsSince2000: 0),
            origin: .canary,
            changes: [.update(RandomHistory.east, old: nil, new: row(1, "c"))])
        _ = walk.step(0, of: taint)
        let move = RecordedTransaction(
            xid: 2, commitLSN: .zero, endLSN: .zero, committedAt: PostgresTimestamp(microsecondsSince2000: 0),
            origin: .stable,
            changes: [
                .delete(RandomHistory.east, old: key(1)), .insert(RandomHistory.west, new: row(1, "c", "s")),
            ])
        walk.begin(move)
        guard case .quarantine(let entries) = walk.step(0, of: move) else {
            Issue.record("the move is quarantined")
            return
        }
        #expect(entries.map(\.reason) == [.bothWrote] && entries[0].operation == "UPDATE")
        #expect(walk.step(1, of: move) == .nothing)
        #expect(walk.ledger.tables[TableName(RandomHistory.west)]?.rows[[.of("1")]]?.presence == .liveOnly)
    }

    @Test func `With all writes wanted, the canary's are applied and nothing is quarantined`() {
        let (walk, told, entries) = walk(
            [
                (.canary, .update(accounts, old: nil, new: row(1, "c"))),
                (.stable, .update(accounts, old: nil, new: row(1, "c", "s"))),
            ], writes: .all)
        #expect(told.map(\.applied) == [1, 1] && entries.isEmpty)
        #expect(walk.counts.canaryTransactions == 0)
    }

    @Test func `Random histories leave no canary value and lose no stable change`() throws {
        let seeds: [UInt64]
        if let text = getenv("PERCH_TEST_SEED"), let seed = UInt64(String(cString: text)) {
            seeds = [seed]
        } else {
            seeds = Array(1...2_000)
        }
        for seed in seeds {
            if let fault = Self.fault(seed: seed) {
                Issue.record("seed \(seed): \(fault)")
                return
            }
        }
    }

    /// - Returns: the first law that did not hold.
    private static func fault(seed: UInt64) -> String? {
        var history = RandomHistory(seed: seed)
        var restored = RestoredRows(history.live)
        var walk = ReplayWalk(writes: .stable, facts: RandomHistory.facts)
        var lastID = 0
        for number in 0..<25 {
            let transaction = history.transaction()
            walk.begin(transaction)
            for index in transaction.changes.indices {
                var entries: [QuarantinedChange] = []
                switch walk.step(index, of: transaction) {
                case .apply(let change, let mustHit):
                    guard change == transaction.changes[index], transaction.origin == .stable else {
                        return "transaction \(number) applies what is not stable's"
                    }
                    if history.chance(5) {
                        entries = walk.refused(index, of: transaction, Refusal(reason: .unique, detail: "chance"))
                        break
                    }
                    switch restored.apply(change) {
                    case .done: break
                    case .hitNothing:
                        if mustHit { return "transaction \(number) change \(index) hit nothing" }
                    case .keyTaken:
                        entries = walk.refused(index, of: transaction, Refusal(reason: .insertExists, detail: ""))
                    }
                case .quarantine(let new):
                    entries = new
                case .nothing:
                    // The second half of a move, or a row that is gone in both.
                    if index > 0, case .insert = transaction.changes[index] { break }
                    guard case .delete = transaction.changes[index] else {
                        return "transaction \(number) change \(index) vanished"
                    }
                }
                for entry in entries {
                    guard entry.id == lastID + 1 else { return "entry \(entry.id) follows \(lastID)" }
                    lastID = entry.id
                }
            }
            if let fault = difference(history.live, restored.tables, walk.ledger) {
                return "after transaction \(number): \(fault)"
            }
        }
        return nil
    }

    private static func difference(
        _ live: [UInt32: Rows], _ clone: [UInt32: Rows], _ ledger: TaintLedger
    ) -> String? {
        for relation in RandomHistory.all {
            let here = live[relation.oid] ?? []
            let there = clone[relation.oid] ?? []
            let table = ledger.tables[TableName(relation)]
            let emptied = table?.emptiedByCanary == true
            if there.contains(where: { $0.contains(where: isCanaryValue) }) {
                return "\(relation.table) has a canary value"
            }
            if relation.oid == 3 {
                for copy in Set(here).union(there) {
                    let more = here.count { $0 == copy } - there.count { $0 == copy }
                    let expected = table?.surplus[copy] ?? 0
                    if emptied ? more > expected : more != expected {
                        return "\(relation.table) \(copy) has \(more) more copies in live, not \(expected)"
                    }
                }
                continue
            }
            for id in 1...6 {
                let key = TupleValue.of("\(id)")
                let ours = here.first { $0[0] == key }
                let theirs = there.first { $0[0] == key }
                let presence = table?.rows[[key]]?.presence
                let fits =
                    switch presence {
                    case nil: emptied ? ours == nil : ours == theirs
                    case .same: ours != nil && ours == theirs
                    case .both: ours != nil && (theirs != nil || emptied)
                    case .liveOnly: ours != nil && theirs == nil
                    case .cloneOnly: ours == nil && (theirs != nil || emptied)
                    }
                if !fits { return "\(relation.table) \(id) is not \(String(describing: presence))" }
            }
        }
        return nil
    }
}
