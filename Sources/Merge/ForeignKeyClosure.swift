// Children without a parent in the clone. Where live's child has the same reference its parent is taken from live, else
// the child takes live's reference. Parents that are taken are judged in turn, and so on upwards.

extension BatchMerge {
    /// A row of the clone was written: are its parents there?
    mutating func judgeParents(_ id: RowID, _ slot: Slot, _ clone: Row, _ layout: TableLayout) throws(Halt) {
        for foreignKey in layout.schema.foreignKeys {
            guard let reference = try reference(foreignKey, of: clone, id) else { continue }
            // An old reference has lost its parent only if that one's values were lost, which is judged by itself.
            if let before = slot.cloneBefore, foreignKey.columns.allSatisfy({ before[$0] == clone[$0] }) { continue }
            let entry = UniqueEntry(unique: foreignKey.references, values: reference.values)
            let isLives =
                try slot.live.flatMap { row throws(Halt) in
                    try self.reference(foreignKey, of: row, id)
                } == reference
            if try isHeld(entry, byLive: isLives) { continue }
            if isLives, let parent = try taintedLiveHolder(entry) {
                try takeParent(parent, entry, of: id)
            } else {
                try takeLive(id, foreignKey.columns, .foreignKeyChild)
            }
        }
    }

    /// A row of a table without a key of which the clone got copies.
    mutating func judgeParents(copies id: RowID, _ layout: TableLayout) throws(Halt) {
        for foreignKey in layout.schema.foreignKeys {
            guard let reference = try reference(foreignKey, of: id.key, id) else { continue }
            let entry = UniqueEntry(unique: foreignKey.references, values: reference.values)
            let isLives = try hasCopyInLive(id)
            if try isHeld(entry, byLive: isLives) { continue }
            if isLives, let parent = try taintedLiveHolder(entry) {
                try takeParent(parent, entry, of: id)
            } else {
                try takeLiveCopies(id, layout, .foreignKeyChild)
            }
        }
    }

    /// The clone's row with these values gave them up: whoever refers to them needs another parent or other values.
    mutating func judgeLost(_ entry: UniqueEntry) throws(Halt) {
        guard try knownHolders(entry).isEmpty else { return }
        let parent = try taintedLiveHolder(entry)
        for foreignKey in schema.referencing[entry.unique] ?? [] {
            let children = try cloneChildren(foreignKey, entry, withUntouched: true)
            // An untouched row has the values when a merged one had them for a moment only.
            if children.isEmpty { continue }
            if try isHeld(entry, byLive: false) { return }
            for child in children {
                if let parent, try refersInLive(child, foreignKey.id, entry) {
                    return try takeParent(parent, entry, of: child)
                }
                try takeLive(child, columns(of: foreignKey.id, in: child.table), .foreignKeyChild)
            }
        }
    }

    private mutating func takeParent(_ parent: RowID, _ entry: UniqueEntry, of child: RowID) throws(Halt) {
        let reference = try layout(of: parent.table).references.first { $0.unique == entry.unique }
        try takeLive(parent, reference?.columns, .foreignKeyParent, for: child)
    }

    /// Whether the clone has a row with referenced values.
    ///
    /// - Parameter byLive: live has one, so the clone has it too unless that row is tainted.
    private func isHeld(_ entry: UniqueEntry, byLive: Bool) throws(Halt) -> Bool {
        let tables = schema.tablesByUnique[entry.unique] ?? []
        guard schema.keyUniques.contains(entry.unique) else {
            if try !knownHolders(entry).isEmpty { return true }
            if byLive, !tables.contains(where: isEmptiedByCanary) { return try taintedLiveHolder(entry) == nil }
            return try !allHolders(entry).isEmpty
        }
        var isLivesAlone = false
        for table in tables {
            guard let slot = slot(RowID(table: table, key: entry.values)) else { continue }
            if slot.clone != nil { return true }
            if slot.live != nil { isLivesAlone = true }
        }
        if byLive, !tables.contains(where: isEmptiedByCanary) { return !isLivesAlone }
        for table in tables {
            if try slotOrAsk(RowID(table: table, key: entry.values)).clone != nil { return true }
        }
        return false
    }

    private func refersInLive(_ id: RowID, _ foreignKey: ForeignKeyID, _ entry: UniqueEntry) throws(Halt) -> Bool {
        let layout = try layout(of: id.table)
        if layout.isKeyless { return try liveCopies(id) > 0 }
        guard let live = try slotOrAsk(id).live,
            let own = layout.schema.foreignKeys.first(where: { $0.id == foreignKey })
        else { return false }
        return try reference(own, of: live, id)?.values == entry.values
    }

    private func columns(of foreignKey: ForeignKeyID, in table: TableID) throws(Halt) -> [Int]? {
        try layout(of: table).schema.foreignKeys.first { $0.id == foreignKey }?.columns
    }
}
