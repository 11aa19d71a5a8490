// What a batch comes to in the clone: at most one operation a row, whatever its transactions did to it in between.
//
// Order within a table: empty it, delete, update, insert. An update that gives a row other unique values is a delete and
// an insert, so at any moment each row that is there has its final entries and none is in another's way. Unique indexes
// do not span tables, so tables may be written side by side; triggers and foreign keys of the clone do not act meanwhile.
// Every operation says all that it needs: the same batch can be written again from its beginning.

/// Writes columns of a row that stays.
package struct NetUpdate: Hashable, Sendable {
    package var row: RowID
    /// `unchanged` columns keep what the clone has.
    package var values: Row

    package init(row: RowID, values: Row) {
        self.row = row
        self.values = values
    }
}

/// Copies of a row of a table without a key.
package struct NetCopies: Hashable, Sendable {
    package var row: Row
    package var count: Int

    package init(row: Row, count: Int) {
        self.row = row
        self.count = count
    }
}

package struct NetTable: Hashable, Sendable {
    package let table: TableID
    /// Before anything else.
    package var isEmptied = false
    package var deletes: [RowID] = []
    package var updates: [NetUpdate] = []
    package var inserts: [Row] = []
    package var copiesRemoved: [NetCopies] = []
    package var copiesAdded: [NetCopies] = []

    init(table: TableID) { self.table = table }

    package var isEmpty: Bool {
        !isEmptied && deletes.isEmpty && updates.isEmpty && inserts.isEmpty && copiesRemoved.isEmpty
            && copiesAdded.isEmpty
    }
}

/// A merged batch. To be written in one transaction of the clone: `tables`, then `state`; then it is committed to the
/// engine.
package struct NetBatch: Sendable {
    /// In the order of their ids; those without an operation are left out.
    package internal(set) var tables: [NetTable] = []
    package internal(set) var state = StateDelta()
    /// Taints with the clone's rows, for the engine's own memory.
    var taints: [(RowID, Taint?)] = []
    var copies: [(RowID, Copies?)] = []

    package var position: UInt64 { state.position }
}

extension BatchMerge {
    /// To be called when nothing is missing.
    mutating func result() throws(MergeError) -> NetBatch {
        var batch = NetBatch()
        batch.state.findings = findings.all
        batch.state.quarantined = quarantined
        batch.state.position = position
        for id in work.keys.sorted() {
            try attempt { (merge) throws(Halt) in
                let table = try merge.netTable(id, &batch)
                if !table.isEmpty { batch.tables.append(table) }
            }
        }
        for id in ghostOrder {
            if let ghost = ghosts[id] ?? nil {
                batch.state.ghosts.append(ghost)
            } else {
                batch.state.ghostsRemoved.append(id)
            }
        }
        return batch
    }

    private func netTable(_ id: TableID, _ batch: inout NetBatch) throws(Halt) -> NetTable {
        let layout = try layout(of: id)
        let work = work[id]!
        var net = NetTable(table: id)
        net.isEmptied = work.isCloneEmptied
        let known = ledger.tables[id]
        if work.isCloneEmptied || work.isLiveEmptied { batch.state.forgotten.append(id) }
        if let xid = work.emptiedBy, work.isLiveEmptied { batch.state.emptied.append(.init(table: id, xid: xid)) }
        for (key, slot) in work.slots {
            let row = RowID(table: id, key: key)
            try addOperation(row, slot, work, layout, &net)
            try addTaint(row, slot, slot.isKnown ? known?.rows[key] : nil, work, layout, &batch)
        }
        for (key, slot) in work.copies {
            if slot.cloneChange < 0 { net.copiesRemoved.append(.init(row: key, count: -slot.cloneChange)) }
            if slot.cloneChange > 0 { net.copiesAdded.append(.init(row: key, count: slot.cloneChange)) }
            try addCopies(RowID(table: id, key: key), slot, known?.copies[key], work, layout, &batch)
        }
        return net
    }

    private func addOperation(
        _ id: RowID, _ slot: Slot, _ work: TableWork, _ layout: TableLayout, _ net: inout NetTable
    ) throws(Halt) {
        let before = work.isCloneEmptied ? nil : slot.before
        guard let clone = slot.clone else {
            if before != nil { net.deletes.append(id) }
            return
        }
        guard let before else { return net.inserts.append(try full(clone, id)) }
        if before == clone { return }
        // Had the table a unique index beside the key's, the row before would have been asked for.
        for unique in layout.secondaryUniques where try entry(unique, of: before, id) != entry(unique, of: clone, id) {
            net.deletes.append(id)
            return net.inserts.append(try full(clone, id))
        }
        let excluded = layout.schema.excluded
        if try values(excluded, of: before, id) != values(excluded, of: clone, id) {
            net.deletes.append(id)
            return net.inserts.append(try full(clone, id))
        }
        net.updates.append(NetUpdate(row: id, values: clone))
    }

    private func addTaint(
        _ id: RowID, _ slot: Slot, _ known: Taint?, _ work: TableWork, _ layout: TableLayout, _ batch: inout NetBatch
    ) throws(Halt) {
        let isForgotten = work.isCloneEmptied || work.isLiveEmptied
        let isNamed = work.emptiedBy == nil ? slot.isTainted : slot.live != nil
        guard isNamed else {
            if known == nil { return }
            if !isForgotten { batch.state.taintsRemoved.append(id) }
            return batch.taints.append((id, nil))
        }
        let live = try slot.live.map { row throws(Halt) in try full(row, id) }
        let clone = try slot.clone.map { row throws(Halt) in try full(row, id) }
        if isForgotten || known?.live != live || known?.xid != slot.xid || known == nil {
            batch.state.taints.append(TaintRecord(row: id, live: live, xid: slot.xid))
        }
        batch.taints.append(
            (id, Taint(live: live, clone: clone, xid: slot.xid, entries: try entries(slot, id, layout))))
    }

    private func addCopies(
        _ id: RowID, _ slot: CopiesSlot, _ known: Copies?, _ work: TableWork, _ layout: TableLayout,
        _ batch: inout NetBatch
    ) throws(Halt) {
        let isForgotten = work.isCloneEmptied || work.isLiveEmptied
        guard slot.count != 0 else {
            if known == nil { return }
            if !isForgotten { batch.state.copiesRemoved.append(id) }
            return batch.copies.append((id, nil))
        }
        if isForgotten || known?.count != slot.count || known?.xid != slot.xid {
            batch.state.copies.append(CopiesRecord(row: id, count: slot.count, xid: slot.xid))
        }
        let entries = try entries(ofCopies: id, layout)
        batch.copies.append((id, Copies(count: slot.count, xid: slot.xid, entries: entries)))
    }

    /// Under which values copies are found, whether or not live or the clone has any.
    func entries(ofCopies id: RowID, _ layout: TableLayout) throws(Halt) -> TaintEntries {
        var entries = try entries(Slot(live: nil, clone: id.key), id, layout)
        (entries.liveUniques, entries.liveReferences) = (entries.cloneUniques, entries.cloneReferences)
        return entries
    }
}
