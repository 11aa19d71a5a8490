// Entries of rows in unique indexes and foreign keys.

extension BatchMerge {
    /// A row's entry in a unique index; nil when it conflicts with no other row there.
    func entry(_ unique: UniqueIndex, of row: Row, _ id: RowID) throws(Halt) -> UniqueEntry? {
        switch unique.entries {
        case .values(let nullsAreDistinct):
            let values = try values(unique.columns, of: row, id)
            return nullsAreDistinct && values.contains(.null) ? nil : UniqueEntry(unique: unique.id, values: values)
        case .computed:
            return try judgement(of: row, id).entries[unique.id].map { UniqueEntry(unique: unique.id, values: $0) }
        }
    }

    /// The values by which foreign keys can refer to a row.
    func referenced(_ reference: Reference, by row: Row, _ id: RowID) throws(Halt) -> UniqueEntry? {
        let values = reference.isKey ? id.key : try values(reference.columns, of: row, id)
        return values.contains(.null) ? nil : UniqueEntry(unique: reference.unique, values: values)
    }

    /// What a row refers to; nil when one of the columns is NULL.
    func reference(_ foreignKey: ForeignKey, of row: Row, _ id: RowID) throws(Halt) -> ReferenceEntry? {
        let values = try values(foreignKey.columns, of: row, id)
        return values.contains(.null) ? nil : ReferenceEntry(foreignKey: foreignKey.id, values: values)
    }

    /// A row's entries in the unique indexes other than the key's.
    func uniqueEntries(of row: Row, _ id: RowID, _ layout: TableLayout) throws(Halt) -> [UniqueEntry] {
        var entries: [UniqueEntry] = []
        for unique in layout.secondaryUniques {
            if let entry = try entry(unique, of: row, id) { entries.append(entry) }
        }
        return entries
    }

    /// Everything a row refers to.
    func references(of row: Row, _ id: RowID, _ layout: TableLayout) throws(Halt) -> [ReferenceEntry] {
        var entries: [ReferenceEntry] = []
        for foreignKey in layout.schema.foreignKeys {
            if let entry = try reference(foreignKey, of: row, id) { entries.append(entry) }
        }
        return entries
    }

    func judgement(of row: Row, _ id: RowID) throws(Halt) -> Judgement {
        let image = RowImage(table: id.table, row: try full(row, id))
        guard let judgement = answers.judgements[image] else { throw .unanswered(.judgement(image)) }
        return judgement
    }

    /// Rows of the clone with an entry, as far as ledger and batch know them: all that are tainted or were written in this
    /// batch.
    func knownHolders(_ entry: UniqueEntry) throws(Halt) -> [RowID] {
        let tables = schema.tablesByUnique[entry.unique] ?? []
        if schema.keyUniques.contains(entry.unique) {
            return tables.map { RowID(table: $0, key: entry.values) }.filter { slot($0)?.clone != nil }
        }
        var holders: [RowID] = []
        for id in rows(ledger.cloneHolders[entry], index.cloneHolders[entry]) {
            let layout = try layout(of: id.table)
            guard let clone = layout.isKeyless ? try cloneOnlyCopy(id) : slot(id)?.clone,
                let unique = layout.secondaryUniques.first(where: { $0.id == entry.unique })
            else { continue }
            if try self.entry(unique, of: clone, id) == entry { holders.append(id) }
        }
        return holders
    }

    /// Every row of the clone with an entry, asked for where the clone may have more than is known.
    func allHolders(_ entry: UniqueEntry) throws(Halt) -> [RowID] {
        let known = try knownHolders(entry)
        guard let found = answers.holders[entry] else { throw .unanswered(.holders(entry)) }
        return (known + found.map(\.id).filter(isAsBeforeTheBatch)).sorted()
    }

    /// Neither tainted nor written in this batch.
    func isAsBeforeTheBatch(_ id: RowID) -> Bool {
        if schema.tables[id.table]?.isKeyless == true {
            return work[id.table]?.isCloneEmptied != true && work[id.table]?[copies: id.key] == nil
                && ledger.tables[id.table]?.copies[id.key] == nil
        }
        return slot(id) == nil
    }

    /// The row of live with referenced values, when it is tainted.
    func taintedLiveHolder(_ entry: UniqueEntry) throws(Halt) -> RowID? {
        let tables = schema.tablesByUnique[entry.unique] ?? []
        if schema.keyUniques.contains(entry.unique) {
            return tables.map { RowID(table: $0, key: entry.values) }
                .first { id in slot(id).map { $0.live != nil && $0.isTainted } ?? false }
        }
        for id in rows(ledger.liveHolders[entry], index.liveHolders[entry]) {
            guard let slot = slot(id), let live = slot.live, slot.isTainted else { continue }
            let reference = try layout(of: id.table).references.first { $0.unique == entry.unique }
            if let reference, try referenced(reference, by: live, id) == entry { return id }
        }
        return nil
    }

    /// Rows without order and duplicates of two buckets, in the order of their names.
    func rows(_ first: Bucket?, _ second: Bucket?) -> [RowID] {
        switch (first, second) {
        case (nil, nil): return []
        case (.one(let row)?, nil), (nil, .one(let row)?): return [row]
        default: return Set((first?.rows ?? []) + (second?.rows ?? [])).sorted()
        }
    }
}
