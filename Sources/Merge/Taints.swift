// What the engine knows of the difference between live and clone: for heal, for the report and for the gate of a rollback.

/// A row that differs.
package struct TaintedRow: Hashable, Sendable {
    package var id: RowID
    /// nil when live has no such row.
    package var live: Row?
    /// nil when the clone has no such row.
    package var clone: Row?
    /// Top-level transaction that wrote live's row last; 0 when that is not known, because the row was equal in both
    /// until the clone's alone was changed.
    package var xid: UInt32

    package enum Kind: Hashable, Sendable {
        /// In both, with other values.
        case modified
        /// The canary made it, or stable has it under a conflict.
        case onlyLive
        /// The canary took it away.
        case onlyClone

        /// nil for a row that is equal in both.
        init?(_ taint: Taint) {
            switch (taint.live, taint.clone) {
            case (.some(let live), .some(let clone)):
                if live == clone { return nil }
                self = .modified
            case (.some, nil): self = .onlyLive
            case (nil, .some): self = .onlyClone
            case (nil, nil): return nil
            }
        }
    }

    package var kind: Kind { live == nil ? .onlyClone : clone == nil ? .onlyLive : .modified }
}

extension MergeEngine {
    /// Rows known to differ, in no order; those of the clone alone in ``emptiedTables`` are not among them.
    package var taintedRows: some Sequence<TaintedRow> {
        ledger.tables.lazy.flatMap { table, known in
            known.rows.lazy.filter { $0.value.live != $0.value.clone }.map { key, taint in
                TaintedRow(
                    id: RowID(table: table, key: key), live: taint.live, clone: taint.clone, xid: taint.xid)
            }
        }
    }

    /// nil when the row is equal in both, or in neither.
    package func taint(_ id: RowID) -> TaintedRow? {
        guard let taint = ledger.taint(id), taint.live != taint.clone else { return nil }
        return TaintedRow(id: id, live: taint.live, clone: taint.clone, xid: taint.xid)
    }

    /// Rows of tables without a key of which live has more copies than the clone (above 0) or fewer.
    package var excessCopies: [RowID: Int] {
        var excess: [RowID: Int] = [:]
        for (table, known) in ledger.tables where known.emptiedBy == nil {
            for (row, copies) in known.copies { excess[RowID(table: table, key: row)] = copies.count }
        }
        return excess
    }

    /// How many more copies of a row without a key live has; 0 when it is equal.
    package func excess(of id: RowID) -> Int { ledger.tables[id.table]?.copies[id.key]?.count ?? 0 }

    /// Tables that the canary emptied and stable did not since; see ``unfold(_:rows:_:)``.
    package var emptiedTables: [TableID] {
        ledger.tables.filter { $0.value.emptiedBy != nil }.keys.sorted()
    }

    /// How many rows and copies of rows are known to differ; a table that the canary emptied counts as one.
    package var differences: Int {
        ledger.tables.values.reduce(0) { sum, known in
            sum + known.rows.values.count { $0.live != $0.clone } + known.copies.count
                + (known.emptiedBy == nil ? 0 : 1)
        }
    }

    /// Nothing differs: heal is done.
    package var isClean: Bool {
        emptiedTables.isEmpty && ledger.tables.values.allSatisfy { $0.rows.isEmpty && $0.copies.isEmpty }
    }

    /// Late write-backs are no longer looked for on rows healed before a position.
    package mutating func forgetGhosts(healedBefore position: UInt64) -> StateDelta {
        var delta = StateDelta()
        delta.position = self.position
        for (_, known) in ledger.tables {
            delta.ghostsRemoved += known.ghosts.values.filter { $0.healedLSN < position }.map(\.row)
        }
        delta.ghostsRemoved.sort()
        for id in delta.ghostsRemoved { ledger.set(id, nil as Ghost?) }
        return delta
    }
}
