// TRUNCATE. The stream names every table that it emptied, also those that CASCADE added.

extension BatchMerge {
    /// Stable emptied a table: nothing is left of it in live and in the clone, nor of what was known about it.
    mutating func emptyBoth(_ layout: TableLayout) {
        replaceWork(layout.id, by: .empty)
        for key in ledger.tables[layout.id]?.ghosts.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) ?? [] {
            removeGhost(RowID(table: layout.id, key: key))
        }
        for id in ghostOrder where id.table == layout.id { removeGhost(id) }
    }

    /// The canary emptied a table: every row of the clone is the clone's alone. They are not named one by one; until
    /// stable empties the table as well, or it is unfolded, what is not known there is absent in live.
    mutating func emptyLive(_ layout: TableLayout) throws(Halt) {
        var table = work[layout.id] ?? newWork(layout.id)
        try table.emptyLive(by: now.xid) { (clone, key) throws(Halt) in
            try full(clone, RowID(table: layout.id, key: key))
        }
        replaceWork(layout.id, by: table)
    }

    private mutating func replaceWork(_ table: TableID, by new: TableWork) {
        let previous = work.updateValue(new, forKey: table)
        if now.keepsUndo { now.undo.append(.table(table, previous)) }
    }
}
