// Two rows of the clone with one entry in a unique index. Live has the entry once at most, so one of them differs from
// live's and gives way: it takes live's values in the index's columns. Stable's newer write wins.

extension BatchMerge {
    mutating func judgeUniques(_ id: RowID, _ slot: Slot, _ clone: Row, _ layout: TableLayout) throws(Halt) {
        for unique in layout.secondaryUniques {
            guard let entry = try entry(unique, of: clone, id) else { continue }
            if let before = slot.cloneBefore, try self.entry(unique, of: before, id) == entry { continue }
            let isLives = try slot.live.flatMap { row throws(Halt) in try self.entry(unique, of: row, id) } == entry
            for other in try holders(entry, isLives: isLives) where other != id {
                if !isLives, try hasInLive(other, entry) {
                    return try takeLive(id, unique.columns, .unique, for: other)
                }
                try takeLive(other, columns(of: unique.id, in: other.table), .unique, for: id)
            }
        }
    }

    /// A row of a table without a key of which the clone got copies.
    mutating func judgeUniques(copies id: RowID, _ layout: TableLayout) throws(Halt) {
        for unique in layout.secondaryUniques {
            guard let entry = try entry(unique, of: id.key, id) else { continue }
            let isLives = try hasCopyInLive(id)
            // Of its own copies those that live has not give way as well.
            for other in try holders(entry, isLives: isLives) where isLives || other != id {
                if !isLives, try hasInLive(other, entry) { return try takeLiveCopies(id, layout, .unique) }
                try takeLive(other, columns(of: unique.id, in: other.table), .unique, for: id)
            }
        }
    }

    /// Rows of the clone with an entry. When live's row has it as well, every other holder is tainted, so it is known;
    /// unless rows of a table emptied by the canary are tainted without being known.
    private func holders(_ entry: UniqueEntry, isLives: Bool) throws(Halt) -> [RowID] {
        let canHide = schema.tablesByUnique[entry.unique]?.contains { isEmptiedByCanary($0) } ?? false
        return isLives && !canHide ? try knownHolders(entry) : try allHolders(entry)
    }

    private func hasInLive(_ id: RowID, _ entry: UniqueEntry) throws(Halt) -> Bool {
        let layout = try layout(of: id.table)
        if layout.isKeyless { return try liveCopies(id) > 0 }
        guard let live = try slotOrAsk(id).live else { return false }
        let unique = layout.secondaryUniques.first { $0.id == entry.unique }
        return try unique.flatMap { unique throws(Halt) in try self.entry(unique, of: live, id) } == entry
    }

    private func columns(of unique: UniqueID, in table: TableID) throws(Halt) -> [Int]? {
        try layout(of: table).secondaryUniques.first { $0.id == unique }?.columns
    }
}
