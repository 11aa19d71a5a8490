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
        let work = work[id.table]
        if let slot = work?.slots[id.key] { return slot }
        if work?.isCloneEmptied == true { return Slot(live: nil, clone: nil) }
        guard let taint = ledger.taint(id) else { return nil }
        return Slot(
            live: work?.isLiveEmptied == true ? nil : taint.live, clone: taint.clone,
            xid: taint.xid)
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
        guard row.contains(.unchanged) else { return row }
        guard let before = answers.rows[id] else { throw .unanswered(.row(id)) }
        return filled(row, from: try present(before, id))
    }

    /// Values of columns, asked for where they were not sent.
    func values(_ columns: [Int], of row: Row, _ id: RowID) throws(Halt) -> [Value] {
        let values = columns.map { row[$0] }
        guard values.contains(.unchanged) else { return values }
        let row = try full(row, id)
        return columns.map { row[$0] }
    }

    /// Writes a slot: takes note of what has to be judged at the commit and of what a later step may look for. Does
    /// nothing at all when an answer is missing.
    mutating func put(_ id: RowID, over old: Slot, live: Row?, clone: Row?, _ layout: TableLayout) throws(Halt) {
        var new = old
        new.live = live
        new.clone = clone
        new.xid = now.xid
        if new.transaction != ordinal {
            new.transaction = ordinal
            new.cloneBefore = old.clone
            new.isQueued = false
        }
        let changes = old.clone != clone
        var lost: [UniqueEntry] = []
        if changes, let gone = old.clone { lost = try lostEntries(gone, id, clone, layout) }
        if layout.isConstrained || !layout.references.isEmpty { try note(new, id, layout) }
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
        let previous = work[id.table]!.slots.updateValue(slot, forKey: id.key)
        if previous == nil { work[id.table]!.order.append(id.key) }
        if now.keepsUndo { now.undo.append(.slot(id, previous)) }
    }

    func newWork(_ table: TableID) -> TableWork {
        TableWork(emptiedBy: ledger.tables[table]?.emptiedBy)
    }

    private func lostEntries(
        _ gone: Row, _ id: RowID, _ clone: Row?, _ layout: TableLayout
    ) throws(Halt) -> [UniqueEntry] {
        var lost: [UniqueEntry] = []
        for reference in layout.references {
            guard let before = try referenced(reference, by: gone, id) else { continue }
            let after = try clone.flatMap { row throws(Halt) in try referenced(reference, by: row, id) }
            if before != after { lost.append(before) }
        }
        return lost
    }

    private mutating func note(_ slot: Slot, _ id: RowID, _ layout: TableLayout) throws(Halt) {
        let entries = try entries(slot, id, layout)
        for entry in entries.cloneUniques { index.cloneHolders[entry, default: .one(id)].insert(id) }
        for entry in entries.liveUniques { index.liveHolders[entry, default: .one(id)].insert(id) }
        for entry in entries.cloneReferences { index.cloneChildren[entry, default: .one(id)].insert(id) }
    }

    /// Under which values a slot is found. Live's only where they are not the clone's as well.
    func entries(_ slot: Slot, _ id: RowID, _ layout: TableLayout) throws(Halt) -> TaintEntries {
        var entries = TaintEntries()
        if let clone = slot.clone {
            for unique in layout.secondaryUniques {
                if let entry = try entry(unique, of: clone, id) { entries.cloneUniques.append(entry) }
            }
            for foreignKey in layout.schema.foreignKeys {
                if let entry = try reference(foreignKey, of: clone, id) { entries.cloneReferences.append(entry) }
            }
        }
        if let live = slot.live, slot.isTainted {
            for reference in layout.references where !reference.isKey {
                if let entry = try referenced(reference, by: live, id) { entries.liveUniques.append(entry) }
            }
        }
        return entries
    }
}

/// A row with the values that were not sent taken from another.
func filled(_ row: Row, from base: Row) -> Row {
    var row = row
    for column in row.indices where row[column] == .unchanged { row[column] = base[column] }
    return row
}
