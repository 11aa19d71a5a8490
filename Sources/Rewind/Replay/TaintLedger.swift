// Which rows of the live and the restored database differ, change by change. Pure: no clock, no I/O.
//
// Live is what the stream shows; the restored database (the clone) takes only what this ledger lets through. A row is in
// one of these standings; those without a name in the table are not kept in memory:
//
//   standing    live      clone     a stable UPDATE is                 a stable DELETE is
//   (none)      equal, or in neither  applied                          applied
//   both        present   present   bothWrote: not applied             applied, standing (none)
//   liveOnly    present   absent    updateMissing: not applied         nothing to do, standing (none)
//   cloneOnly   absent    present   (no such record: it hit no row)    (no such record)
//
// After a TRUNCATE by the canary every row of the table that has no standing is absent in live and perhaps in the clone.
// There rows that are equal are kept as `same`, and the clone itself says whether an inserted key is taken.
//
// Rows of a table without a key are only counted: `surplus` is how many more copies live has than the clone.

import Ports
import Postgres
import Releases

struct TaintLedger: Sendable {
    /// What becomes of a change.
    enum Decision: Hashable, Sendable {
        /// - Parameter mustHit: finding no such row in the clone is an error.
        case apply(mustHit: Bool)
        /// The clone is as the change wants it without doing anything.
        case nothingToDo
        /// - Parameter byCanary: false when an earlier stable change of the row was refused, so this one does not fit.
        case quarantine(QuarantinedChange.Reason, byCanary: Bool)
    }

    enum Presence: Hashable, Sendable { case both, liveOnly, cloneOnly, same }

    struct Standing: Hashable, Sendable {
        var presence: Presence
        var byCanary: Bool
    }

    /// What is known of one table.
    struct Table: Sendable {
        var rows: [RowKey: Standing] = [:]
        var surplus: [RowKey: Int] = [:]
        var emptiedByCanary = false
        /// The relation the keys' values belong to.
        var relation: RelationDefinition
        var identity: RowIdentity

        /// Keys whose rows differ, or may.
        var tainted: [RowKey] { rows.compactMap { $0.value.presence == .same ? nil : $0.key } }
        var isTainted: Bool { emptiedByCanary || !tainted.isEmpty || !surplus.isEmpty }
    }

    let facts: [TableName: TableFacts]
    private(set) var tables: [TableName: Table] = [:]

    init(facts: [TableName: TableFacts]) {
        self.facts = facts
    }

    /// Lets a change through or not, and takes note of what that does.
    mutating func decide(_ change: RecordedChange, by origin: Arm) -> Decision {
        switch (change, origin) {
        case (.insert(let relation, let new), .stable):
            return edit(relation) { $0.stableInsert($0.identity.key(of: new)) }
        case (.update(let relation, let old, let new), .stable):
            return edit(relation) { table in
                let (from, to) = table.keys(old, new)
                return table.stableUpdate(from, to)
            }
        case (.delete(let relation, let old), .stable):
            return edit(relation) { $0.stableDelete($0.identity.key(of: old.values)) }
        case (.truncate(let relations, _, _), .stable):
            for relation in relations { tables[TableName(relation)] = nil }
            return .apply(mustHit: false)
        case (.insert(let relation, let new), .canary):
            edit(relation) { $0.appearedInLive($0.identity.key(of: new), byCanary: true) }
        case (.update(let relation, let old, let new), .canary):
            edit(relation) { table in
                let (from, to) = table.keys(old, new)
                table.changedInLive(from, to, byCanary: true)
            }
        case (.delete(let relation, let old), .canary):
            edit(relation) { $0.goneFromLive($0.identity.key(of: old.values), byCanary: true) }
        case (.truncate(let relations, _, _), .canary):
            for relation in relations { edit(relation) { $0.emptiedInLive() } }
        }
        return .quarantine(.canaryWrite, byCanary: true)
    }

    /// A DELETE and an INSERT that are one UPDATE moving a row between partitions.
    ///
    /// - Returns: nil when the row moved may be applied as the two changes it is recorded as.
    mutating func decideMove(
        from source: RelationDefinition, _ old: OldTuple, to target: RelationDefinition, _ new: [TupleValue]
    ) -> Decision? {
        let leaving = edit(source) { table -> Standing? in
            let key = table.identity.key(of: old.values)
            guard let standing = table.standing(key), standing.presence != .same else { return nil }
            table.goneFromLive(key, byCanary: standing.byCanary)
            return standing
        }
        guard let leaving else { return nil }
        edit(target) { $0.appearedInLive($0.identity.key(of: new), byCanary: leaving.byCanary) }
        return .quarantine(leaving.presence == .both ? .bothWrote : .updateMissing, byCanary: leaving.byCanary)
    }

    /// The clone refused a change that ``decide(_:by:)`` had let through.
    mutating func refused(_ change: RecordedChange, keyTaken: Bool) {
        switch change {
        case .insert(let relation, let new):
            edit(relation) { table in
                let key = table.identity.key(of: new)
                table.forget(key)
                if keyTaken, table.identity != .wholeRow { table.set(key, .cloneOnly, byCanary: false) }
                table.appearedInLive(key, byCanary: false)
            }
        case .update(let relation, let old, let new):
            edit(relation) { table in
                let (from, to) = table.keys(old, new)
                if from != to, table.identity != .wholeRow {
                    table.forget(to)
                    if keyTaken { table.set(to, .cloneOnly, byCanary: false) }
                    if table.emptiedByCanary { table.set(from, .same, byCanary: false) }
                }
                table.changedInLive(from, to, byCanary: false)
            }
        case .delete(let relation, let old):
            edit(relation) { table in
                let key = table.identity.key(of: old.values)
                if table.identity != .wholeRow { table.set(key, .same, byCanary: false) }
                table.goneFromLive(key, byCanary: false)
            }
        case .truncate(let relations, _, _):
            for relation in relations { edit(relation) { $0.emptiedInLive() } }
        }
    }

    /// A row that live has was taken out of the clone.
    mutating func removedFromClone(_ relation: RelationDefinition, _ row: [TupleValue]) {
        edit(relation) { table in
            let key = table.identity.key(of: row)
            table.forget(key)
            if table.identity == .wholeRow {
                table.count(key, 1)
            } else {
                table.set(key, .liveOnly, byCanary: false)
            }
        }
    }

    @discardableResult
    private mutating func edit<Result>(_ relation: RelationDefinition, _ body: (inout Table) -> Result) -> Result {
        let name = TableName(relation)
        var table =
            tables.removeValue(forKey: name)
            ?? Table(relation: relation, identity: relation.identity(facts[name]))
        let result = body(&table)
        if table.emptiedByCanary || !table.rows.isEmpty || !table.surplus.isEmpty { tables[name] = table }
        return result
    }
}

extension TaintLedger.Table {
    func standing(_ key: RowKey) -> TaintLedger.Standing? {
        if identity == .wholeRow {
            return surplus[key, default: 0] > 0 ? .init(presence: .liveOnly, byCanary: true) : nil
        }
        return rows[key]
    }

    /// Key before and after an UPDATE.
    func keys(_ old: OldTuple?, _ new: [TupleValue]) -> (from: RowKey, to: RowKey) {
        let to = identity.key(of: filled(new, from: old, relation))
        guard let old else { return (to, to) }
        return (identity.key(of: old.values), to)
    }

    mutating func set(_ key: RowKey, _ presence: TaintLedger.Presence, byCanary: Bool) {
        rows[key] = .init(presence: presence, byCanary: byCanary)
    }

    mutating func forget(_ key: RowKey) { rows[key] = nil }

    mutating func count(_ row: RowKey, _ change: Int) {
        let copies = surplus[row, default: 0] + change
        surplus[row] = copies == 0 ? nil : copies
    }

    // MARK: Live moved, the clone did not

    mutating func appearedInLive(_ key: RowKey, byCanary: Bool) {
        if identity == .wholeRow { return count(key, 1) }
        switch rows[key]?.presence {
        case nil: set(key, emptiedByCanary ? .both : .liveOnly, byCanary: byCanary)
        case .cloneOnly, .both, .same: set(key, .both, byCanary: byCanary)
        case .liveOnly: set(key, .liveOnly, byCanary: byCanary)
        }
    }

    mutating func goneFromLive(_ key: RowKey, byCanary: Bool) {
        if identity == .wholeRow { return count(key, -1) }
        switch rows[key]?.presence {
        case nil, .both, .same, .cloneOnly: set(key, .cloneOnly, byCanary: byCanary)
        case .liveOnly: forget(key)
        }
    }

    mutating func changedInLive(_ from: RowKey, _ to: RowKey, byCanary: Bool) {
        if from != to || identity == .wholeRow {
            goneFromLive(from, byCanary: byCanary)
            appearedInLive(to, byCanary: byCanary)
        } else if rows[from]?.presence == .liveOnly {
            set(from, .liveOnly, byCanary: byCanary)
        } else {
            set(from, .both, byCanary: byCanary)
        }
    }

    mutating func emptiedInLive() {
        rows = [:]
        surplus = [:]
        emptiedByCanary = true
    }

    // MARK: Live moved, the clone follows if it may

    mutating func stableInsert(_ key: RowKey) -> TaintLedger.Decision {
        if identity == .wholeRow { return .apply(mustHit: true) }
        guard let standing = rows[key] else {
            if emptiedByCanary { set(key, .same, byCanary: false) }
            return .apply(mustHit: true)
        }
        appearedInLive(key, byCanary: standing.byCanary)
        return .quarantine(.insertExists, byCanary: standing.byCanary)
    }

    mutating func stableUpdate(_ from: RowKey, _ to: RowKey) -> TaintLedger.Decision {
        if identity == .wholeRow {
            guard surplus[from, default: 0] > 0 else { return .apply(mustHit: true) }
            changedInLive(from, to, byCanary: true)
            return .quarantine(.updateMissing, byCanary: true)
        }
        if let standing = rows[from], standing.presence != .same {
            changedInLive(from, to, byCanary: standing.byCanary)
            return .quarantine(
                standing.presence == .liveOnly ? .updateMissing : .bothWrote, byCanary: standing.byCanary)
        }
        guard from != to else { return .apply(mustHit: true) }
        if let taken = rows[to] {
            changedInLive(from, to, byCanary: taken.byCanary)
            return .quarantine(.insertExists, byCanary: taken.byCanary)
        }
        forget(from)
        if emptiedByCanary { set(to, .same, byCanary: false) }
        return .apply(mustHit: true)
    }

    mutating func stableDelete(_ key: RowKey) -> TaintLedger.Decision {
        if identity == .wholeRow {
            guard surplus[key, default: 0] > 0 else { return .apply(mustHit: true) }
            count(key, -1)
            return .nothingToDo
        }
        switch rows[key]?.presence {
        case nil, .same:
            forget(key)
            return .apply(mustHit: true)
        case .both:
            forget(key)
            return .apply(mustHit: !emptiedByCanary)
        case .liveOnly:
            forget(key)
            return .nothingToDo
        case .cloneOnly:
            return .nothingToDo
        }
    }
}
