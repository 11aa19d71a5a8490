// Goes through the recorded transactions in commit order and says of each change what becomes of it. Pure: no clock, no
// I/O. The same recording and the same refusals give the same steps and the same quarantine, so after a crash the walk is
// repeated from the start instead of being kept somewhere.

import Ports
import Postgres
import Releases

/// A change the restored database did not take.
struct Refusal: Hashable, Sendable, Codable {
    var reason: QuarantinedChange.Reason
    /// What the database said.
    var detail: String

    init(reason: QuarantinedChange.Reason, detail: String) {
        self.reason = reason
        self.detail = detail
    }
}

/// What was done and kept out so far.
struct ReplayCounts: Hashable, Sendable {
    var stableTransactions = 0
    var changes = 0
    var canaryTransactions = 0
    var canaryRows = 0
    var conflicts = 0
    /// Stable changes of rows that only the canary had made and that are gone in both databases.
    var withoutEffect = 0
}

struct ReplayWalk: Sendable {
    enum Step: Hashable, Sendable {
        /// - Parameter mustHit: finding no such row in the restored database is an error.
        case apply(RecordedChange, mustHit: Bool)
        /// A TRUNCATE of several tables gives one entry each.
        case quarantine([QuarantinedChange])
        case nothing
    }

    let writes: Policy.DataRollback.Writes
    private(set) var ledger: TaintLedger
    private(set) var counts = ReplayCounts()
    private var nextID = 1
    /// The change before was the first half of a move between partitions, which was quarantined as a whole.
    private var isInsideMove = false

    init(writes: Policy.DataRollback.Writes, facts: [TableName: TableFacts]) {
        self.writes = writes
        ledger = TaintLedger(facts: facts)
    }

    /// To be called before a transaction's first step.
    mutating func begin(_ transaction: RecordedTransaction) {
        isInsideMove = false
        guard !transaction.changes.isEmpty else { return }
        if isKeptOut(transaction) { counts.canaryTransactions += 1 } else { counts.stableTransactions += 1 }
    }

    /// What becomes of the change at `index`; to be called for each in order.
    mutating func step(_ index: Int, of transaction: RecordedTransaction) -> Step {
        let change = transaction.changes[index]
        if writes == .all {
            counts.changes += 1
            return .apply(change, mustHit: true)
        }
        if isInsideMove {
            isInsideMove = false
            return .nothing
        }
        if !isKeptOut(transaction), let entry = move(at: index, of: transaction) { return .quarantine([entry]) }
        switch ledger.decide(change, by: transaction.origin) {
        case .apply(let mustHit):
            counts.changes += 1
            return .apply(change, mustHit: mustHit)
        case .nothingToDo:
            counts.withoutEffect += 1
            return .nothing
        case .quarantine(let reason, let byCanary):
            return .quarantine(entries(change, of: transaction, reason, detail: sentence(reason, byCanary: byCanary)))
        }
    }

    /// The restored database did not take the change at `index`, which the last step had said to apply.
    mutating func refused(
        _ index: Int, of transaction: RecordedTransaction, _ refusal: Refusal
    ) -> [QuarantinedChange] {
        let change = transaction.changes[index]
        counts.changes -= 1
        if writes == .stable { ledger.refused(change, keyTaken: refusal.reason == .insertExists) }
        return entries(change, of: transaction, refusal.reason, detail: refusal.detail)
    }

    /// A row that referred to one that is not there was taken out of the restored database.
    mutating func removed(
        _ row: [TupleValue], of relation: RelationDefinition, at place: RecordedTransaction, detail: String
    ) -> QuarantinedChange {
        ledger.removedFromClone(relation, row)
        return entry(
            place, relation, .foreignKey, origin: .stable, operation: "INSERT", old: nil, new: row, detail: detail)
    }

    private func isKeptOut(_ transaction: RecordedTransaction) -> Bool {
        writes == .stable && transaction.origin == .canary
    }

    /// An UPDATE that moves a row to another partition is recorded as a DELETE and, right behind it, an INSERT. When the
    /// row is tainted the inserted image carries the canary's values, so both halves belong together.
    private mutating func move(at index: Int, of transaction: RecordedTransaction) -> QuarantinedChange? {
        guard index + 1 < transaction.changes.count,
            case .delete(let source, let old) = transaction.changes[index],
            case .insert(let target, let new) = transaction.changes[index + 1],
            source.oid != target.oid, let root = ledger.facts[TableName(source)]?.root,
            ledger.facts[TableName(target)]?.root == root,
            case .quarantine(let reason, let byCanary) = ledger.decideMove(from: source, old, to: target, new)
        else { return nil }
        isInsideMove = true
        return entry(
            transaction, target, reason, origin: .stable, operation: "UPDATE", old: old, new: new,
            detail: sentence(reason, byCanary: byCanary))
    }

    private mutating func entries(
        _ change: RecordedChange, of transaction: RecordedTransaction, _ reason: QuarantinedChange.Reason,
        detail: String
    ) -> [QuarantinedChange] {
        func make(_ relation: RelationDefinition, _ operation: String, _ old: OldTuple?, _ new: [TupleValue]?)
            -> QuarantinedChange
        {
            entry(
                transaction, relation, reason, origin: transaction.origin, operation: operation, old: old, new: new,
                detail: detail)
        }
        switch change {
        case .insert(let relation, let new): return [make(relation, "INSERT", nil, new)]
        case .update(let relation, let old, let new):
            return [make(relation, "UPDATE", old, filled(new, from: old, relation))]
        case .delete(let relation, let old): return [make(relation, "DELETE", old, nil)]
        case .truncate(let relations, _, _): return relations.map { make($0, "TRUNCATE", nil, nil) }
        }
    }

    private mutating func entry(
        _ transaction: RecordedTransaction, _ relation: RelationDefinition, _ reason: QuarantinedChange.Reason,
        origin: Arm, operation: String, old: OldTuple?, new: [TupleValue]?, detail: String
    ) -> QuarantinedChange {
        defer { nextID += 1 }
        if reason == .canaryWrite { counts.canaryRows += 1 } else { counts.conflicts += 1 }
        let identity = relation.identity(ledger.facts[TableName(relation)])
        var key: [String: String?] = [:]
        if let values = old?.values ?? new {
            let positions: [Int]
            switch identity {
            case .key(let columns): positions = columns
            case .wholeRow: positions = Array(relation.columns.indices)
            }
            for position in positions { key[relation.columns[position].name] = .some(shown(values[position])) }
        }
        return QuarantinedChange(
            id: nextID, reason: reason, origin: origin, table: TableName(relation).description, operation: operation,
            key: key, row: new.map { relation.named($0) }, commitLSN: transaction.commitLSN.description,
            xid: transaction.xid, committedAt: transaction.committedAt.millisecondsSince1970, detail: detail)
    }

    private func sentence(_ reason: QuarantinedChange.Reason, byCanary: Bool) -> String {
        guard byCanary else { return "an earlier change of this row is in quarantine, so this one does not fit" }
        switch reason {
        case .canaryWrite: return "the canary wrote it"
        case .bothWrote: return "the canary had changed this row, so its image carries the canary's values"
        case .updateMissing: return "only the canary had made this row"
        case .insertExists: return "the canary had deleted the row that has this key, and it is back"
        case .foreignKey, .unique, .constraint: return "the restored data refused it"
        }
    }
}

extension RelationDefinition {
    /// Column -> text; values that the stream did not send are left out.
    func named(_ values: [TupleValue]) -> [String: String?] {
        var row: [String: String?] = [:]
        for (column, value) in zip(columns, values) where value != .unchangedToast {
            row[column.name] = .some(shown(value))
        }
        return row
    }
}

/// The text as PostgreSQL sent it, readable even where it is not UTF-8; nil for NULL and for what was not sent.
private func shown(_ value: TupleValue) -> String? {
    guard case .text(let bytes) = value else { return nil }
    return String(decoding: bytes, as: UTF8.self)
}
