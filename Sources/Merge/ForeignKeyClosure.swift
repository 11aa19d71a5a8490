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
                try takeParent(parent, entry)
            } else {
                try takeLive(id, foreignKey.columns, .foreignKeyChild)
            }
        }
    }

    /// A row of a table without a key that stable wrote.
    mutating func judgeParents(copies id: RowID, _ layout: TableLayout) throws(Halt) {
        for foreignKey in layout.schema.foreignKeys {
            guard let reference = try reference(foreignKey, of: id.key, id) else { continue }
            let entry = UniqueEntry(unique: foreignKey.references, values: reference.values)
            if try isHeld(entry, byLive: true) { continue }
            if let parent = try taintedLiveHolder(entry) { try takeParent(parent, entry) }
        }
    }

    /// The clone's row with these values gave them up: whoever refers to them needs another parent or other values.
    mutating func judgeLost(_ entry: UniqueEntry) throws(Halt) {
        guard try knownHolders(entry).isEmpty else { return }
        let parent = try taintedLiveHolder(entry)
        for foreignKey in schema.referencing[entry.unique] ?? [] {
            for child in try cloneChildren(foreignKey, entry, withUntouched: true) {
                if let parent, try refersInLive(child, foreignKey.id, entry) { return try takeParent(parent, entry) }
                try takeLive(child, columns(of: foreignKey.id, in: child.table), .foreignKeyChild)
            }
        }
    }

    private mutating func takeParent(_ parent: RowID, _ entry: UniqueEntry) throws(Halt) {
        let reference = try layout(of: parent.table).references.first { $0.unique == entry.unique }
        try takeLive(parent, reference?.columns, .foreignKeyParent)
    }

    /// Whether the clone has a row with referenced values.
    ///
    /// - Parameter byLive: live has one, so the clone has it too unless that row is tainted.
    private func isHeld(_ entry: UniqueEntry, byLive: Bool) throws(Halt) -> Bool {
        if try !knownHolders(entry).isEmpty { return true }
        let tables = schema.tablesByUnique[entry.unique] ?? []
        let canHide = tables.contains { isEmptiedByCanary($0) }
        if byLive, !canHide { return try taintedLiveHolder(entry) == nil }
        guard let table = tables.first else { return false }
        let isKey = try layout(of: table).references.contains { $0.unique == entry.unique && $0.isKey }
        guard isKey else { return try !allHolders(entry).isEmpty }
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
