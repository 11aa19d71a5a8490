// In which order the rows of one group are written to live, so that no statement meets a unique value that another row of
// the group still has:
//
//     delete -> park -> update, each behind the one whose value it takes -> insert

/// What becomes of the rows of one group, in the order of writing. Rows that are equal by now are in none of the lists.
package struct HealOrder: Hashable, Sendable {
    /// Live alone has them; of rows without a key, live has too many copies.
    package var deletes: [RowID] = []
    /// Part of a circle: each takes the value of the next. These give theirs up before the updates begin.
    package var parked: [RowID] = []
    /// Rounds: no row of a round takes a value that another of the same or a later round has, unless that one is parked.
    package var updates: [[RowID]] = []
    /// The clone alone has them, parents before children; of rows without a key, live has too few copies.
    package var inserts: [RowID] = []

    package init(updates: [[RowID]] = []) { self.updates = updates }
}

extension MergeEngine {
    /// - Parameter group: closed under ``needs(_:)``.
    package func healOrder(_ group: [RowID]) -> HealOrder {
        let rank = Dictionary(uniqueKeysWithValues: schema.parentsFirst.enumerated().map { ($1, $0) })
        func depth(_ id: RowID) -> Int { rank[id.table] ?? 0 }
        var order = HealOrder()
        var updates: [RowID] = []
        for id in group.sorted() {
            if let copies = ledger.tables[id.table]?.copies[id.key] {
                if copies.count > 0 { order.deletes.append(id) } else { order.inserts.append(id) }
                continue
            }
            switch ledger.taint(id).flatMap({ TaintedRow.Kind($0) }) {
            case .onlyLive?: order.deletes.append(id)
            case .onlyClone?: order.inserts.append(id)
            case .modified?: updates.append(id)
            case nil: break
            }
        }
        order.deletes.sort { (-depth($0), $0) < (-depth($1), $1) }
        order.inserts.sort { (depth($0), $0) < (depth($1), $1) }
        (order.updates, order.parked) = withoutCollisions(updates)
        return order
    }

    private func withoutCollisions(_ updates: [RowID]) -> (rounds: [[RowID]], parked: [RowID]) {
        let group = Set(updates)
        var waitsFor: [RowID: Set<RowID>] = [:]
        for id in updates {
            guard let entries = ledger.taint(id)?.entries else { continue }
            let own = Set(entries.liveUniques)
            let taken = entries.cloneUniques.filter { !own.contains($0) }
            let holders = taken.flatMap { ledger.liveHolders[$0]?.rows ?? [] }
            waitsFor[id] = Set(holders).intersection(group).subtracting([id])
        }
        var rounds: [[RowID]] = []
        var parked: [RowID] = []
        var free: Set<RowID> = []
        var left = updates
        while !left.isEmpty {
            let ready = left.filter { waitsFor[$0, default: []].isSubset(of: free) }
            if ready.isEmpty, let first = Set(left.flatMap { waitsFor[$0, default: []] }).subtracting(free).min() {
                // Only circles are left, and rows behind them.
                parked.append(first)
                free.insert(first)
                continue
            }
            rounds.append(ready)
            free.formUnion(ready)
            left.removeAll(where: Set(ready).contains)
        }
        return (rounds, parked)
    }

    /// Tainted rows of the clone that a row of the clone refers to: their own parents have to be there as well.
    package func taintedParents(of id: RowID) -> [RowID] {
        let references =
            ledger.taint(id)?.entries.cloneReferences
            ?? ledger.tables[id.table]?.copies[id.key]?.entries.cloneReferences
        return (references ?? []).compactMap { reference in
            schema.foreignKeys[reference.foreignKey].flatMap {
                cloneHolder(UniqueEntry(unique: $0.references, values: reference.values))
            }
        }
    }
}

extension Schema {
    /// Columns with the rule `follow`.
    package func following(_ table: TableID) -> [Int] { tables[table]?.following ?? [] }

    /// The columns of each unique index other than the key's.
    package func uniqueColumns(of table: TableID) -> [[Int]] { tables[table]?.secondaryUniques.map(\.columns) ?? [] }
}
