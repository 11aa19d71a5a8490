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
        try stableUpdate(from: try rowID(old, source), source, old, to: target, new, isHeld: isHeld)
    }

    /// A row in the order of another partition's columns. Columns that only one of them has cannot be.
    func converted(_ row: Row, from source: TableLayout, to target: TableLayout) -> Row {
        if source.id == target.id { return row }
        return target.schema.columns.map { column in
            source.schema.columns.firstIndex { $0.name == column.name }.map { row[$0] } ?? .null
        }
    }
}
