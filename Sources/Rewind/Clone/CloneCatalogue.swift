// What the catalogue says of indexes, foreign keys and checks, before columns become positions.

import Merge
import Postgres

struct CloneCatalogue: Sendable {
    struct Unique: Sendable {
        var table: TableID
        /// Of the root's index, for a partition's.
        var id: UniqueID
        /// Numbers of the columns that it, its expressions or its predicate mention; in order where it is plain.
        var mentions: [Int]
        var isComputed: Bool
        var nullsAreDistinct: Bool
        var predicate: String?
        var parts: [CloneUnique.Part]
    }

    enum Action: Sendable {
        case refuse, cascade
        /// Column number -> value as text; empty: all of the key's columns become NULL.
        case assign([Int: String?])
    }

    struct ForeignKey: Sendable {
        /// The root's constraint, for a partition's.
        var top: ForeignKeyID
        var name: String
        var table: TableID
        var index: UniqueID
        var parent: TableName
        /// Column numbers, in the order of the index.
        var columns: [Int]
        var parentColumns: [String]
        var equalities: [String]
        var onDelete: Action
        var onUpdate: Action
    }

    private(set) var tables: RestoredTables
    private(set) var uniques: [Unique] = []
    private(set) var foreignKeys: [ForeignKey] = []
    /// Numbers of the columns that each CHECK names.
    private(set) var checks: [TableID: [[Int]]] = [:]
    /// Numbers of the columns that EXCLUDE constraints mention.
    private(set) var excluded: [TableID: [Int]] = [:]
    /// Column -> columns that it is computed from.
    private var generated: [TableID: [Int: [Int]]] = [:]

    func generatedFrom(_ table: TableID, _ numbers: [Int]) -> [Int] {
        numbers.flatMap { generated[table]?[$0] ?? [] }
    }

    static func read(_ connection: Connection) async throws(PostgresError) -> CloneCatalogue {
        var catalogue = CloneCatalogue(tables: try await RestoredTables.read(connection))
        try await catalogue.readUniques(connection)
        try await catalogue.readForeignKeys(connection)
        let checks = try await connection.query(
            "SELECT conrelid, conkey FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0 ORDER BY oid")
        for row in checks.rows {
            catalogue.checks[TableID(row[0]), default: []].append(numbers(row[1]))
        }
        let excluded = try await connection.query(
            """
            SELECT i.indrelid, u.number FROM pg_index i CROSS JOIN LATERAL (
              SELECT unnest(i.indkey) AS number UNION
              SELECT d.refobjsubid FROM pg_depend d
              WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass
                AND d.refobjid = i.indrelid) u
            WHERE i.indisexclusion AND u.number > 0 ORDER BY 1, 2
            """)
        for row in excluded.rows { catalogue.excluded[TableID(row[0]), default: []].append(Int(row[1]!)!) }
        let generated = try await connection.query(
            """
            SELECT DISTINCT a.attrelid, a.attnum, d.refobjsubid
            FROM pg_attribute a JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
              JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid
                AND d.refobjsubid NOT IN (0, a.attnum)
                AND (d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid
                  OR d.classid = 'pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum)
            WHERE a.attgenerated <> ''
            """)
        for row in generated.rows {
            catalogue.generated[TableID(row[0]), default: [:]][Int(row[1]!)!, default: []].append(Int(row[2]!)!)
        }
        return catalogue
    }

    private mutating func readUniques(_ connection: Connection) async throws(PostgresError) {
        let result = try await connection.query(
            """
            SELECT i.indrelid, i.indexrelid, coalesce(pg_partition_root(i.indexrelid), i.indexrelid)::oid AS id,
              i.indnullsnotdistinct, i.indexprs IS NOT NULL OR i.indpred IS NOT NULL AS computed,
              pg_get_expr(i.indpred, i.indrelid) AS predicate,
              CASE WHEN i.indexprs IS NULL AND i.indpred IS NULL THEN i.indkey[0:i.indnkeyatts - 1]::int2[] ELSE (
                SELECT array_agg(DISTINCT d.refobjsubid::int2) FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass
                  AND d.refobjid = i.indrelid AND d.refobjsubid > 0) END AS mentions,
              pg_get_indexdef(i.indexrelid, a.attnum, false) AS part, format_type(a.atttypid, a.atttypmod) AS type,
              t.typcategory <> 'A' AND t.typelem = 0 AND t.typarray <> 0 AND t.typdelim = ',' AS in_arrays,
              \(RestoredTables.equality(index: "i", place: "a.attnum")) AS equality
            FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
              JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum <= i.indnkeyatts
              JOIN pg_type t ON t.oid = a.atttypid
            WHERE i.indisunique AND i.indisvalid AND c.relkind = 'r'
            ORDER BY i.indexrelid, a.attnum
            """)
        var last: String?
        for row in result.rows.indices {
            if result[row, "indexrelid"] != last {
                last = result[row, "indexrelid"]
                uniques.append(
                    Unique(
                        table: TableID(result[row, "indrelid"]), id: UniqueID(rawValue: number(result[row, "id"])),
                        mentions: Self.numbers(result[row, "mentions"]), isComputed: result[row, "computed"] == "t",
                        nullsAreDistinct: result[row, "indnullsnotdistinct"] != "t",
                        predicate: result[row, "predicate"], parts: []))
            }
            uniques[uniques.count - 1].parts.append(
                .init(
                    sql: "(\(result[row, "part"]!))", type: result[row, "type"]!,
                    travelsInArrays: result[row, "in_arrays"] == "t", equality: result[row, "equality"] ?? "="))
        }
    }

    private mutating func readForeignKeys(_ connection: Connection) async throws(PostgresError) {
        let result = try await connection.query(
            """
            WITH RECURSIVE tops AS (
              SELECT oid, oid AS top FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
              UNION ALL
              SELECT k.oid, tops.top FROM pg_constraint k JOIN tops ON k.conparentid = tops.oid
            )
            SELECT k.oid, tops.top, k.conname, k.conrelid, pn.nspname AS parent_schema, p.relname AS parent_table,
              coalesce(pg_partition_root(k.conindid), k.conindid)::oid AS index, k.confdeltype, k.confupdtype,
              k.confdelsetcols, x.child, pa.attname AS parent,
              (SELECT format('OPERATOR(%I.%s)', o.nspname, oprname) FROM pg_operator JOIN pg_namespace o
                ON o.oid = oprnamespace WHERE pg_operator.oid = x.equality) AS equality,
              pg_get_expr(e.adbin, e.adrelid) AS fallback, format_type(ca.atttypid, ca.atttypmod) AS type
            FROM pg_constraint k JOIN tops USING (oid) JOIN pg_class c ON c.oid = k.conrelid
              JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
              JOIN pg_index i ON i.indexrelid = k.conindid
              CROSS JOIN LATERAL unnest(k.conkey, k.confkey, k.conffeqop) AS x(child, parent, equality)
              JOIN pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = x.child
              JOIN pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = x.parent
              LEFT JOIN pg_attrdef e ON e.adrelid = k.conrelid AND e.adnum = x.child
            WHERE k.contype = 'f' AND c.relkind = 'r'
            ORDER BY k.oid, array_position(i.indkey::int2[], x.parent)
            """)
        var last: String?
        for row in result.rows.indices {
            if result[row, "oid"] != last {
                last = result[row, "oid"]
                foreignKeys.append(
                    ForeignKey(
                        top: ForeignKeyID(rawValue: number(result[row, "top"])), name: result[row, "conname"]!,
                        table: TableID(result[row, "conrelid"]),
                        index: UniqueID(rawValue: number(result[row, "index"])),
                        parent: TableName(
                            schema: result[row, "parent_schema"]!, table: result[row, "parent_table"]!),
                        columns: [], parentColumns: [], equalities: [],
                        onDelete: Self.action(result[row, "confdeltype"]),
                        onUpdate: Self.action(result[row, "confupdtype"])))
            }
            let current = foreignKeys.count - 1
            let child = Int(result[row, "child"]!)!
            foreignKeys[current].columns.append(child)
            foreignKeys[current].parentColumns.append(result[row, "parent"]!)
            foreignKeys[current].equalities.append(result[row, "equality"]!)
            let chosen = Self.numbers(result[row, "confdelsetcols"])
            let isChosen = chosen.isEmpty || chosen.contains(child)
            let fallback = "SELECT (\(result[row, "fallback"] ?? "NULL"))::\(result[row, "type"]!)"
            if case .assign(var values) = foreignKeys[current].onDelete, isChosen {
                let isDefault = result[row, "confdeltype"] == "d"
                values[child] = .some(isDefault ? try await connection.query(fallback).scalar : nil)
                foreignKeys[current].onDelete = .assign(values)
            }
            if case .assign(var values) = foreignKeys[current].onUpdate {
                let isDefault = result[row, "confupdtype"] == "d"
                values[child] = .some(isDefault ? try await connection.query(fallback).scalar : nil)
                foreignKeys[current].onUpdate = .assign(values)
            }
        }
    }

    /// `pg_constraint.confdeltype`
    private static func action(_ code: String?) -> Action {
        switch code {
        case "c": .cascade
        case "n", "d": .assign([:])
        default: .refuse
        }
    }

    /// `{1,2}`
    private static func numbers(_ array: String?) -> [Int] {
        (array ?? "").split { "{},".contains($0) }.compactMap { Int($0) }
    }
}

/// An oid as the catalogue's text.
private func number(_ text: String?) -> UInt32 { text.flatMap { UInt32($0) } ?? 0 }

extension TableID {
    fileprivate init(_ text: String?) { self.init(rawValue: number(text)) }
}
