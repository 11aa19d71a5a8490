// Live's foreign keys act on children that the canary gave to a parent; the stream shows that as stable's changes. The
// clone's children have another parent and are spared.
//
//     live   canary: child 7 from parent 1 to parent 2     stable: DELETE parent 2   (live: CASCADE deletes child 7)
//     clone  child 7 stays with parent 1                   DELETE parent 2           child 7 stays
//
// The action is told by its order: it comes after the change of the parent, in the same transaction, and nobody else can
// still find a child with the parent's values then.

extension BatchMerge {
    /// Takes note of referenced values that stable's change took away in live.
    mutating func noteLosses(_ live: Departure, clone: Departure?) throws(Halt) {
        for reference in live.layout.references {
            guard let before = try referenced(reference, by: live.row, live.id) else { continue }
            let after = try referenced(reference.unique, by: live.arrival)
            if before == after { continue }
            var isSpared = try !knownHolders(before).isEmpty
            if let clone, try referenced(reference, by: clone.row, clone.id) == before {
                isSpared = try referenced(reference.unique, by: clone.arrival) == before
            }
            let nulls = reference.columns.map { _ in Value.null }
            now.losses[before] = Loss(movedTo: live.arrival == nil ? nil : after?.values ?? nulls, isSpared: isSpared)
            if isSpared { now.hasSparedLoss = true }
        }
    }

    /// Whether stable's DELETE is only the CASCADE of a parent that the clone's row does not have, or has kept.
    func isSparedDelete(_ id: RowID, live: Row, clone: Row, _ layout: TableLayout) throws(Halt) -> Bool {
        if now.losses.isEmpty || (live == clone && !now.hasSparedLoss) { return false }
        var isSpared = false
        for foreignKey in layout.schema.foreignKeys where foreignKey.onDelete == .cascade {
            guard let loss = try loss(foreignKey, of: live, id), loss.movedTo == nil else { continue }
            let shares = try reference(foreignKey, of: clone, id) == reference(foreignKey, of: live, id)
            // The parent went in the clone too, so the row goes there for its own sake.
            if shares, !loss.isSpared { return false }
            isSpared = true
        }
        return isSpared
    }

    /// Columns of stable's UPDATE that only a foreign key of live changed, because of a parent that the clone's row does
    /// not have, or has kept.
    func sparedColumns(
        _ id: RowID, base: Row, new: Row, clone: Row, _ layout: TableLayout
    ) throws(Halt) -> Set<Int> {
        if now.losses.isEmpty || (base == clone && !now.hasSparedLoss) { return [] }
        var columns: Set<Int> = []
        for foreignKey in layout.schema.foreignKeys {
            guard let loss = try loss(foreignKey, of: base, id), isAction(foreignKey, loss, base, new) else {
                continue
            }
            let shares = try reference(foreignKey, of: clone, id) == reference(foreignKey, of: base, id)
            if !shares || loss.isSpared { columns.formUnion(foreignKey.columns) }
        }
        return columns
    }

    /// Whether stable's UPDATE of a row that only live has is the action of a foreign key.
    func isForeignKeyAction(on id: RowID, _ base: Row, _ new: Row, _ layout: TableLayout) throws(Halt) -> Bool {
        if now.losses.isEmpty { return false }
        for foreignKey in layout.schema.foreignKeys {
            if let loss = try loss(foreignKey, of: base, id), isAction(foreignKey, loss, base, new) { return true }
        }
        return false
    }

    private func loss(_ foreignKey: ForeignKey, of live: Row, _ id: RowID) throws(Halt) -> Loss? {
        guard let entry = try reference(foreignKey, of: live, id) else { return nil }
        return now.losses[UniqueEntry(unique: foreignKey.references, values: entry.values)]
    }

    private func isAction(_ foreignKey: ForeignKey, _ loss: Loss, _ base: Row, _ new: Row) -> Bool {
        guard foreignKey.columns.contains(where: { base[$0] != new[$0] }) else { return false }
        switch loss.movedTo == nil ? foreignKey.onDelete : foreignKey.onUpdate {
        case .refuse: return false
        case .cascade: return loss.movedTo == foreignKey.columns.map { new[$0] }
        case .assign(let values): return values.allSatisfy { new[$0.key] == $0.value }
        }
    }
}
