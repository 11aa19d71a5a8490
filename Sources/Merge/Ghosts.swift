// Values that heal took out of live. A client that read a row before and saves all of it later brings them back as a write
// of stable's to a row that is not tainted any more.

extension BatchMerge {
    func ghost(of id: RowID) -> Ghost? {
        if let changed = ghosts[id] { return changed }
        return ledger.tables[id.table]?.ghosts[id.key]
    }

    /// - Parameter new: live's row after heal; nil when heal deleted it.
    mutating func addGhost(_ id: RowID, removed: Row, by new: Row?, _ layout: TableLayout) {
        var values = ghost(of: id)?.values ?? [:]
        for column in removed.indices
        where layout.rules[column] != .follow && (new == nil || new![column] != removed[column]) {
            values[layout.column(column)] = removed[column]
        }
        if values.isEmpty { return }
        setGhost(id, Ghost(row: id, values: values, healedLSN: now.commitLSN))
    }

    mutating func removeGhost(_ id: RowID) {
        if ghost(of: id) != nil { setGhost(id, nil) }
    }

    mutating func moveGhost(_ id: RowID, to new: RowID) {
        guard var ghost = ghost(of: id) else { return }
        setGhost(id, nil)
        ghost.row = new
        setGhost(new, ghost)
    }

    /// - Parameters:
    ///   - ghost: of the row that stable's change began with, or of the key at which a row arrives.
    ///   - base: live's row before; nil for one that arrives, which brings back another only as a whole.
    mutating func noteWriteback(_ ghost: Ghost?, _ id: RowID, _ base: Row?, _ new: Row, _ layout: TableLayout) {
        guard let ghost else { return }
        let back = new.indices.filter { column in
            ghost.values[layout.column(column)] == new[column] && base?[column] != new[column]
        }
        guard base != nil || back.count == ghost.values.count else { return }
        for column in back {
            report(.writeback, id, column: layout.column(column), saved: base, live: base, stable: new)
        }
    }

    private mutating func setGhost(_ id: RowID, _ ghost: Ghost?) {
        let previous = ghosts.updateValue(ghost, forKey: id)
        if previous == nil { ghostOrder.append(id) }
        if now.keepsUndo { now.undo.append(.ghost(id, previous)) }
    }
}
