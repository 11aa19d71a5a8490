// What a database's catalogue says about its tables.

import Postgres

/// A table of the restored database.
struct RestoredTable: Hashable, Sendable {
    struct Column: Hashable, Sendable {
        var name: String
        /// As DDL would write it: `numeric(10,2)`, `public.mood[]`.
        var type: String
        /// Computed by the database: never written.
        var isGenerated: Bool
    }

    var name: TableName
    var isPartitioned: Bool
    var columns: [Column]
    /// Of the primary key or a unique index that can serve as one; empty when there is none.
    var keyColumns: [String]
    var root: TableName?

    var writtenColumns: [Column] { columns.filter { !$0.isGenerated } }
    var facts: TableFacts { TableFacts(keyColumns: keyColumns, root: root) }

    /// The table as the stream would describe it, for a table that no recorded change named.
    var relation: RelationDefinition {
        RelationDefinition(
            oid: 0, schema: name.schema, table: name.table, replicaIdentity: keyColumns.isEmpty ? .full : .primaryKey,
            columns: writtenColumns.map {
                .init(name: $0.name, typeOID: 0, typeModifier: -1, isKey: keyColumns.contains($0.name))
            })
    }
}

/// The ordinary and partitioned tables of a database that belong to the service.
struct RestoredTables: Sendable {
    private(set) var byName: [TableName: RestoredTable]

    subscript(name: TableName) -> RestoredTable? { byName[name] }

    var facts: [TableName: TableFacts] { byName.mapValues(\.facts) }

    /// Tables that hold rows themselves, in the order of their names.
    var withRows: [RestoredTable] { byName.values.filter { !$0.isPartitioned }.sorted { $0.name < $1.name } }

    static func read(_ connection: Connection) async throws(PostgresError) -> RestoredTables {
        let columns = try await connection.query(columnsQuery)
        var tables: [TableName: RestoredTable] = [:]
        for row in columns.rows.indices {
            let name = TableName(schema: columns[row, "schema"]!, table: columns[row, "table"]!)
            var table =
                tables[name]
                ?? RestoredTable(
                    name: name, isPartitioned: columns[row, "kind"] == "p", columns: [], keyColumns: [],
                    root: columns[row, "root_table"].map {
                        TableName(schema: columns[row, "root_schema"]!, table: $0)
                    })
            if let column = columns[row, "column"] {
                table.columns.append(
                    .init(
                        name: column, type: columns[row, "type"]!, isGenerated: columns[row, "generated"] == "t"))
            }
            tables[name] = table
        }
        let keys = try await connection.query(keysQuery)
        for row in keys.rows.indices {
            let name = TableName(schema: keys[row, "schema"]!, table: keys[row, "table"]!)
            tables[name]?.keyColumns.append(keys[row, "column"]!)
        }
        return RestoredTables(byName: tables)
    }

    /// As ``PublishedTables`` chooses them.
    static let ofTheService = """
        c.relpersistence = 'p'
          AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'perch') AND n.nspname NOT LIKE 'pg\\_toast%'
          AND NOT EXISTS (
            SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
              AND d.refclassid = 'pg_extension'::regclass AND NOT c.oid = ANY (coalesce(e.extconfig, '{}')))
        """

    private static let columnsQuery = """
        SELECT n.nspname AS schema, c.relname AS "table", c.relkind AS kind, rn.nspname AS root_schema,
          r.relname AS root_table, a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type,
          a.attgenerated <> '' AS generated
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid)
          LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
        WHERE c.relkind IN ('r', 'p') AND \(ofTheService)
        ORDER BY c.oid, a.attnum
        """

    /// The primary key, else the unique index that REPLICA IDENTITY USING INDEX would accept, smallest first.
    private static let keysQuery = """
        SELECT n.nspname AS schema, c.relname AS "table", a.attname AS "column"
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL (
            SELECT i.indkey, i.indnkeyatts FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
              AND i.indpred IS NULL AND i.indexprs IS NULL
              AND NOT EXISTS (
                SELECT FROM pg_attribute k
                WHERE k.attrelid = c.oid AND k.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) AND NOT k.attnotnull)
            ORDER BY i.indisreplident DESC, i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1) i
          CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS u(attnum, place)
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum
        WHERE c.relkind IN ('r', 'p') AND \(ofTheService)
        ORDER BY c.oid, u.place
        """
}
