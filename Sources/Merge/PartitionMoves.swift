// An UPDATE that moves a row to another partition is recorded as a DELETE and, right behind it, an INSERT.

extension BatchMerge {
    /// The two partitions of one root between which two changes move a row.
    func partitions(of change: Change, _ next: Change) -> (TableLayout, TableLayout)? {
        guard case .delete(let source, _) = change, case .insert(let target, _) = next, source != target,
            let from = schema.tables[source], let to = schema.tables[target],
            let root = from.schema.root, root == to.schema.root, !from.isKeyless, !to.isKeyless
        else { return nil }
        return (from, to)
    }

    mutating func stableMove(
        _ change: Change, _ next: Change, from source: TableLayout, to target: TableLayout, isHeld: Bool
    ) throws(Halt) {
        guard case .delete(_, let old) = change, case .insert(let table, let new) = next else { return }
        _ = try checked(table, new)
        let (id, arrival) = (try rowID(old, source), target.rowID(of: new))
        if canBeSame(id, arrival, source, target) {
            return try stableUpdate(from: id, source, old, to: target, new, isHeld: isHeld)
        }
        let leaving = slot(id)
        try stableChange(change, isHeld: isHeld)
        try stableChange(next, isHeld: isHeld)
        guard let leaving, leaving.isTainted, let live = leaving.live else { return }
        let saved = leaving.clone.map { converted($0, from: source, to: target) }
        report(.moved, arrival, saved: saved, live: converted(live, from: source, to: target), stable: new)
    }

    /// Whether two keys have a column in common that is not what the table is divided by, as far as that can be told: a key
    /// of one column is what it is divided by.
    private func canBeSame(_ id: RowID, _ arrival: RowID, _ source: TableLayout, _ target: TableLayout) -> Bool {
        if id.key.count == 1 { return true }
        return zip(source.schema.key, id.key).contains { column, value in
            zip(target.schema.key, arrival.key).contains { other, arrived in
                source.column(column) == target.column(other) && value == arrived
            }
        }
    }

    /// A row in the order of another partition's columns. Columns that only one of them has cannot be.
    func converted(_ row: Row, from source: TableLayout, to target: TableLayout) -> Row {
        if source.id == target.id { return row }
        return target.schema.columns.map { column in
            source.schema.columns.firstIndex { $0.name == column.name }.map { row[$0] } ?? .null
        }
    }
}
