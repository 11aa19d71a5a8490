// Live and a clone that follows it transaction by transaction; what must hold at every commit is looked at after each.

import Merge
import Testing

/// What every foreign key of a story's tables does.
enum Action { case refuse, cascade, null }

extension World {
    /// The tables of ``World/tables`` with one action for all foreign keys.
    static func shop(
        onDelete: Action = .refuse, onUpdate: Action = .refuse, rules: [String: ColumnRule] = [:],
        mode: MergeMode = .nonconflict, unattributed: MergePolicy.Unattributed = .stable,
        canaryRow: MergePolicy.CanaryRow = .keep, hasChecks: Bool = false, isFull: Bool = false
    ) -> World {
        func key(_ id: UInt32, _ columns: [Int], _ unique: UniqueID) -> ForeignKey {
            func action(_ action: Action) -> ReferentialAction {
                switch action {
                case .refuse: .refuse
                case .cascade: .cascade
                case .null: ForeignKey.nulls(columns)
                }
            }
            return ForeignKey(
                id: ForeignKeyID(rawValue: id), columns: columns, references: unique, onDelete: action(onDelete),
                onUpdate: action(onUpdate))
        }
        let tables = World.tables(
            orders: key(21, [1], Names.accountID), items: key(22, [0], Names.orderID),
            codes: key(23, [2], Names.accountName), log: key(24, [0], Names.accountID),
            events: key(26, [2], Names.accountID), notes: key(27, [1, 2], Names.eventID),
            nodes: key(28, [1], Names.nodeID), hasChecks: hasChecks, isFull: { isFull })
        var all: [TableID: [String: ColumnRule]] = [:]
        for table in tables where !table.isKeyless {
            all[table.id] = rules.filter { name, _ in table.schema.columns.contains { $0.name == name } }
        }
        return World(
            tables, rules: all, policy: MergePolicy(mode: mode, unattributed: unattributed, canaryRow: canaryRow))
    }
}

/// `"1 ann - x"`: values with blanks between, `-` for NULL.
func row(_ text: String) -> Row {
    text.split(separator: " ").map { $0 == "-" ? .null : Value(String($0)) }
}

func account(_ id: Int) -> RowID { RowID(table: Names.accounts, key: [Value(id)]) }
func order(_ id: Int) -> RowID { RowID(table: Names.orders, key: [Value(id)]) }
func item(_ order: Int, _ line: Int) -> RowID { RowID(table: Names.items, key: [Value(order), Value(line)]) }
func node(_ id: Int) -> RowID { RowID(table: Names.nodes, key: [Value(id)]) }
func note(_ id: Int) -> RowID { RowID(table: Names.notes, key: [Value(id)]) }
func mail(_ id: Int) -> RowID { RowID(table: Names.mails, key: [Value(id)]) }
func event(_ region: String, _ id: Int) -> RowID {
    RowID(table: region == "east" ? Names.east : Names.west, key: [Value(region), Value(id)])
}
func logLine(_ text: String) -> RowID { RowID(table: Names.log, key: row(text)) }

struct Story {
    let world: World
    private(set) var live: ModelDatabase
    private(set) var clone: ModelClone
    /// What the last transaction came to in the clone.
    private(set) var last: NetBatch?
    private var number: UInt64 = 0

    /// - Parameter rows: in both databases at the beginning.
    init(_ world: World, _ rows: [(TableID, String)]) throws {
        self.world = world
        var start = ModelDatabase(world)
        for (table, text) in rows { try start.insert(row(text), into: table) }
        start.log = []
        start.forgetStatement()
        try #require(start.violation == nil)
        live = start
        clone = ModelClone(start)
    }

    mutating func stable(_ statements: Statement...) throws { try take(source(.stable, statements)) }
    mutating func canary(_ statements: Statement...) throws { try take(source(.canary, statements)) }
    mutating func heal(_ statements: Statement...) throws { try take(source(.heal, statements)) }
    mutating func nobody(_ statements: Statement...) throws { try take(source(.unattributed, statements)) }

    /// Runs statements in live.
    ///
    /// - Returns: the transaction that the stream would have.
    mutating func source(_ origin: Origin, _ statements: [Statement]) throws -> SourceTransaction {
        var forms = Forms()
        let run = live.run(ModelTransaction(origin: origin, statements: statements), &forms)
        try #require(run.committed, "\(run.statements.map(\.end))")
        number += 1
        return SourceTransaction(
            xid: UInt32(number), commitLSN: number * 100, endLSN: number * 100 + 8, origin: origin,
            changes: run.changes.map(\.change))
    }

    /// Merges transactions as one batch.
    mutating func take(_ batch: SourceTransaction...) throws { try take(batch) }

    mutating func take(_ batch: [SourceTransaction]) throws {
        last = try clone.merge(batch)
        try #require(clone.broken(live) == nil)
    }

    mutating func reload() throws { try clone.reload() }
    mutating func unfold() throws { try clone.unfold() }

    // MARK: Looking

    /// The clone's row as text; nil when it has none.
    func own(_ id: RowID) -> String? { clone.database[id].map(text) }
    func lives(_ id: RowID) -> String? { live[id].map(text) }

    func copies(_ text: String) -> Int { clone.database.copies[Names.log]?[row(text)] ?? 0 }

    /// Reasons under which a row is listed, with their columns: `overwritten a`.
    func reasons(_ id: RowID) -> Set<String> {
        Set(clone.findings(id).map { $0.reason.rawValue + ($0.column.map { " " + $0 } ?? "") })
    }

    func isOpen(_ id: RowID) -> Bool { clone.findings(id).contains(where: \.isOpen) }
    func saved(_ id: RowID, _ reason: Finding.Reason) -> String? {
        clone.findings(id).first { $0.reason == reason }?.saved.map(text)
    }
    var isTainted: Bool { !clone.engine.isClean }
    func isTainted(_ id: RowID) -> Bool { clone.engine.taint(id) != nil }

    private func text(_ row: Row) -> String { row.map(\.string).joined(separator: " ") }
}
