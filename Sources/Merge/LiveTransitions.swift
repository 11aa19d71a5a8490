// Changes of the canary's and of heal, and of stable transactions that are kept out: live moves, the clone does not. Only
// columns with the rule `follow` take live's value in the clone as well.

extension BatchMerge {
    mutating func moveLive(_ change: Change, isHeal: Bool) throws(Halt) {
        switch change {
        case .insert(let table, let new):
            let layout = try checked(table, new)
            if layout.isKeyless { return try moveLiveCopies(layout, from: nil, to: new) }
            let id = layout.rowID(of: new)
            let slot = try slotForArrival(id)
            try put(id, over: slot, live: new, clone: following(new, slot.clone, layout), layout)
        case .update(let table, let old, let sent):
            try moveLiveUpdate(checked(table, sent), old, sent, isHeal: isHeal)
        case .delete(let table, let old):
            let layout = try layout(of: table)
            if layout.isKeyless { return try moveLiveCopies(layout, from: whole(old, layout), to: nil) }
            let id = try rowID(old, layout)
            let slot = try fullSlotInLive(id, layout, old)
            if isHeal { addGhost(id, removed: slot.live!, by: nil, layout) }
            try put(id, over: slot, live: nil, clone: slot.clone, layout)
        case .truncate(let tables):
            for table in tables { try emptyLive(layout(of: table)) }
        }
    }

    private mutating func moveLiveUpdate(
        _ layout: TableLayout, _ old: OldRow?, _ sent: Row, isHeal: Bool
    ) throws(Halt) {
        if layout.isKeyless {
            let before = try whole(old, layout)
            return try moveLiveCopies(layout, from: before, to: filled(sent, from: before))
        }
        let id = try rowID(old, sent, layout)
        let slot = try fullSlotInLive(id, layout, old)
        let new = filled(sent, from: slot.live!)
        let arrival = layout.rowID(of: new)
        if isHeal { addGhost(id, removed: slot.live!, by: new, layout) }
        if arrival == id {
            try put(id, over: slot, live: new, clone: following(new, slot.clone, layout), layout)
        } else {
            try put(id, over: slot, live: nil, clone: slot.clone, layout)
            let target = try slotForArrival(arrival)
            try put(arrival, over: target, live: new, clone: following(new, target.clone, layout), layout)
        }
    }

    /// A row of live with every value: it is about to differ from the clone's.
    private func fullSlotInLive(_ id: RowID, _ layout: TableLayout, _ old: OldRow?) throws(Halt) -> Slot {
        var slot = try slotInLive(id, layout, full: old.fullRow)
        if !slot.isTainted {
            slot.live = try full(slot.live!, id)
            slot.clone = slot.live
        }
        return slot
    }

    /// The clone's row with the values of columns that follow live's.
    func following(_ live: Row?, _ clone: Row?, _ layout: TableLayout) -> Row? {
        guard let live, var row = clone, !layout.following.isEmpty else { return clone }
        for column in layout.following { row[column] = live[column] }
        return row
    }

    // MARK: Reading changes

    func checked(_ table: TableID, _ row: Row) throws(Halt) -> TableLayout {
        let layout = try layout(of: table)
        guard row.count == layout.blank.count else { throw .broken(.shape(table, commitLSN: now.commitLSN)) }
        return layout
    }

    func rowID(_ old: OldRow, _ layout: TableLayout) throws(Halt) -> RowID {
        switch old {
        case .key(let values):
            guard values.count == layout.schema.key.count else {
                throw .broken(.shape(layout.id, commitLSN: now.commitLSN))
            }
            return RowID(table: layout.id, key: values)
        case .full(let row):
            guard row.count == layout.blank.count else {
                throw .broken(.shape(layout.id, commitLSN: now.commitLSN))
            }
            return layout.rowID(of: row)
        }
    }

    /// Of the row that an update began with.
    func rowID(_ old: OldRow?, _ sent: Row, _ layout: TableLayout) throws(Halt) -> RowID {
        let id = try old.map { old throws(Halt) in try rowID(old, layout) } ?? layout.rowID(of: sent)
        guard !id.key.hasUnchanged else { throw .broken(.valueMissing(id, commitLSN: now.commitLSN)) }
        return id
    }

    /// The row before the change in a table without a key, where the stream has to say all of it.
    func whole(_ old: OldRow?, _ layout: TableLayout) throws(Halt) -> Row {
        guard let row = old.fullRow, row.count == layout.blank.count else {
            throw .broken(.shape(layout.id, commitLSN: now.commitLSN))
        }
        return row
    }
}

extension OldRow? {
    var fullRow: Row? {
        if case .full(let row) = self { row } else { nil }
    }
}
