// A database in memory that enforces its constraints and writes the stream that logical decoding would send.

import Merge

/// A statement failed, and with it the transaction or everything since the savepoint.
enum Violation: Error, Hashable, Sendable { case key, unique, foreignKey, check }

/// How a statement got the value it wrote.
enum Assigned: Hashable, Sendable {
    case constant
    /// `x = x + d`, done by the database.
    case increment
    /// From something read before.
    case computed
    /// By a foreign key.
    case action
}

struct LoggedChange: Sendable {
    var change: Change
    /// The row afterwards, before for a delete; without a key for a TRUNCATE.
    var id: RowID
    var assigned: [Int: Assigned]
    /// The row before, when it has another name now.
    var from: RowID?
}

struct ModelDatabase: Sendable {
    let world: World
    private(set) var rows: [TableID: [[Value]: Row]] = [:]
    private(set) var copies: [TableID: [Row: Int]] = [:]
    /// Changes since the log was last taken.
    var log: [LoggedChange] = []
    /// Referenced values that went or changed in this statement.
    private var departed: [(unique: UniqueID, old: [Value], new: [Value]?)] = []

    init(_ world: World) { self.world = world }

    subscript(id: RowID) -> Row? { rows[id.table]?[id.key] }

    func allRows(_ table: TableID) -> [Row] {
        guard world.tables[table]!.isKeyless else { return rows[table].map { Array($0.values) } ?? [] }
        return (copies[table] ?? [:]).flatMap { [Row](repeating: $0.key, count: $0.value) }
    }

    func sortedRows(_ table: TableID) -> [Row] { allRows(table).sorted { $0.lexicographicallyPrecedes($1) } }

    // MARK: Rows

    mutating func insert(_ row: Row, into table: TableID) throws(Violation) {
        let model = world.tables[table]!
        let id = model.rowID(row)
        try add(row, id)
        log.append(.init(change: .insert(table, new: row), id: id, assigned: constants(row)))
        if !model.isValid(row) { throw .check }
    }

    mutating func delete(_ old: Row, from table: TableID) {
        let model = world.tables[table]!
        let id = model.rowID(old)
        remove(old, id)
        let key: OldRow = model.isFull ? .full(old) : .key(id.key)
        log.append(.init(change: .delete(table, old: key), id: id, assigned: [:]))
        depart(model, old, nil)
    }

    /// - Parameter row: in the order of `table`'s columns, wherever it ends.
    mutating func update(
        _ old: Row, in table: TableID, to row: Row, _ assigned: [Int: Assigned]
    ) throws(Violation) {
        let model = world.tables[table]!
        let leaf = world.leaf(of: table, for: row)
        let target = world.tables[leaf]!
        let arrived = world.convert(row, from: table, to: leaf)
        let (before, after) = (model.rowID(old), target.rowID(arrived))
        remove(old, before)
        try add(arrived, after)
        let names = Dictionary(
            uniqueKeysWithValues: assigned.map { (target.column(model.schema.columns[$0.key].name), $0.value) })
        if leaf != table {
            let key: OldRow = model.isFull ? .full(old) : .key(before.key)
            log.append(.init(change: .delete(table, old: key), id: before, assigned: [:]))
            log.append(.init(change: .insert(leaf, new: arrived), id: after, assigned: names, from: before))
        } else {
            var sent = row
            for column in model.toasted where assigned[column] == nil && row[column] != .null {
                sent[column] = .unchanged
            }
            let key: OldRow? = model.isFull ? .full(old) : before == after ? nil : .key(before.key)
            log.append(
                .init(
                    change: .update(table, old: key, new: sent), id: after, assigned: names,
                    from: before == after ? nil : before))
        }
        depart(model, old, row)
        if !target.isValid(arrived) { throw .check }
    }

    mutating func truncate(_ tables: [TableID]) {
        for table in tables {
            rows[table] = nil
            copies[table] = nil
        }
        log.append(.init(change: .truncate(tables), id: RowID(table: tables[0], key: []), assigned: [:]))
    }

    /// Writes a row as a session does in which no constraint acts, and without a log.
    mutating func force(_ row: Row?, at id: RowID) { rows[id.table, default: [:]][id.key] = row }
    mutating func force(copies count: Int, of id: RowID) {
        copies[id.table, default: [:]][id.key] = count == 0 ? nil : count
    }

    private mutating func add(_ row: Row, _ id: RowID) throws(Violation) {
        if world.tables[id.table]!.isKeyless {
            copies[id.table, default: [:]][row, default: 0] += 1
        } else if rows[id.table, default: [:]].updateValue(row, forKey: id.key) != nil {
            throw .key
        }
    }

    private mutating func remove(_ row: Row, _ id: RowID) {
        if world.tables[id.table]!.isKeyless {
            let count = copies[id.table]![row]! - 1
            copies[id.table]![row] = count == 0 ? nil : count
        } else {
            rows[id.table]![id.key] = nil
        }
    }

    private func constants(_ row: Row) -> [Int: Assigned] {
        Dictionary(uniqueKeysWithValues: row.indices.map { ($0, .constant) })
    }

    // MARK: Foreign keys

    private mutating func depart(_ model: ModelTable, _ old: Row, _ new: Row?) {
        for unique in model.schema.uniques where world.referencing[unique.id] != nil {
            let before = unique.columns.map { old[$0] }
            let after = new.map { row in unique.columns.map { row[$0] } }
            if before != after, !before.contains(.null) { departed.append((unique.id, before, after)) }
        }
    }

    /// The end of a statement: actions of foreign keys in the order of the parents, then the checks that are not deferred.
    mutating func finishStatement() throws(Violation) {
        var next = 0
        while next < departed.count {
            let (unique, old, new) = departed[next]
            next += 1
            for (table, key) in world.referencing[unique]! {
                let action = new == nil ? key.onDelete : key.onUpdate
                if action == .refuse { continue }
                for child in sortedRows(table) where key.columns.map({ child[$0] }) == old {
                    try act(action, on: child, of: table, key, new)
                }
            }
        }
        departed = []
        if !world.isDeferred, let violation { throw violation }
    }

    private mutating func act(
        _ action: ReferentialAction, on child: Row, of table: TableID, _ key: ForeignKey, _ new: [Value]?
    ) throws(Violation) {
        var row = child
        switch action {
        case .refuse: return
        case .cascade:
            guard let new else { return delete(child, from: table) }
            for (place, column) in key.columns.enumerated() { row[column] = new[place] }
        case .assign(let values): for (column, value) in values { row[column] = value }
        }
        let assigned = Dictionary(uniqueKeysWithValues: key.columns.map { ($0, Assigned.action) })
        try update(child, in: table, to: row, assigned)
    }

    mutating func forgetStatement() { departed = [] }

    /// What is violated now, if anything is.
    var violation: Violation? {
        var held: [UniqueID: Set<[Value]>] = [:]
        for table in world.ids {
            let model = world.tables[table]!
            for row in allRows(table) {
                if !model.isValid(row) { return .check }
                for unique in model.schema.uniques {
                    let values: [Value]
                    if unique.entries == .computed {
                        guard let computed = model.computed(row)[unique.id] else { continue }
                        values = computed
                    } else {
                        values = unique.columns.map { row[$0] }
                        if values.contains(.null) { continue }
                    }
                    if !held[unique.id, default: []].insert(values).inserted { return .unique }
                }
            }
        }
        for table in world.ids {
            let model = world.tables[table]!
            if model.schema.foreignKeys.isEmpty { continue }
            for row in allRows(table) {
                for key in model.schema.foreignKeys {
                    let values = key.columns.map { row[$0] }
                    if !values.contains(.null), held[key.references]?.contains(values) != true { return .foreignKey }
                }
            }
        }
        return nil
    }
}
