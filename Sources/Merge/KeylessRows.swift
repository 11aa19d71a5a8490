// Tables without a key: equal rows cannot be told apart, so they are counted. A row is named by all its values, and no
// column of it is ever merged: a changed row is another row.

extension BatchMerge {
    /// Live gains or loses copies, the clone does not.
    mutating func moveLiveCopies(_ layout: TableLayout, from old: Row?, to new: Row?) throws(Halt) {
        if let old { try changeCopies(layout.rowID(of: old), layout, live: -1, clone: 0) }
        if let new { try changeCopies(layout.rowID(of: new), layout, live: 1, clone: 0) }
    }

    mutating func stableInsertCopy(_ layout: TableLayout, _ new: Row) throws(Halt) {
        try changeCopies(layout.rowID(of: new), layout, live: 1, clone: 1)
    }

    mutating func stableDeleteCopy(_ layout: TableLayout, _ row: Row) throws(Halt) {
        let id = layout.rowID(of: row)
        if try isSpared(copy: row, id, becoming: nil, layout) {
            report(.spared, id, saved: row, live: row)
            try changeCopies(id, layout, live: -1, clone: 0)
        } else {
            try changeCopies(id, layout, live: -1, clone: hasCopyInClone(id) ? -1 : 0)
        }
    }

    mutating func stableUpdateCopy(_ layout: TableLayout, _ old: Row, to new: Row) throws(Halt) {
        let (id, arrival) = (layout.rowID(of: old), layout.rowID(of: new))
        let inClone = try hasCopyInClone(id)
        let isAction = inClone ? false : try isForeignKeyAction(on: id, old, new, layout)
        let isSpared = try isSpared(copy: old, id, becoming: new, layout)
        if isAction || isSpared || (!inClone && policy.canaryRow == .drop) {
            report(isAction || isSpared ? .spared : .dropped, arrival, live: old, stable: new)
            return try moveLiveCopies(layout, from: old, to: new)
        }
        if !inClone { report(.updateMissing, arrival, isOpen: true, live: old, stable: new) }
        try changeCopies(id, layout, live: -1, clone: inClone ? -1 : 0)
        try changeCopies(arrival, layout, live: 1, clone: 1)
        if inClone, arrival != id { try listAgain(id, as: arrival) }
    }

    /// Copies of the clone's that a foreign key acts on.
    ///
    /// - Parameters:
    ///   - new: what they become; nil when they go.
    ///   - onlyClones: live's own copies are changed by the stream.
    mutating func actOnCopies(
        of id: RowID, _ layout: TableLayout, becoming new: Row?, onlyClones: Bool
    ) throws(Halt) {
        let count = onlyClones ? try clonesOwnCopies(id) : try cloneCopies(id)
        guard count > 0 else { return }
        report(.foreignKeyAction, id, saved: id.key)
        try changeCopies(id, layout, live: 0, clone: -count)
        guard let new else { return }
        report(.foreignKeyAction, layout.rowID(of: new))
        try changeCopies(layout.rowID(of: new), layout, live: 0, clone: count)
    }

    mutating func takeLiveCopies(_ id: RowID, _ layout: TableLayout, _ reason: Finding.Reason) throws(Halt) {
        let count = try clonesOwnCopies(id)
        guard count > 0 else { return }
        report(reason, id, isOpen: true, saved: id.key)
        try changeCopies(id, layout, live: 0, clone: -count)
    }

    mutating func judgeCopies(_ id: RowID) throws(Halt) {
        work[id.table]?.unqueue(copies: id.key)
        let layout = try layout(of: id.table)
        try judgeUniques(copies: id, layout)
        try judgeParents(copies: id, layout)
    }

    // MARK: Counting

    func slot(copies id: RowID) -> CopiesSlot {
        if let slot = work[id.table]?[copies: id.key] { return slot }
        if work[id.table].map({ $0.isCloneEmptied || $0.isLiveEmptied }) == true { return CopiesSlot(count: 0) }
        let known = ledger.tables[id.table]?.copies[id.key]
        return CopiesSlot(count: known?.count ?? 0, xid: known?.xid ?? 0)
    }

    /// All copies of the clone.
    func cloneCopies(_ id: RowID) throws(Halt) -> Int {
        let change = slot(copies: id).cloneChange
        if work[id.table]?.isCloneEmptied == true { return change }
        guard let before = answers.copies[id] else { throw .unanswered(.copies(id)) }
        return before + change
    }

    func liveCopies(_ id: RowID) throws(Halt) -> Int {
        let count = slot(copies: id).count
        return isEmptiedByCanary(id.table) ? count : try cloneCopies(id) + count
    }

    /// Copies that the clone has more than live.
    func clonesOwnCopies(_ id: RowID) throws(Halt) -> Int {
        let count = slot(copies: id).count
        return max(0, isEmptiedByCanary(id.table) ? try cloneCopies(id) - count : -count)
    }

    /// The row, where the clone has more copies of it than live.
    func cloneOnlyCopy(_ id: RowID) throws(Halt) -> Row? {
        try clonesOwnCopies(id) > 0 ? id.key : nil
    }

    /// Live has a copy. Where it has no more than the clone, the clone has one too.
    private func hasCopyInClone(_ id: RowID) throws(Halt) -> Bool {
        if !isEmptiedByCanary(id.table), slot(copies: id).count <= 0 { return true }
        return try cloneCopies(id) > 0
    }

    /// The clone has a copy. Where live has no fewer than the clone, live has one too.
    func hasCopyInLive(_ id: RowID) throws(Halt) -> Bool {
        if !isEmptiedByCanary(id.table), slot(copies: id).count >= 0 { return true }
        return try liveCopies(id) > 0
    }

    private mutating func changeCopies(
        _ id: RowID, _ layout: TableLayout, live: Int, clone: Int
    ) throws(Halt) {
        let old = slot(copies: id)
        if live < 0, isEmptiedByCanary(id.table), old.count + live < 0 {
            throw .broken(.notInLive(id, commitLSN: now.commitLSN))
        }
        var new = old
        new.count += isEmptiedByCanary(id.table) ? live : live - clone
        new.cloneChange += clone
        new.xid = now.xid
        for unique in layout.secondaryUniques {
            guard let entry = try entry(unique, of: id.key, id) else { continue }
            index.cloneHolders[entry, default: .one(id)].insert(id)
        }
        for foreignKey in layout.schema.foreignKeys {
            guard let entry = try reference(foreignKey, of: id.key, id) else { continue }
            index.cloneChildren[entry, default: .one(id)].insert(id)
        }
        if clone > 0, !old.isQueued, layout.isConstrained {
            new.isQueued = true
            now.queue.append(.copies(id))
        }
        if work[id.table] == nil { work[id.table] = newWork(id.table) }
        let previous = work[id.table]!.set(copies: id.key, new)
        if now.keepsUndo { now.undo.append(.copies(id, previous)) }
    }

    /// Whether stable's change of a copy is only a foreign key's, because of a parent that the clone has kept.
    private func isSpared(copy row: Row, _ id: RowID, becoming new: Row?, _ layout: TableLayout) throws(Halt) -> Bool {
        guard now.hasSparedLoss else { return false }
        if let new { return try !sparedColumns(id, base: row, new: new, clone: row, layout).isEmpty }
        return try isSparedDelete(id, live: row, clone: row, layout)
    }
}
