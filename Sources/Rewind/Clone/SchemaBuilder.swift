// Indexes and foreign keys of the catalogue, with columns as positions. Pure: no clock, no I/O.

import Merge
import Postgres

struct SchemaBuilder {
    private let tables: [TableID: CloneTable]
    private let catalogue: CloneCatalogue
    private(set) var uniques: [UniqueID: [TableID: CloneUnique]] = [:]
    private(set) var foreignKeys: [ForeignKeyID: [TableID: CloneForeignKey]] = [:]
    private var indexes: [TableID: [UniqueIndex]] = [:]
    private var references: [TableID: [ForeignKey]] = [:]
    /// Of an index over the key's columns in another order: the key's order.
    private var orders: [UniqueID: [Int]] = [:]

    init(tables: [TableID: CloneTable], catalogue: CloneCatalogue) {
        self.tables = tables
        self.catalogue = catalogue
    }

    mutating func addUniques() {
        for index in catalogue.uniques {
            guard let table = tables[index.table] else { continue }
            var columns = index.mentions.compactMap { table.position($0) }
            var isComputed = index.isComputed
            if columns.count != index.mentions.count {
                // Over a generated column: whatever that is computed from counts.
                columns += catalogue.generatedFrom(index.table, index.mentions).compactMap { table.position($0) }
                columns = Array(Set(columns)).sorted()
                isComputed = true
            }
            var parts = index.parts
            if !isComputed, columns != table.key, Set(columns) == Set(table.key) {
                let order = table.key.map { position in columns.firstIndex(of: position)! }
                orders[index.id] = order
                parts = order.map { parts[$0] }
                columns = table.key
            }
            indexes[index.table, default: []].append(
                UniqueIndex(
                    id: index.id, columns: columns,
                    entries: isComputed ? .computed : .values(nullsAreDistinct: index.nullsAreDistinct)))
            uniques[index.id, default: [:]][index.table] = CloneUnique(
                parts: parts, predicate: index.predicate, nullsAreDistinct: index.nullsAreDistinct,
                isComputed: isComputed)
        }
    }

    /// Foreign keys that the merge cannot follow are left out: to rows of tables without a key, to computed entries, to
    /// tables outside the service. The check before the switch still looks at them.
    mutating func addForeignKeys() {
        for key in catalogue.foreignKeys {
            let id = key.top
            guard let table = tables[key.table], foreignKeys[id]?[key.table] == nil,
                let parents = uniques[key.index], parents.values.allSatisfy({ !$0.isComputed }),
                parents.keys.allSatisfy({ tables[$0]?.key.isEmpty == false })
            else { continue }
            var columns = key.columns.compactMap { table.position($0) }
            var operators = key.equalities
            var parentColumns = key.parentColumns
            guard columns.count == key.columns.count else { continue }
            if let order = orders[key.index] {
                columns = order.map { columns[$0] }
                operators = order.map { operators[$0] }
                parentColumns = order.map { parentColumns[$0] }
            }
            references[key.table, default: []].append(
                ForeignKey(
                    id: id, columns: columns, references: key.index, onDelete: action(key.onDelete, table, columns),
                    onUpdate: action(key.onUpdate, table, columns)))
            foreignKeys[id, default: [:]][key.table] = CloneForeignKey(
                name: key.name, columns: columns, equalities: operators, parent: key.parent,
                parentColumns: parentColumns)
        }
    }

    private func action(
        _ action: CloneCatalogue.Action, _ table: CloneTable, _ columns: [Int]
    ) -> ReferentialAction {
        switch action {
        case .refuse: return .refuse
        case .cascade: return .cascade
        case .assign(let values):
            guard !values.isEmpty else { return ForeignKey.nulls(columns) }
            var assigned: [Int: Value] = [:]
            for (number, value) in values {
                if let position = table.position(number) { assigned[position] = value.map { Value($0) } ?? .null }
            }
            return .assign(assigned)
        }
    }

    func schema(of table: CloneTable, rules: [String: ColumnRule]) -> TableSchema {
        let added = Set(rules.filter { $0.value == .add }.keys)
        let hasChecks =
            (catalogue.checks[table.id] ?? []).contains { columns in
                columns.count != 1
                    || columns.contains { number in
                        table.columns.contains { $0.number == number && added.contains($0.name) }
                    }
            } || table.columns.contains { added.contains($0.name) && $0.hasOwnCheck }
        let excluded = catalogue.excluded[table.id] ?? []
        return TableSchema(
            id: table.id, name: table.name.description,
            columns: table.columns.map { .init(name: $0.name, addition: $0.addition) }, key: table.key,
            root: table.root.flatMap { catalogue.tables[$0] }.map { TableID(rawValue: $0.oid) },
            uniques: indexes[table.id] ?? [], foreignKeys: references[table.id] ?? [], hasChecks: hasChecks,
            excluded: excluded.compactMap { table.position($0) })
    }
}

extension CloneTable {
    fileprivate func position(_ number: Int) -> Int? { columns.firstIndex { $0.number == number } }
}
