// What a database's catalogue says about its tables.

import Merge
import Postgres

/// A table of the restored database.
struct RestoredTable: Hashable, Sendable {
    struct Column: Hashable, Sendable {
        var name: String
        /// As DDL would write it: `numeric(10,2)`, `public.mood[]`.
        var type: String
        /// Computed by the database: never written.
        var isGenerated: Bool
        /// `pg_attribute.attnum`
        var number: Int
        /// Many values can be sent as one array of the type. Not those of types that are arrays themselves.
        var travelsInArrays: Bool
        /// NOT NULL, or a domain that may say more.
        var hasOwnCheck: Bool
        var addition: Addition
    }

    /// In the restored database.
    var oid: UInt32
    var name: TableName
    var isPartitioned: Bool
    var columns: [Column]
    /// Of the primary key or a unique index that can serve as one; empty when there is none.
    var keyColumns: [String]
    /// The key's operators of equality, as SQL, in its order.
    var keyOperators: [String] = []
    var root: TableName?

    var writtenColumns: [Column] { columns.filter { !$0.isGenerated } }
}

/// The ordinary and partitioned tables of a database that belong to the service.
struct RestoredTables: Sendable {
    private(set) var byName: [TableName: RestoredTable]

    subscript(name: TableName) -> RestoredTable? { byName[name] }

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
                    oid: UInt32(columns[row, "oid"]!)!, name: name, isPartitioned: columns[row, "kind"] == "p",
                    columns: [], keyColumns: [],
                    root: columns[row, "root_table"].map {
                        TableName(schema: columns[row, "root_schema"]!, table: $0)
                    })
            if let column = columns[row, "column"] {
                table.columns.append(
                    .init(
                        name: column, type: columns[row, "type"]!, isGenerated: columns[row, "generated"] == "t",
                        number: Int(columns[row, "number"]!)!, travelsInArrays: columns[row, "in_arrays"] == "t",
                        hasOwnCheck: columns[row, "own_check"] == "t",
                        addition: addition(
                            columns[row, "base_type"]!, modifier: Int(columns[row, "base_modifier"]!)!)))
            }
            tables[name] = table
        }
        let keys = try await connection.query(keysQuery)
        for row in keys.rows.indices {
            let name = TableName(schema: keys[row, "schema"]!, table: keys[row, "table"]!)
            tables[name]?.keyColumns.append(keys[row, "column"]!)
            tables[name]?.keyOperators.append(keys[row, "operator"]!)
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
        SELECT c.oid, n.nspname AS schema, c.relname AS "table", c.relkind AS kind, rn.nspname AS root_schema,
          r.relname AS root_table, a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type,
          a.attgenerated <> '' AS generated, a.attnum AS number,
          t.typcategory <> 'A' AND t.typelem = 0 AND t.typarray <> 0 AND t.typdelim = ',' AS in_arrays,
          a.attnotnull OR t.typtype = 'd' AS own_check, coalesce(nullif(t.typbasetype, 0), t.oid) AS base_type,
          CASE t.typbasetype WHEN 0 THEN a.atttypmod ELSE t.typtypmod END AS base_modifier
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid)
          LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
        WHERE c.relkind IN ('r', 'p') AND \(ofTheService)
        ORDER BY c.oid, a.attnum
        """

    /// The primary key, else the unique index that REPLICA IDENTITY USING INDEX would accept, smallest first.
    private static let keysQuery = """
        SELECT n.nspname AS schema, c.relname AS "table", a.attname AS "column",
          \(equality(index: "i", place: "u.place")) AS operator
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL (
            SELECT i.indkey, i.indnkeyatts, i.indclass FROM pg_index i
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

    /// SQL for the operator by which column `place` (1 is the first) of a unique index tells equal values, with its
    /// schema: the session's search path does not lead to those of extensions.
    static func equality(index: String, place: String) -> String {
        """
        (SELECT format('OPERATOR(%I.%s)', ns.nspname, o.oprname)
         FROM pg_opclass oc
           JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amoplefttype = oc.opcintype
             AND ao.amoprighttype = oc.opcintype AND ao.amopstrategy = 3
           JOIN pg_operator o ON o.oid = ao.amopopr JOIN pg_namespace ns ON ns.oid = o.oprnamespace
         WHERE oc.oid = \(index).indclass[\(place) - 1])
        """
    }
}

/// - Parameters:
///   - type: oid of the type, of a domain's base type.
///   - modifier: of numeric, `(precision << 16 | scale) + 4`; negative for none.
private func addition(_ type: String, modifier: Int) -> Addition {
    switch type {
    case "21": return .integer(bits: 16)
    case "23": return .integer(bits: 32)
    case "20": return .integer(bits: 64)
    case "1700":
        guard modifier >= 4 else { return .decimal(integerDigits: nil) }
        // Scale has 11 bits and a sign.
        let scale = ((modifier - 4) & 0x7FF ^ 1024) - 1024
        return .decimal(integerDigits: ((modifier - 4) >> 16 & 0xFFFF) - scale)
    default: return .impossible
    }
}
