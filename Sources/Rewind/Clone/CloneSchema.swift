// The restored database's tables as the merge knows them, and the SQL by which their rows are found.

import Merge
import Ports
import Postgres
import Releases

/// A table that holds rows. Columns are numbered as the merge numbers them: generated ones are left out.
struct CloneTable: Hashable, Sendable {
    var id: TableID
    var name: TableName
    /// The topmost partitioned table, for a partition.
    var root: TableName?
    var columns: [RestoredTable.Column]
    /// Positions of the key's columns, and the operators that compare them.
    var key: [Int]
    var keyOperators: [String]

    func type(_ column: Int) -> String { columns[column].type }
    func quoted(_ column: Int) -> String { quoteIdentifier(columns[column].name) }
}

/// A unique index of one table.
struct CloneUnique: Hashable, Sendable {
    struct Part: Hashable, Sendable {
        /// A column or an expression over the table's columns.
        var sql: String
        /// The type of its values.
        var type: String
        var travelsInArrays: Bool
        var equality: String
    }
    var parts: [Part]
    /// Rows for which it is not true have no entry.
    var predicate: String?
    var nullsAreDistinct: Bool
    var isComputed: Bool
}

/// A foreign key of one table.
struct CloneForeignKey: Hashable, Sendable {
    var name: String
    var columns: [Int]
    var equalities: [String]
    var parent: TableName
    var parentColumns: [String]
}

struct CloneSchema: Sendable {
    let merge: Schema
    let tables: [TableID: CloneTable]
    let uniques: [UniqueID: [TableID: CloneUnique]]
    let foreignKeys: [ForeignKeyID: [TableID: CloneForeignKey]]
    /// Which table refers to which, also where the merge does not follow.
    let references: [(child: TableID, parent: TableName)]
    private let byName: [TableName: TableID]

    subscript(id: TableID) -> CloneTable {
        guard let table = tables[id] else { preconditionFailure("table \(id.rawValue) is none of the schema's") }
        return table
    }

    subscript(name: TableName) -> CloneTable? { byName[name].flatMap { tables[$0] } }

    /// - Throws: names the table or column of a rule that does not fit.
    init(_ catalogue: CloneCatalogue, rules: [String: [String: ColumnRule]]) throws(Failure) {
        var tables: [TableID: CloneTable] = [:]
        var byName: [TableName: TableID] = [:]
        for table in catalogue.tables.withRows {
            let id = TableID(rawValue: table.oid)
            let columns = table.writtenColumns
            let key = table.keyColumns.compactMap { name in columns.firstIndex { $0.name == name } }
            let isKeyed = key.count == table.keyColumns.count
            tables[id] = CloneTable(
                id: id, name: table.name, root: table.root, columns: columns, key: isKeyed ? key : [],
                keyOperators: isKeyed ? table.keyOperators : [])
            byName[table.name] = id
        }
        let placed = try Self.place(rules, catalogue.tables)
        var builder = SchemaBuilder(tables: tables, catalogue: catalogue)
        builder.addUniques()
        builder.addForeignKeys()
        var schemas: [TableSchema] = []
        for table in catalogue.tables.withRows {
            let id = TableID(rawValue: table.oid)
            schemas.append(builder.schema(of: tables[id]!, rules: placed[id] ?? [:]))
        }
        do {
            merge = try Schema(schemas, rules: placed)
        } catch let error as RuleError {
            throw Failure(error.sentence, hint: "correct database.rollback.columns of the policy")
        } catch {
            throw Failure("the tables of the database cannot be merged: \(error)", hint: "use rollback.mode: keep")
        }
        self.tables = tables
        self.byName = byName
        uniques = builder.uniques
        foreignKeys = builder.foreignKeys
        references = catalogue.foreignKeys.map { ($0.table, $0.parent) }
    }

    static func read(
        _ connection: Connection, rules: [String: [String: ColumnRule]]
    ) async throws(Failure) -> CloneSchema {
        let catalogue: CloneCatalogue
        do {
            catalogue = try await CloneCatalogue.read(connection)
        } catch {
            throw Failure("cannot read the tables of the database: \(error)", isTransient: error.serverError == nil)
        }
        return try CloneSchema(catalogue, rules: rules)
    }

    /// A rule of a partitioned table is one of all its partitions.
    private static func place(
        _ rules: [String: [String: ColumnRule]], _ tables: RestoredTables
    ) throws(Failure) -> [TableID: [String: ColumnRule]] {
        var placed: [TableID: [String: ColumnRule]] = [:]
        for (name, columns) in rules.sorted(by: { $0.key < $1.key }) {
            let matching = tables.withRows.filter { $0.name.description == name || $0.root?.description == name }
            guard !matching.isEmpty else {
                throw Failure(
                    "database.rollback.columns names table \(name), which is not in the database",
                    hint: "write it with its schema: public.accounts")
            }
            for table in matching {
                placed[TableID(rawValue: table.oid), default: [:]].merge(columns) { own, _ in own }
            }
        }
        return placed
    }
}

extension RuleError {
    fileprivate var sentence: String {
        let place = "database.rollback.columns:"
        return switch self {
        case .noSuchTable(let id): "\(place) there is no table \(id.rawValue)"
        case .noSuchColumn(let table, let column): "\(place) table \(table) has no column \(column) that is written"
        case .cannotAdd(let table, let column):
            "\(place) \(table).\(column) cannot be added: only smallint, integer, bigint and numeric can"
        case .cannotFollow(let table, let column):
            "\(place) \(table).\(column) cannot follow live: it is part of a key, a unique index or a foreign key"
        case .keyless(let table): "\(place) table \(table) has no key: its rows are never merged column by column"
        }
    }
}
