// S in memory: the rows that differ between live and clone, with both images, and where their unique and referencing values
// are found. Everything that is not here is equal in both.

/// Rows that share an entry; nearly always one.
enum Bucket: Sendable {
    case one(RowID)
    case many(Set<RowID>)

    mutating func insert(_ row: RowID) {
        switch self {
        case .one(let other): if other != row { self = .many([other, row]) }
        case .many(var rows):
            self = .one(row)  // the set is not shared while it grows
            rows.insert(row)
            self = .many(rows)
        }
    }

    /// - Returns: whether any row is left.
    mutating func remove(_ row: RowID) -> Bool {
        switch self {
        case .one(let other): return other != row
        case .many(var rows):
            self = .one(row)
            rows.remove(row)
            self = .many(rows)
            return !rows.isEmpty
        }
    }

    var rows: [RowID] {
        switch self {
        case .one(let row): [row]
        case .many(let rows): Array(rows)
        }
    }
}

/// A tainted row, or an equal one in a table the canary emptied.
struct Taint: Sendable {
    var live: Row?
    var clone: Row?
    var xid: UInt32
    var entries = TaintEntries()
}

/// Under which values a taint is found.
struct TaintEntries: Sendable {
    /// Of the clone's row, in unique indexes other than the key.
    var cloneUniques: [UniqueEntry] = []
    /// Of live's row; none when it is the clone's.
    var liveUniques: [UniqueEntry] = []
    /// Of the clone's row.
    var cloneReferences: [ReferenceEntry] = []
    /// Of live's row; none when it is the clone's.
    var liveReferences: [ReferenceEntry] = []
}

struct Copies: Sendable {
    var count: Int
    var xid: UInt32
    var entries = TaintEntries()
}

struct LedgerTable: Sendable {
    var rows: [[Value]: Taint] = [:]
    var copies: [Row: Copies] = [:]
    /// The transaction of the canary that emptied the table.
    var emptiedBy: UInt32?
    var ghosts: [[Value]: Ghost] = [:]
}

struct Ledger: Sendable {
    private(set) var tables: [TableID: LedgerTable] = [:]
    private(set) var cloneHolders: [UniqueEntry: Bucket] = [:]
    private(set) var liveHolders: [UniqueEntry: Bucket] = [:]
    private(set) var cloneChildren: [ReferenceEntry: Bucket] = [:]
    private(set) var liveChildren: [ReferenceEntry: Bucket] = [:]
    var position: UInt64 = 0

    func taint(_ id: RowID) -> Taint? { tables[id.table]?.rows[id.key] }

    mutating func set(_ id: RowID, _ taint: Taint?) {
        let old = tables[id.table, default: LedgerTable()].rows.removeValue(forKey: id.key)
        if let old { forget(id, old.entries) }
        guard let taint else { return }
        tables[id.table]!.rows[id.key] = taint
        note(id, taint.entries)
    }

    mutating func set(_ id: RowID, _ copies: Copies?) {
        let old = tables[id.table, default: LedgerTable()].copies.removeValue(forKey: id.key)
        if let old { forget(id, old.entries) }
        guard let copies else { return }
        tables[id.table]!.copies[id.key] = copies
        note(id, copies.entries)
    }

    mutating func set(_ id: RowID, _ ghost: Ghost?) {
        tables[id.table, default: LedgerTable()].ghosts[id.key] = ghost
    }

    /// Everything but ghosts goes.
    mutating func forget(_ table: TableID) {
        guard let old = tables[table] else { return }
        for (key, taint) in old.rows { forget(RowID(table: table, key: key), taint.entries) }
        for (row, copies) in old.copies { forget(RowID(table: table, key: row), copies.entries) }
        tables[table] = LedgerTable(ghosts: old.ghosts)
    }

    mutating func markEmptied(_ table: TableID, by xid: UInt32?) {
        tables[table, default: LedgerTable()].emptiedBy = xid
    }

    private mutating func note(_ id: RowID, _ entries: TaintEntries) {
        for entry in entries.cloneUniques { add(id, to: &cloneHolders, entry) }
        for entry in entries.liveUniques { add(id, to: &liveHolders, entry) }
        for entry in entries.cloneReferences { add(id, to: &cloneChildren, entry) }
        for entry in entries.liveReferences { add(id, to: &liveChildren, entry) }
    }

    private mutating func forget(_ id: RowID, _ entries: TaintEntries) {
        for entry in entries.cloneUniques { drop(id, from: &cloneHolders, entry) }
        for entry in entries.liveUniques { drop(id, from: &liveHolders, entry) }
        for entry in entries.cloneReferences { drop(id, from: &cloneChildren, entry) }
        for entry in entries.liveReferences { drop(id, from: &liveChildren, entry) }
    }
}

private func add<Entry>(_ id: RowID, to buckets: inout [Entry: Bucket], _ entry: Entry) {
    buckets[entry, default: .one(id)].insert(id)
}

private func drop<Entry>(_ id: RowID, from buckets: inout [Entry: Bucket], _ entry: Entry) {
    guard let index = buckets.index(forKey: entry) else { return }
    if !buckets.values[index].remove(id) { buckets.remove(at: index) }
}
