// Which rows the newest transactions of the clone wrote: a snapshot of live that was taken just now may hide them.

import Merge

/// Rows that a comparison has to leave out.
struct HiddenWrites: Hashable, Sendable {
    var rows: Set<RowID> = []
    /// Without a key, or emptied: no row of them can be told.
    var tables: Set<TableID> = []
}

struct RecentWrites: Sendable {
    /// Transactions that are remembered at least.
    static let capacity = 20_000

    private struct Written: Sendable {
        var xid: UInt32
        var writes: HiddenWrites
    }

    private var written: [Written] = []

    mutating func append(_ transaction: SourceTransaction, _ schema: CloneSchema) {
        if written.count >= 2 * Self.capacity { written.removeFirst(Self.capacity) }
        var writes = HiddenWrites()
        for change in transaction.changes { writes.add(change, schema) }
        written.append(Written(xid: transaction.xid, writes: writes))
    }

    func hidden(by snapshot: TransactionSnapshot) -> HiddenWrites {
        var all = HiddenWrites()
        for each in written where snapshot.hides(each.xid) {
            all.rows.formUnion(each.writes.rows)
            all.tables.formUnion(each.writes.tables)
        }
        return all
    }
}

extension HiddenWrites {
    fileprivate mutating func add(_ change: Change, _ schema: CloneSchema) {
        switch change {
        case .insert(let table, let new): add(table, new, schema)
        case .update(let table, let old, let new):
            add(table, new, schema)
            if let old { add(table, old, schema) }
        case .delete(let table, let old): add(table, old, schema)
        case .truncate(let tables): self.tables.formUnion(tables)
        }
    }

    private mutating func add(_ id: TableID, _ row: Row, _ schema: CloneSchema) {
        let table = schema[id]
        if table.key.isEmpty {
            tables.insert(id)
        } else {
            rows.insert(RowID(table: id, key: table.key.map { row[$0] }))
        }
    }

    private mutating func add(_ id: TableID, _ old: OldRow, _ schema: CloneSchema) {
        switch old {
        case .key(let values): rows.insert(RowID(table: id, key: values))
        case .full(let row): add(id, row, schema)
        }
    }
}
