// The tables of the simulated service, with everything a merge has to cope with: foreign keys with every action, to keys,
// to other unique columns, to a partitioned table, to itself and out of a key; unique values of one column, of two and
// computed; CHECKs over two columns; values that are not sent; a table without a key.

import Merge

struct ModelTable: Sendable {
    var schema: TableSchema
    /// REPLICA IDENTITY FULL.
    var isFull: Bool
    /// Columns whose values are stored out of line.
    var toasted: Set<Int> = []
    var isValid: @Sendable (Row) -> Bool = { _ in true }
    var computed: @Sendable (Row) -> [UniqueID: [Value]] = { _ in [:] }
    /// Columns that may be NULL.
    var nullable: Set<Int> = []

    var id: TableID { schema.id }
    var isKeyless: Bool { schema.key.isEmpty }

    func rowID(_ row: Row) -> RowID {
        RowID(table: id, key: isKeyless ? row : schema.key.map { row[$0] })
    }

    func column(_ name: String) -> Int { schema.columns.firstIndex { $0.name == name }! }
    func judgement(_ row: Row) -> Judgement { Judgement(isValid: isValid(row), entries: computed(row)) }
}

/// One shape of the service, under one policy.
final class World: Sendable {
    let tables: [TableID: ModelTable]
    let ids: [TableID]
    let rules: [TableID: [String: ColumnRule]]
    let schema: Schema
    let policy: MergePolicy
    /// Unique values and foreign keys are checked at the commit.
    let isDeferred: Bool
    /// Foreign keys that refer to an index, with the tables that have them.
    let referencing: [UniqueID: [(TableID, ForeignKey)]]

    init(
        _ tables: [ModelTable], rules: [TableID: [String: ColumnRule]] = [:], policy: MergePolicy = MergePolicy(),
        isDeferred: Bool = false
    ) {
        self.tables = Dictionary(uniqueKeysWithValues: tables.map { ($0.id, $0) })
        ids = tables.map(\.id).sorted()
        self.rules = rules
        self.policy = policy
        self.isDeferred = isDeferred
        do {
            schema = try Schema(tables.map(\.schema), rules: rules)
        } catch {
            fatalError("\(error)")
        }
        var referencing: [UniqueID: [(TableID, ForeignKey)]] = [:]
        for table in tables {
            for key in table.schema.foreignKeys { referencing[key.references, default: []].append((table.id, key)) }
        }
        self.referencing = referencing
    }

    func rule(_ table: TableID, _ column: Int) -> ColumnRule {
        rules[table]?[tables[table]!.schema.columns[column].name] ?? .overwrite
    }

    func follows(_ table: TableID, _ column: Int) -> Bool { rule(table, column) == .follow }

    /// A row without the columns that no claim is made of.
    func claimed(_ row: Row, _ table: TableID) -> Row {
        guard let rules = rules[table], rules.values.contains(.follow) else { return row }
        return row.indices.filter { !follows(table, $0) }.map { row[$0] }
    }

    /// The partition that takes a row of a partitioned table.
    func leaf(of table: TableID, for row: Row) -> TableID {
        guard tables[table]!.schema.root != nil else { return table }
        return row[tables[table]!.column("region")].string == "east" ? Names.east : Names.west
    }

    /// The same row in another partition's order of columns.
    func convert(_ row: Row, from source: TableID, to target: TableID) -> Row {
        if source == target { return row }
        return tables[target]!.schema.columns.map { row[tables[source]!.column($0.name)] }
    }
}

enum Names {
    static let accounts = TableID(rawValue: 1)
    static let orders = TableID(rawValue: 2)
    static let items = TableID(rawValue: 3)
    static let log = TableID(rawValue: 4)
    static let east = TableID(rawValue: 5)
    static let west = TableID(rawValue: 6)
    static let notes = TableID(rawValue: 7)
    static let mails = TableID(rawValue: 8)
    static let nodes = TableID(rawValue: 9)
    static let events = TableID(rawValue: 100)

    static let accountID = UniqueID(rawValue: 11)
    static let accountName = UniqueID(rawValue: 12)
    static let orderID = UniqueID(rawValue: 13)
    static let orderSlot = UniqueID(rawValue: 14)
    static let eventID = UniqueID(rawValue: 15)
    static let mailAddress = UniqueID(rawValue: 16)
    static let nodeID = UniqueID(rawValue: 17)
}

extension World {
    /// A random shape.
    convenience init(random: inout SeededGenerator, mode: MergeMode) {
        func action(_ columns: [Int], nullable: Bool) -> ReferentialAction {
            switch random.below(nullable ? 4 : 3) {
            case 0: .refuse
            case 1, 2: .cascade
            default: ForeignKey.nulls(columns)
            }
        }
        func key(_ id: UInt32, _ columns: [Int], _ unique: UniqueID, nullable: Bool = true) -> ForeignKey {
            ForeignKey(
                id: ForeignKeyID(rawValue: id), columns: columns, references: unique,
                onDelete: action(columns, nullable: nullable), onUpdate: action(columns, nullable: nullable))
        }
        let toEvents = key(26, [2], Names.accountID)
        let tables = World.tables(
            orders: key(21, [1], Names.accountID), items: key(22, [0], Names.orderID, nullable: false),
            codes: key(23, [2], Names.accountName), log: key(24, [0], Names.accountID), events: toEvents,
            notes: key(27, [1, 2], Names.eventID), nodes: key(28, [1], Names.nodeID),
            hasChecks: random.chance(60), isFull: { random.chance(25) })
        var rules: [TableID: [String: ColumnRule]] = [
            Names.accounts: ["s": .stamp, "v": .follow], Names.orders: [:], Names.east: [:], Names.items: [:],
        ]
        for column in ["n", "m"] { rules[Names.accounts]![column] = random.pick([.add, .add, .overwrite, .hold]) }
        rules[Names.accounts]!["a"] = random.pick([.overwrite, .overwrite, .hold])
        rules[Names.orders]!["n"] = random.pick([.add, .add, .overwrite])
        rules[Names.east]!["n"] = random.pick([.add, .add, .overwrite])
        rules[Names.west] = rules[Names.east]
        let policy = MergePolicy(
            mode: mode, unattributed: random.pick([.stable, .canary, .hold]),
            canaryRow: random.chance(20) ? .drop : .keep)
        self.init(tables, rules: rules, policy: policy, isDeferred: random.chance(20))
    }

    static func tables(
        orders: ForeignKey, items: ForeignKey, codes: ForeignKey, log: ForeignKey, events: ForeignKey,
        notes: ForeignKey, nodes: ForeignKey, hasChecks: Bool, isFull: () -> Bool
    ) -> [ModelTable] {
        let number = Addition.integer(bits: 32)
        func columns(_ names: String) -> [TableSchema.Column] {
            names.split(separator: " ").map {
                .init(name: String($0), addition: $0 == "n" || $0 == "m" ? number : .impossible)
            }
        }
        var westEvents = events
        westEvents.columns = [4]
        westEvents.onDelete = events.onDelete.moved(to: 4)
        westEvents.onUpdate = events.onUpdate.moved(to: 4)
        let isSmall: @Sendable (Row) -> Bool = { row in
            guard let n = row[2].number, let m = row[3].number else { return true }
            return n >= 0 && n + m <= 9
        }
        func table(
            _ id: TableID, _ name: String, _ names: String, key: [Int], root: TableID? = nil,
            uniques: [UniqueIndex] = [], foreignKeys: [ForeignKey] = [], hasChecks: Bool = false
        ) -> TableSchema {
            TableSchema(
                id: id, name: name, columns: columns(names), key: key, root: root, uniques: uniques,
                foreignKeys: foreignKeys, hasChecks: hasChecks)
        }
        let accounts = table(
            Names.accounts, "accounts", "id u n m a s v doc", key: [0],
            uniques: [
                UniqueIndex(id: Names.accountID, columns: [0]), UniqueIndex(id: Names.accountName, columns: [1]),
            ],
            hasChecks: hasChecks)
        let orderTable = table(
            Names.orders, "orders", "id account slot n a doc", key: [0],
            uniques: [
                UniqueIndex(id: Names.orderID, columns: [0]), UniqueIndex(id: Names.orderSlot, columns: [1, 2]),
            ],
            foreignKeys: [orders])
        let itemTable = table(Names.items, "items", "order line code a", key: [0, 1], foreignKeys: [items, codes])
        let logTable = table(Names.log, "log", "account a doc", key: [], foreignKeys: [log])
        let east = table(
            Names.east, "events_east", "region id account n a", key: [0, 1], root: Names.events,
            uniques: [UniqueIndex(id: Names.eventID, columns: [0, 1])], foreignKeys: [events])
        let west = table(
            Names.west, "events_west", "id region a n account", key: [1, 0], root: Names.events,
            uniques: [UniqueIndex(id: Names.eventID, columns: [1, 0])], foreignKeys: [westEvents])
        let noteTable = table(Names.notes, "notes", "id region event a", key: [0], foreignKeys: [notes])
        let mails = table(
            Names.mails, "mails", "id mail active a", key: [0],
            uniques: [UniqueIndex(id: Names.mailAddress, columns: [1, 2], entries: .computed)])
        let nodeTable = table(
            Names.nodes, "nodes", "id parent a", key: [0], uniques: [UniqueIndex(id: Names.nodeID, columns: [0])],
            foreignKeys: [nodes])
        let address: @Sendable (Row) -> [UniqueID: [Value]] = { row in
            row[2].string == "t" ? [Names.mailAddress: [Value(row[1].string.lowercased())]] : [:]
        }
        var all: [ModelTable] = []
        all.append(ModelTable(schema: accounts, isFull: isFull(), toasted: [7], nullable: [1, 2, 4, 7]))
        if hasChecks { all[0].isValid = isSmall }
        all.append(ModelTable(schema: orderTable, isFull: isFull(), toasted: [5], nullable: [1, 5]))
        all.append(ModelTable(schema: itemTable, isFull: isFull(), nullable: [2, 3]))
        all.append(ModelTable(schema: logTable, isFull: true, toasted: [2], nullable: [0, 2]))
        all.append(ModelTable(schema: east, isFull: isFull(), nullable: [2]))
        all.append(ModelTable(schema: west, isFull: isFull(), nullable: [4]))
        all.append(ModelTable(schema: noteTable, isFull: isFull(), nullable: [1, 2]))
        all.append(ModelTable(schema: mails, isFull: isFull(), computed: address))
        all.append(ModelTable(schema: nodeTable, isFull: isFull(), nullable: [1]))
        return all
    }
}

extension ReferentialAction {
    fileprivate func moved(to column: Int) -> ReferentialAction {
        if case .assign = self { ForeignKey.nulls([column]) } else { self }
    }
}
