// Naming the rows of a table that the canary emptied, so that they can be healed one by one.

/// The differing rows of one table.
private struct Unfolded: Sendable {
    var taints: [(RowID, Taint)] = []
    var copies: [(RowID, Copies)] = []
}

extension MergeEngine {
    /// Gives every differing row of an emptied table a record of its own; from then on the table is like any other.
    ///
    /// - Parameters:
    ///   - rows: all rows that the clone has of this table.
    ///   - answers: what the clone said so far; only judgements are asked for.
    /// - Returns: what to write to the persisted state; nothing for a table that is not emptied.
    package mutating func unfold(
        _ table: TableID, rows: [CloneRow], _ answers: Answers = Answers()
    ) throws(MergeError) -> Progress<StateDelta> {
        var delta = StateDelta()
        delta.position = position
        guard let layout = schema.tables[table], let xid = ledger.tables[table]?.emptiedBy else { return .done(delta) }
        let unfolded: Unfolded
        switch try named(layout, rows, xid, answers) {
        case .needs(let lookups): return .needs(lookups)
        case .done(let rows): unfolded = rows
        }
        ledger.forget(table)
        ledger.markEmptied(table, by: nil)
        delta.forgotten = [table]
        for (id, taint) in unfolded.taints {
            ledger.set(id, taint)
            delta.taints.append(TaintRecord(row: id, live: taint.live, xid: taint.xid))
        }
        for (id, copies) in unfolded.copies {
            ledger.set(id, copies)
            delta.copies.append(CopiesRecord(row: id, count: copies.count, xid: copies.xid))
        }
        return .done(delta)
    }

    private func named(
        _ layout: TableLayout, _ rows: [CloneRow], _ xid: UInt32, _ answers: Answers
    ) throws(MergeError) -> Progress<Unfolded> {
        var reader = BatchMerge(schema: schema, policy: policy, ledger: ledger, answers: answers)
        var unfolded = Unfolded()
        let known = ledger.tables[layout.id] ?? LedgerTable()
        if layout.isKeyless {
            var counts = known.copies.mapValues(\.count)
            for row in rows { counts[row.row, default: 0] -= row.copies }
            for (row, count) in counts.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) where count != 0 {
                let id = RowID(table: layout.id, key: row)
                try reader.attempt { (reader) throws(Halt) in
                    let entries = try reader.entries(ofCopies: id, layout)
                    unfolded.copies.append((id, Copies(count: count, xid: xid, entries: entries)))
                }
            }
        } else {
            var taints = known.rows.filter { $0.value.live != $0.value.clone }
            for row in rows where known.rows[row.id.key] == nil {
                taints[row.id.key] = Taint(live: nil, clone: row.row, xid: xid)
            }
            for (key, taint) in taints.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                let id = RowID(table: layout.id, key: key)
                try reader.attempt { (reader) throws(Halt) in
                    var named = taint
                    named.entries = try reader.entries(Slot(live: taint.live, clone: taint.clone), id, layout)
                    unfolded.taints.append((id, named))
                }
            }
        }
        return reader.missing.isEmpty ? .done(unfolded) : .needs(reader.missing)
    }
}
