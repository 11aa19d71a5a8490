// Stable's changes: live and the clone move, the clone by what the row is like in both.

extension BatchMerge {
    /// - Parameter isHeld: every row written is an open entry.
    mutating func stableChange(_ change: Change, isHeld: Bool) throws(Halt) {
        switch change {
        case .insert(let table, let new):
            let layout = try checked(table, new)
            if isHeld { report(held: layout.rowID(of: new), nil, nil, new) }
            if layout.isKeyless { return try stableInsertCopy(layout, new) }
            try stableInsert(layout, new)
        case .update(let table, let old, let sent):
            let layout = try checked(table, sent)
            if layout.isKeyless {
                let before = try whole(old, layout)
                let new = filled(sent, from: before)
                if isHeld { report(held: layout.rowID(of: new), before, before, new) }
                return try stableUpdateCopy(layout, before, to: new)
            }
            try stableUpdate(from: try rowID(old, sent, layout), layout, old, to: layout, sent, isHeld: isHeld)
        case .delete(let table, let old):
            let layout = try layout(of: table)
            if layout.isKeyless {
                let row = try whole(old, layout)
                if isHeld { report(held: layout.rowID(of: row), row, row, nil) }
                return try stableDeleteCopy(layout, row)
            }
            try stableDelete(layout, try rowID(old, layout), old, isHeld: isHeld)
        case .truncate(let tables):
            for table in tables {
                if isHeld { report(held: RowID(table: table, key: []), nil, nil, nil) }
                emptyBoth(try layout(of: table))
            }
        }
    }

    /// A row written by nobody's role. No conflict: it does not keep the transaction out.
    private mutating func report(held id: RowID, _ saved: Row?, _ live: Row?, _ stable: Row?) {
        let hadConflict = now.hasConflict
        report(.unattributed, id, isOpen: true, saved: saved, live: live, stable: stable)
        now.hasConflict = hadConflict
    }

    private mutating func stableInsert(_ layout: TableLayout, _ new: Row) throws(Halt) {
        let id = layout.rowID(of: new)
        let slot = try slotForArrival(id)
        if let clone = slot.clone { report(.insertExists, id, isOpen: true, saved: clone, stable: new) }
        noteWriteback(ghost(of: id), id, nil, new, layout)
        try put(id, over: slot, live: new, clone: new, layout)
    }

    /// - Parameter target: the table itself, or another partition with the same root.
    mutating func stableUpdate(
        from id: RowID, _ layout: TableLayout, _ old: OldRow?, to target: TableLayout, _ sent: Row, isHeld: Bool
    ) throws(Halt) {
        var slot = try slotInLive(id, layout, full: old.fullRow)
        // Where the stream tells no old row the key is the same.
        let moves =
            target.id != id.table
            || old != nil
                && (target.schema.key.contains { sent[$0].isUnchanged } || target.rowID(of: sent) != id)
        let needsBase =
            slot.isTainted || layout.needsBase || (moves && sent.hasUnchanged) || now.hasSparedLoss
            || isHeld || ghost(of: id) != nil
        if !needsBase, !moves {
            // Equal in both, and no other row looks at what changed.
            let new = filled(sent, from: slot.live!)
            return try put(id, over: slot, live: new, clone: new, layout)
        }
        if needsBase, !slot.isTainted {
            slot.live = try full(slot.live!, id)
            slot.clone = slot.live
        }
        let base = converted(slot.live!, from: layout, to: target)
        let saved = slot.clone.map { converted($0, from: layout, to: target) }
        let new = filled(sent, from: base)
        let arrival = target.rowID(of: new)
        if isHeld { report(held: arrival, saved, base, new) }
        if let ghost = ghost(of: id) {
            noteWriteback(ghost, arrival, base, new, target)
        } else if arrival != id {
            noteWriteback(ghost(of: arrival), arrival, nil, new, target)
        }
        let result = try cloneResult(slot, id, layout, base, new, arrival, target)
        if arrival == id {
            try put(id, over: slot, live: new, clone: result, layout)
        } else {
            moveGhost(id, to: arrival)
            try put(id, over: slot, live: nil, clone: nil, layout)
            let place = try slotForArrival(arrival)
            if let taken = place.clone, result != nil {
                report(.insertExists, arrival, isOpen: true, saved: taken, stable: new)
            }
            try put(
                arrival, over: place, live: new, clone: result ?? following(new, place.clone, target), target)
            if result != nil, slot.isTainted { report(.moved, arrival, saved: saved, live: base, stable: new) }
        }
        let clone = slot.clone.flatMap { row in
            result.map {
                Departure(id: id, row: row, layout: layout, arrival: Arrival(id: arrival, row: $0, layout: target))
            }
        }
        let live = slot.live!
        try noteLosses(
            Departure(
                id: id, row: live, layout: layout, arrival: Arrival(id: arrival, row: new, layout: target)),
            clone: clone)
        guard let clone else { return }
        try actOnChildren(clone, live: live)
        if arrival != id { try listAgain(id, as: arrival) }
    }

    /// What the clone gets for stable's update; nil when it stays without the row.
    private mutating func cloneResult(
        _ slot: Slot, _ id: RowID, _ layout: TableLayout, _ base: Row, _ new: Row, _ arrival: RowID,
        _ target: TableLayout
    ) throws(Halt) -> Row? {
        guard let clone = slot.clone else {
            if try isForeignKeyAction(on: id, base, new, target) {
                report(.spared, arrival, live: base, stable: new)
            } else if policy.canaryRow == .drop {
                report(.dropped, arrival, live: base, stable: new)
            } else {
                report(.updateMissing, arrival, isOpen: true, live: base, stable: new)
                return new
            }
            return nil
        }
        let own = converted(clone, from: layout, to: target)
        let spared = try sparedColumns(id, base: base, new: new, clone: own, target)
        if !spared.isEmpty { report(.spared, arrival, saved: clone, live: base, stable: new) }
        guard slot.isTainted || !spared.isEmpty else { return new }
        return merged(arrival, base: base, new: new, clone: own, spared: spared, target)
    }

    private mutating func stableDelete(
        _ layout: TableLayout, _ id: RowID, _ old: OldRow?, isHeld: Bool
    ) throws(Halt) {
        var slot = try slotInLive(id, layout, full: old.fullRow)
        if !slot.isTainted, layout.needsBase || now.hasSparedLoss || isHeld {
            slot.live = try full(slot.live!, id)
            slot.clone = slot.live
        }
        if isHeld { report(held: id, slot.clone, slot.live, nil) }
        removeGhost(id)
        let live = Departure(id: id, row: slot.live!, layout: layout)
        guard let clone = slot.clone else {
            try put(id, over: slot, live: nil, clone: nil, layout)
            return try noteLosses(live, clone: nil)
        }
        if try isSparedDelete(id, live: live.row, clone: clone, layout) {
            report(.spared, id, saved: clone, live: live.row)
            try put(id, over: slot, live: nil, clone: clone, layout)
            return try noteLosses(live, clone: nil)
        }
        if slot.isTainted { report(.deleteModified, id, saved: clone, live: live.row) }
        try put(id, over: slot, live: nil, clone: nil, layout)
        let gone = Departure(id: id, row: clone, layout: layout)
        try noteLosses(live, clone: gone)
        try actOnChildren(gone, live: live.row)
    }
}
