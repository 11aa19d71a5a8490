// From chosen entries to rows: what each row should be when all of them are done, one after the other. Pure: no clock, no I/O.
//
//     rows as they are  --entry--> --entry--> ...  -->  rows as wanted     only the difference is written

import Ports

/// A row of a table with a key.
struct RowAddress: Hashable, Sendable {
    /// The partitioned table, for a partition's row.
    var table: TableName
    /// In the order of the table's key.
    var key: [String?]
}

/// One row to be written.
struct PlannedWrite: Hashable, Sendable {
    enum Change: Hashable, Sendable {
        case insert([String: String?])
        /// Only what differs; the key's columns where the row gets another key.
        case update([String: String?])
        case delete
    }
    /// Where the row is before the write.
    var address: RowAddress
    /// Where it is afterwards, when it gets another key.
    var moved: RowAddress?
    var change: Change
}

struct DecisionPlan: Sendable {
    /// What a plan has to know of a table.
    struct Table: Sendable {
        var name: TableName
        var key: [String]
        /// Without generated ones.
        var columns: [String]
        var generated: Set<String>
    }

    let tables: [String: Table]
    private let initial: [RowAddress: [String: String?]]
    private var rows: [RowAddress: [String: String?]]
    private var order: [RowAddress] = []
    private var sources: [RowAddress: RowAddress] = [:]

    /// - Parameters:
    ///   - tables: by the name that entries have.
    ///   - now: rows that are there.
    init(tables: [String: Table], now: [RowAddress: [String: String?]]) {
        self.tables = tables
        initial = now
        rows = now
    }

    /// Where an entry's row is, and where its images are when they have another key.
    static func addresses(
        of entry: QuarantinedChange, in tables: [String: Table]
    ) throws(Failure) -> [RowAddress] {
        let table = try table(of: entry, in: tables)
        var found = [RowAddress(table: table.name, key: table.key.map { entry.key[$0] ?? nil })]
        for side in QuarantinedChange.Side.allCases {
            guard let row = entry.image(side)?.row, case let key = table.key.map({ row[$0] ?? entry.key[$0] ?? nil })
            else { continue }
            let address = RowAddress(table: table.name, key: key)
            if !found.contains(address) { found.append(address) }
        }
        return found
    }

    private static func table(
        of entry: QuarantinedChange, in tables: [String: Table]
    ) throws(Failure) -> Table {
        guard let table = tables[entry.table] else {
            throw Failure("entry \(entry.id): there is no table \(entry.table) in the live database")
        }
        guard !table.key.isEmpty, Set(table.key) == Set(entry.key.keys) else {
            throw Failure(
                "entry \(entry.id): rows of \(entry.table) cannot be told apart by a key, or it has another one now",
                hint: "write it by hand, then `perch quarantine discard`")
        }
        return table
    }

    // MARK: Entries

    mutating func add(_ entry: QuarantinedChange, _ order: QuarantineOrder) throws(Failure) {
        let table = try Self.table(of: entry, in: tables)
        let side = try Self.side(of: entry, order.side)
        guard let image = entry.image(side) else {
            throw Failure(
                "entry \(entry.id) has no row of \(side.rawValue)",
                hint: "`perch quarantine show` has what is known of it")
        }
        let address = RowAddress(table: table.name, key: table.key.map { entry.key[$0] ?? nil })
        touch(address)
        guard case .row(let row) = image else {
            guard order.columns.isEmpty else {
                throw Failure("entry \(entry.id): \(side.rawValue) has no such row, so it has no columns to take")
            }
            rows[address] = nil
            return
        }
        var place = RowAddress(table: table.name, key: table.key.map { row[$0] ?? entry.key[$0] ?? nil })
        // A choice of columns is about the row that is listed, whatever key it had on that side.
        let isOfColumns = !order.isWholeRow && (!order.columns.isEmpty || entry.column != nil)
        if isOfColumns, rows[address] != nil { place = address }
        if place != address {
            touch(place)
            if let moving = rows[address] {
                guard rows[place] == nil else {
                    throw Failure(
                        "entry \(entry.id): \(address.sentence) would become \(place.sentence), which is there too",
                        hint: "decide about that row first")
                }
                rows[address] = nil
                rows[place] = moving.merging(zip(table.key, place.key).map { ($0, $1) }) { $1 }
                sources[place] = sources[address] ?? address
            }
        }
        try take(row, of: entry, order, at: place, table)
    }

    /// - Throws: when it has to be said whose.
    static func side(
        of entry: QuarantinedChange, _ said: QuarantinedChange.Side?
    ) throws(Failure) -> QuarantinedChange.Side {
        if let said { return said }
        switch entry.reason {
        case .canaryWrite: return .canary
        case .transactionKeptOut: return .stable
        default:
            throw Failure(
                "entry \(entry.id) is a conflict: it has to be said whose row is taken",
                hint: "--take before, canary or stable")
        }
    }

    private mutating func take(
        _ row: [String: String?], of entry: QuarantinedChange, _ order: QuarantineOrder, at place: RowAddress,
        _ table: Table
    ) throws(Failure) {
        let known = row.filter { !table.generated.contains($0.key) }
        guard var current = rows[place] else {
            guard order.columns.isEmpty else {
                throw Failure("entry \(entry.id): \(place.sentence) is not there, so it cannot be given single columns")
            }
            if let missing = table.columns.first(where: { known[$0] == nil }) {
                throw Failure(
                    "entry \(entry.id): the value of \(missing) is not known, so \(place.sentence) cannot be inserted",
                    hint: "write it by hand, then `perch quarantine discard`")
            }
            try require(Array(known.keys), of: entry, in: table)
            rows[place] = known
            return
        }
        for column in try columns(of: entry, order, known, table) {
            guard let value = known[column] else {
                throw Failure("entry \(entry.id) has no value of column \(column)")
            }
            current[column] = .some(value)
        }
        rows[place] = current
    }

    /// Which columns of a row that is there are written.
    private func columns(
        of entry: QuarantinedChange, _ order: QuarantineOrder, _ known: [String: String?], _ table: Table
    ) throws(Failure) -> [String] {
        let chosen: [String]
        if !order.columns.isEmpty {
            chosen = order.columns
        } else if order.isWholeRow {
            chosen = known.keys.sorted()
        } else if let column = entry.column {
            chosen = [column]
        } else if QuarantinedChange.Side.allCases.filter({ entry.image($0)?.row != nil }).count > 1 {
            chosen = entry.differingColumns.filter { known[$0] != nil }
        } else if entry.operation == "UPDATE" {
            throw Failure(
                "entry \(entry.id): what its UPDATE changed is not known",
                hint: "name columns with --column, or take the row with --whole-row")
        } else {
            chosen = known.keys.sorted()
        }
        try require(chosen, of: entry, in: table)
        return chosen
    }

    private func require(_ columns: [String], of entry: QuarantinedChange, in table: Table) throws(Failure) {
        guard let missing = columns.sorted().first(where: { !table.columns.contains($0) }) else { return }
        throw Failure(
            "entry \(entry.id): table \(table.name) has no column \(missing) that can be written",
            hint: "name columns with --column")
    }

    private mutating func touch(_ address: RowAddress) {
        if !order.contains(address) { order.append(address) }
    }

    // MARK: Rows

    /// In the order of the entries. A row that is as wanted already is not among them.
    var writes: [PlannedWrite] {
        let left = Set(sources.filter { rows[$0.key] != nil && rows[$0.value] == nil }.map(\.value))
        return order.compactMap { address in
            switch (initial[address], rows[address]) {
            case (nil, nil): return nil
            case (.some, nil):
                return left.contains(address) ? nil : PlannedWrite(address: address, change: .delete)
            case (nil, let new?):
                guard let source = sources[address], left.contains(source), let old = initial[source] else {
                    return PlannedWrite(address: address, change: .insert(new))
                }
                return PlannedWrite(address: source, moved: address, change: .update(difference(old, new)))
            case (let old?, let new?):
                let changed = difference(old, new)
                return changed.isEmpty ? nil : PlannedWrite(address: address, change: .update(changed))
            }
        }
    }

    /// What a row should be; nil: not there.
    func wanted(_ address: RowAddress) -> [String: String?]? { rows[address] }

    private func difference(_ old: [String: String?], _ new: [String: String?]) -> [String: String?] {
        new.filter { old[$0.key] != .some($0.value) }
    }
}

extension RowAddress {
    var sentence: String { "row (\(key.map { $0 ?? "null" }.joined(separator: ", "))) of \(table)" }
}
