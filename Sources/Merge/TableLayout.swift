// A schema made ready for the merge: per table what has to be looked at when one of its rows changes.

/// Foreign keys that refer to one unique index of a table.
struct Reference: Hashable, Sendable {
    var unique: UniqueID
    var columns: [Int]
    /// Its columns are the key's.
    var isKey: Bool
}

final class TableLayout: Sendable {
    let schema: TableSchema
    let rules: [ColumnRule]
    let isKeyColumn: [Bool]
    /// Unique indexes over other columns than the key's.
    let secondaryUniques: [UniqueIndex]
    /// Unique indexes that foreign keys refer to.
    let references: [Reference]
    /// Columns with the rule `follow`.
    let following: [Int]
    /// A row of which nothing was sent.
    let blank: Row

    var id: TableID { schema.id }
    var isKeyless: Bool { schema.key.isEmpty }
    /// An update has to be compared with the row before it: to tell whether unique values change, or referenced ones.
    let needsBase: Bool
    /// A write of the clone's row can break a constraint there.
    let isConstrained: Bool

    init(_ schema: TableSchema, rules: [ColumnRule], referenced: Set<UniqueID>) {
        self.schema = schema
        self.rules = rules
        isKeyColumn = schema.columns.indices.map { schema.key.contains($0) }
        secondaryUniques = schema.uniques.filter { $0.columns != schema.key || $0.entries == .computed }
        references = schema.uniques.filter { referenced.contains($0.id) }
            .map { Reference(unique: $0.id, columns: $0.columns, isKey: $0.columns == schema.key) }
        needsBase = !secondaryUniques.isEmpty || references.contains { !$0.isKey } || !schema.excluded.isEmpty
        isConstrained = !secondaryUniques.isEmpty || !schema.foreignKeys.isEmpty || schema.hasChecks
        following = rules.indices.filter { rules[$0] == .follow }
        blank = Row(repeating: .unchanged, count: schema.columns.count)
    }

    func rowID(of row: Row) -> RowID {
        RowID(table: id, key: isKeyless ? row : schema.key.map { row[$0] })
    }

    func column(_ position: Int) -> String { schema.columns[position].name }
}

/// The tables of one service under its rules.
package struct Schema: Sendable {
    let tables: [TableID: TableLayout]
    /// Foreign keys by the index they refer to; of one on partitions only one table's.
    let referencing: [UniqueID: [ForeignKey]]
    /// Tables that have a unique index: several when they are partitions.
    let tablesByUnique: [UniqueID: [TableID]]
    /// Unique indexes over a table's key.
    let keyUniques: Set<UniqueID>
    let tablesByForeignKey: [ForeignKeyID: [TableID]]
    /// By id; of one on partitions only one table's.
    let foreignKeys: [ForeignKeyID: ForeignKey]
    /// Every table behind those that its foreign keys refer to, as far as they do not run in circles.
    let parentsFirst: [TableID]

    /// - Throws: ``SchemaError`` when tables do not fit together, ``RuleError`` when a rule does not fit its column.
    package init(_ tables: [TableSchema], rules: [TableID: [String: ColumnRule]] = [:]) throws {
        var byUnique: [UniqueID: [TableSchema]] = [:]
        for table in tables {
            for unique in table.uniques { byUnique[unique.id, default: []].append(table) }
        }
        var seen: Set<TableID> = []
        var referencing: [UniqueID: [ForeignKeyID: ForeignKey]] = [:]
        var byForeignKey: [ForeignKeyID: [TableID]] = [:]
        for table in tables {
            guard seen.insert(table.id).inserted else { throw SchemaError.tableTwice(name: table.name) }
            try table.checkColumns()
            for foreignKey in table.foreignKeys {
                try table.check(foreignKey, referenced: byUnique[foreignKey.references] ?? [])
                referencing[foreignKey.references, default: [:]][foreignKey.id] = foreignKey
                byForeignKey[foreignKey.id, default: []].append(table.id)
            }
        }
        for id in rules.keys where !seen.contains(id) { throw RuleError.noSuchTable(id) }
        var layouts: [TableID: TableLayout] = [:]
        for table in tables {
            layouts[table.id] = TableLayout(
                table, rules: try table.columnRules(rules[table.id] ?? [:]), referenced: Set(referencing.keys))
        }
        self.tables = layouts
        self.referencing = referencing.mapValues { $0.values.sorted { $0.id < $1.id } }
        tablesByUnique = byUnique.mapValues { $0.map(\.id).sorted() }
        keyUniques = Set(layouts.values.flatMap(\.references).filter(\.isKey).map(\.unique))
        tablesByForeignKey = byForeignKey.mapValues { $0.sorted() }
        foreignKeys = Dictionary(
            tables.flatMap(\.foreignKeys).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        parentsFirst = Schema.parentsFirst(tables, byUnique.mapValues { $0.map(\.id) })
    }
}

extension Schema {
    private static func parentsFirst(_ tables: [TableSchema], _ holders: [UniqueID: [TableID]]) -> [TableID] {
        let byID = Dictionary(uniqueKeysWithValues: tables.map { ($0.id, $0) })
        var seen: Set<TableID> = []
        var ordered: [TableID] = []
        func visit(_ id: TableID) {
            guard seen.insert(id).inserted, let table = byID[id] else { return }
            for key in table.foreignKeys { (holders[key.references] ?? []).sorted().forEach(visit) }
            ordered.append(id)
        }
        byID.keys.sorted().forEach(visit)
        return ordered
    }
}

extension TableSchema {
    fileprivate func checkColumns() throws(SchemaError) {
        let mentioned = key + uniques.flatMap(\.columns) + foreignKeys.flatMap(\.columns) + excluded
        for position in mentioned where !columns.indices.contains(position) {
            throw .noSuchColumn(table: name, position: position)
        }
        for unique in uniques
        where !key.isEmpty && unique.entries != .computed && unique.columns != key
            && Set(unique.columns) == Set(key)
        {
            throw .keyIndexOrder(table: name)
        }
    }

    fileprivate func check(_ foreignKey: ForeignKey, referenced: [TableSchema]) throws(SchemaError) {
        guard !referenced.isEmpty else { throw .noSuchIndex(table: name, foreignKey.references) }
        for parent in referenced {
            for unique in parent.uniques where unique.id == foreignKey.references {
                if unique.columns.count != foreignKey.columns.count {
                    throw .columnCount(table: name, foreignKey.id)
                }
                if unique.entries == .computed { throw .referencesComputed(table: name, foreignKey.id) }
            }
            if parent.key.isEmpty { throw .referencesKeyless(table: name, foreignKey.id) }
        }
    }
}
