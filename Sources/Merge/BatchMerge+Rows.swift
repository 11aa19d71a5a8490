// Reading and writing rows of the batch: slot before taint before the clone's answer.

extension BatchMerge {
    func layout(of table: TableID) throws(Halt) -> TableLayout {
        guard let layout = schema.tables[table] else {
            throw .broken(.unknownTable(table, commitLSN: now.commitLSN))
        }
        return layout
    }

    func isEmptiedByCanary(_ table: TableID) -> Bool {
        if let work = work[table] { return work.emptiedBy != nil }
        return ledger.tables[table]?.emptiedBy != nil
    }

    /// What is known of a row without asking; nil when it is as the clone had it before the batch, in live too unless
    /// the canary emptied the table.
    func slot(_ id: RowID) -> Slot? {
        if let slot = work[id.table]?[id.key] { return slot }
        if work[id.table]?.isCloneEmptied == true { return Slot(live: nil, clone: nil) }
        guard let taint = ledger.taint(id) else { return nil }
        let isGone = work[id.table]?.isLiveEmptied == true
        return Slot(live: isGone ? nil : taint.live, clone: taint.clone, xid: taint.xid, isKnown: true)
    }

    /// The slot of a row that live has.
    ///
    /// - Parameter full: the row before the change, where the stream says it.
    func slotInLive(_ id: RowID, _ layout: TableLayout, full: Row? = nil) throws(Halt) -> Slot {
        if let slot = slot(id) {
            guard slot.live != nil else { throw .broken(.notInLive(id, commitLSN: now.commitLSN)) }
            return slot
        }
        if isEmptiedByCanary(id.table) { throw .broken(.notInLive(id, commitLSN: now.commitLSN)) }
        let row = try answers.rows[id].map { row throws(Halt) in try present(row, id) } ?? full ?? layout.blank
        return Slot(live: row, clone: row)
    }

    /// The slot of a row that live does not have yet.
    func slotForArrival(_ id: RowID) throws(Halt) -> Slot {
        if let slot = slot(id) {
            guard slot.live == nil else { throw .broken(.alreadyInLive(id, commitLSN: now.commitLSN)) }
            return slot
        }
        guard isEmptiedByCanary(id.table) else { return Slot(live: nil, clone: nil) }
        guard let row = answers.rows[id] else { throw .unanswered(.row(id)) }
        return Slot(live: nil, clone: row)
    }

    /// The slot of any row, asked for where it is not known.
    func slotOrAsk(_ id: RowID) throws(Halt) -> Slot {
        if let slot = slot(id) { return slot }
        guard let row = answers.rows[id] else { throw .unanswered(.row(id)) }
        return Slot(live: isEmptiedByCanary(id.table) ? nil : row, clone: row)
    }

    private func present(_ row: Row?, _ id: RowID) throws(Halt) -> Row {
        guard let row else { throw .broken(.notInClone(id, commitLSN: now.commitLSN)) }
        return row
    }

    /// The row with every value.
    func full(_ row: Row, _ id: RowID) throws(Halt) -> Row {
        guard row.hasUnchanged else { return row }
        guard let before = answers.rows[id] else { throw .unanswered(.row(id)) }
        return filled(row, from: try present(before, id))
    }

    /// Values of columns, asked for where they were not sent.
    func values(_ columns: [Int], of row: Row, _ id: RowID) throws(Halt) -> [Value] {
        let values = columns.map { row[$0] }
        guard values.hasUnchanged else { return values }
        let row = try full(row, id)
        return columns.map { row[$0] }
    }

    /// Writes a slot after live was written: takes note of what has to be judged at the commit and of what a later step may
    /// look for. Does nothing at all when an answer is missing.
    mutating func put(_ id: RowID, over old: Slot, live: Row?, clone: Row?, _ layout: TableLayout) throws(Halt) {
        try put(id, over: old, live: live, clone: clone, xid: now.xid, layout)
    }

    /// The same where only the clone is written. Who wrote live's row of an equal one is not known, however the stream is
    /// cut into batches.
    mutating func put(_ id: RowID, over old: Slot, clone: Row?, _ layout: TableLayout) throws(Halt) {
        try put(id, over: old, live: old.live, clone: clone, xid: old.isTainted ? old.xid : 0, layout)
    }

    private mutating func put(
        _ id: RowID, over old: Slot, live: Row?, clone: Row?, xid: UInt32, _ layout: TableLayout
    ) throws(Halt) {
        var new = old
        new.live = live
        new.clone = clone
        new.xid = xid
        if new.transaction != ordinal {
            new.transaction = ordinal
            new.cloneBefore = old.clone
            new.isQueued = false
        }
        let changes = old.clone != clone
        var lost: [UniqueEntry] = []
        if changes, let gone = old.clone { lost = try lostEntries(gone, id, clone, layout) }
        if layout.needsBase { try note(new, id, layout) }
        if !layout.schema.foreignKeys.isEmpty { index.newChildren.append(id) }
        if changes, clone != nil, layout.isConstrained, !new.isQueued {
            new.isQueued = true
            now.queue.append(.row(id))
        }
        for entry in lost { now.queue.append(.lost(entry)) }
        store(id, new)
    }

    /// Writes a slot without looking at what it says.
    mutating func store(_ id: RowID, _ slot: Slot) {
        if work[id.table] == nil { work[id.table] = newWork(id.table) }
        let previous = work[id.table]!.set(id.key, slot)
        if now.keepsUndo { now.undo.append(.slot(id, previous)) }
    }

    func newWork(_ table: TableID) -> TableWork {
        TableWork(
            emptiedBy: ledger.tables[table]?.emptiedBy, rows: expected[table] ?? 0,
            isKeyless: schema.tables[table]?.isKeyless ?? false)
    }

    private func lostEntries(
        _ gone: Row, _ id: RowID, _ clone: Row?, _ layout: TableLayout
    ) throws(Halt) -> [UniqueEntry] {
        var lost: [UniqueEntry] = []
        for reference in layout.references where clone == nil || !reference.isKey {
            guard let before = try referenced(reference, by: gone, id) else { continue }
            let after = try clone.flatMap { row throws(Halt) in try referenced(reference, by: row, id) }
            if before != after { lost.append(before) }
        }
        return lost
    }

    private mutating func note(_ slot: Slot, _ id: RowID, _ layout: TableLayout) throws(Halt) {
        var holds: [UniqueEntry] = []
        if let clone = slot.clone { holds = try uniqueEntries(of: clone, id, layout) }
        if let live = slot.live, slot.isTainted {
            for reference in layout.references where !reference.isKey {
                guard let entry = try referenced(reference, by: live, id) else { continue }
                index.liveHolders[entry, default: .one(id)].insert(id)
            }
        }
        for entry in holds { index.cloneHolders[entry, default: .one(id)].insert(id) }
    }

    /// Under which values a tainted row is found.
    func entries(_ slot: Slot, _ id: RowID, _ layout: TableLayout) throws(Halt) -> TaintEntries {
        var entries = TaintEntries()
        if let clone = slot.clone {
            entries.cloneUniques = try uniqueEntries(of: clone, id, layout)
            entries.cloneReferences = try references(of: clone, id, layout)
        }
        if let live = slot.live, slot.isTainted {
            entries.liveUniques = try uniqueEntries(of: live, id, layout)
            entries.liveReferences = try references(of: live, id, layout)
        }
        return entries
    }
}

/// A row with the values that were not sent taken from another.
func filled(_ row: Row, from base: Row) -> Row {
    guard row.hasUnchanged else { return row }
    var row = row
    for column in row.indices where row[column].isUnchanged { row[column] = base[column] }
    return row
}
