// Which rows of live must be healed together. A row that becomes the clone's may take a unique value that another row of
// live has, leave children without a parent, or need a parent that live has not. All rows concerned are tainted, so the
// ledger knows them; only tables that the canary emptied have to be unfolded first.

extension MergeEngine {
    /// Rows that must become the clone's in the same transaction as this one, so that live is consistent after it.
    package func needs(_ id: RowID) -> Set<RowID> {
        guard let layout = schema.tables[id.table], let change = healing(id, layout) else { return [] }
        var needed: Set<RowID> = []
        for entry in change.takenUniques {
            needed.formUnion((ledger.liveHolders[entry]?.rows ?? []).filter(isInLive))
        }
        for entry in change.lostReferenced {
            if let holder = cloneHolder(entry) {
                needed.insert(holder)
                continue
            }
            for key in schema.referencing[entry.unique] ?? [] {
                let reference = ReferenceEntry(foreignKey: key.id, values: entry.values)
                needed.formUnion((ledger.liveChildren[reference]?.rows ?? []).filter(isInLive))
            }
        }
        for reference in change.newReferences {
            guard let parent = schema.foreignKeys[reference.foreignKey]?.references else { continue }
            let entry = UniqueEntry(unique: parent, values: reference.values)
            if let holder = cloneHolder(entry), !isHeldInLive(entry) { needed.insert(holder) }
        }
        needed.remove(id)
        return needed
    }

    /// Rows with all that they need, and all that those need, in the order of their names.
    ///
    /// - Returns: nil when that are more than `limit`.
    package func closure(of seeds: [RowID], atMost limit: Int = .max) -> [RowID]? {
        var seen = Set(seeds)
        var open = seeds
        while let id = open.popLast() {
            for next in needs(id) where seen.insert(next).inserted { open.append(next) }
            if seen.count > limit { return nil }
        }
        return seen.sorted()
    }

    /// Only columns differ that no unique index, foreign key or EXCLUDE has: nothing else needs the row, so that it can be
    /// compared and set by itself.
    package func isPlain(_ id: RowID) -> Bool {
        guard let taint = ledger.taint(id), let live = taint.live, let clone = taint.clone, live != clone else {
            return false
        }
        let excluded = schema.tables[id.table]?.schema.excluded ?? []
        return excluded.allSatisfy { live[$0] == clone[$0] } && taint.entries.liveUniques == taint.entries.cloneUniques
            && taint.entries.liveReferences == taint.entries.cloneReferences
    }

    /// Tainted rows, those that live lacks first and parents before children, then those that differ, then those that only
    /// live has, children before parents: an order in which closures stay small.
    package var healSeeds: [RowID] {
        let tables = schema.parentsFirst
        func rows(_ table: TableID, _ kind: TaintedRow.Kind) -> [RowID] {
            let known = (ledger.tables[table]?.rows ?? [:]).filter { TaintedRow.Kind($0.value) == kind }
            return known.keys.map { RowID(table: table, key: $0) }.sorted()
        }
        return tables.flatMap { rows($0, .onlyClone) } + tables.flatMap { rows($0, .modified) }
            + tables.reversed().flatMap { rows($0, .onlyLive).reversed() }
    }
}

/// What becomes of a row's entries when it is healed.
private struct HealedEntries {
    /// Unique entries it will have and has not.
    var takenUniques: [UniqueEntry] = []
    /// Values that foreign keys can refer to, which it has and will not have.
    var lostReferenced: [UniqueEntry] = []
    /// References it will have and has not.
    var newReferences: [ReferenceEntry] = []
}

extension MergeEngine {
    private func healing(_ id: RowID, _ layout: TableLayout) -> HealedEntries? {
        var change = HealedEntries()
        if layout.isKeyless {
            guard let copies = ledger.tables[id.table]?.copies[id.key] else { return nil }
            if copies.count < 0 {
                change.takenUniques = copies.entries.cloneUniques
                change.newReferences = copies.entries.cloneReferences
            }
            return change
        }
        guard let taint = ledger.taint(id), taint.live != taint.clone else { return nil }
        let (live, clone) = (Set(taint.entries.liveUniques), Set(taint.entries.cloneUniques))
        change.takenUniques = taint.entries.cloneUniques.filter { !live.contains($0) }
        let references = Set(taint.entries.liveReferences)
        change.newReferences = taint.entries.cloneReferences.filter { !references.contains($0) }
        for reference in layout.references {
            if reference.isKey {
                guard taint.clone == nil else { continue }
                change.lostReferenced.append(UniqueEntry(unique: reference.unique, values: id.key))
            } else {
                change.lostReferenced += taint.entries.liveUniques.filter {
                    $0.unique == reference.unique && !$0.values.contains(.null) && !clone.contains($0)
                }
            }
        }
        return change
    }

    /// The tainted row of the clone with referenced values.
    func cloneHolder(_ entry: UniqueEntry) -> RowID? {
        guard schema.keyUniques.contains(entry.unique) else { return ledger.cloneHolders[entry]?.rows.min() }
        return (schema.tablesByUnique[entry.unique] ?? []).lazy.map { RowID(table: $0, key: entry.values) }
            .first { ledger.taint($0)?.clone != nil }
    }

    /// Whether a tainted row of live has referenced values.
    private func isHeldInLive(_ entry: UniqueEntry) -> Bool {
        guard schema.keyUniques.contains(entry.unique) else { return ledger.liveHolders[entry] != nil }
        return (schema.tablesByUnique[entry.unique] ?? []).contains {
            ledger.taint(RowID(table: $0, key: entry.values))?.live != nil
        }
    }

    /// Of rows without a key only those count of which live has copies too many.
    private func isInLive(_ id: RowID) -> Bool {
        guard let copies = ledger.tables[id.table]?.copies[id.key] else { return true }
        return copies.count > 0
    }
}
