// Fingerprints of a table's rows and of a database's schema, equal exactly when the things are equal.
//
// Rows: their number and two sums of 64-bit hashes of the row's text, seeds 0 and 1. Sums, because rows have no order; not
// XOR, because a row that is there twice would vanish from it. The text depends on settings, so `pinnedSettings` come first.

import Postgres

/// What a table holds, without its order.
struct TableFingerprint: Hashable, Sendable, Codable {
    var table: String
    var rows: Int64
    /// Sums of the rows' hashes with seed 0 and seed 1, as PostgreSQL's numeric prints them.
    var sums: [String]

    /// Settings that decide how values read as text; for sessions whose fingerprints are compared.
    static let pinnedSettings = """
        set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; set extra_float_digits = 3; set timezone = 'UTC';
        set bytea_output = 'hex'; set xmloption = 'content'; set search_path = pg_catalog; set row_security = off
        """

    /// Reads a table in the session's snapshot.
    ///
    /// - Parameters:
    ///   - table: a plain table or one partition; rows of children are not looked at.
    ///   - columns: the row's columns in this order; nil: all that the table has.
    ///   - leavingOut: rows that are not looked at, by their key's columns and values in text form.
    ///   - within: nil: the whole table.
    static func read(
        _ table: TableName, columns: [String]? = nil, on connection: Connection, leavingOut: ExcludedRows? = nil,
        within range: KeyRange? = nil
    ) async throws(PostgresError) -> TableFingerprint {
        let excluded = leavingOut?.parameters ?? []
        let result = try await connection.query(
            """
            select count(*), coalesce(sum(\(rowHash(seed: 0))), 0), coalesce(sum(\(rowHash(seed: 1))), 0)
            from \(rows(of: table, columns)) where \(leavingOut?.condition ?? "true")
              and \(range?.condition(first: excluded.count + 1) ?? "true")
            """, excluded + (range?.parameters ?? []))
        return TableFingerprint(
            table: table.description, rows: result.rows[0][0].flatMap { Int64($0) } ?? 0,
            sums: [result.rows[0][1] ?? "0", result.rows[0][2] ?? "0"])
    }

    /// The hash of a row of ``rows(of:_:)``.
    static func rowHash(seed: Int) -> String { "hashtextextended((whole.*)::text, \(seed))::numeric" }

    /// A FROM item named `whole`.
    static func rows(of table: TableName, _ columns: [String]?) -> String {
        guard let columns, !columns.isEmpty else { return "only \(table.quoted) whole" }
        return "(select \(columns.map(quoteIdentifier).joined(separator: ", ")) from only \(table.quoted)) whole"
    }
}

/// Rows to leave out, found by the text of their key's columns.
struct ExcludedRows: Hashable, Sendable {
    var columns: [String]
    /// Their values, as the stream shows them.
    var values: [[String?]]

    /// A join, not a filter for each row: PostgreSQL hashes it, however many rows are left out. `format` shows a value
    /// through its type's output function, as the stream does; a cast to text would show booleans otherwise.
    var condition: String {
        let names = columns.indices.map { "k\($0)" }.joined(separator: ", ")
        let arrays = columns.indices.map { "$\($0 + 1)::text[]" }.joined(separator: ", ")
        let matches = columns.enumerated().map {
            "out.k\($0.offset) = format('%s', whole.\(quoteIdentifier($0.element)))"
        }
        return """
            not exists (select from unnest(\(arrays)) as out(\(names)) where \(matches.joined(separator: " and ")))
            """
    }

    var parameters: [String?] {
        columns.indices.map { position in arrayLiteral(values.map { $0[position] }) }
    }
}

/// Values as the text of a PostgreSQL `text[]`.
func arrayLiteral(_ values: [String?]) -> String {
    let elements = values.map { value -> String in
        guard let value else { return "NULL" }
        return "\"" + value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
    return "{" + elements.joined(separator: ",") + "}"
}

enum SchemaFingerprint {
    /// A line for every column, constraint, index, trigger, function, sequence and view of the user's schemas, sorted;
    /// two databases with the same lines accept and refuse the same data.
    ///
    /// Perch's own marks are left out. So is what names an oid.
    static func lines(on connection: Connection) async throws(PostgresError) -> [String] {
        try await connection.query(query).rows.compactMap { $0[0] }
    }

    private static let query = """
        with spaces as (
          select oid, nspname from pg_namespace
          where nspname not in ('pg_catalog', 'information_schema', 'perch') and nspname !~ '^pg_'
        ), tables as (
          select class.oid, format('%I.%I', nspname, relname) as name, relkind, relpersistence, relreplident
          from pg_class class join spaces on spaces.oid = relnamespace where relkind in ('r', 'p', 'v', 'm', 'S', 'f')
        )
        select format('%s %s kind %s %s', 'relation', name, relkind, relpersistence) as line from tables
        union all
        select format('column %s.%I %s %s %s %s %s', name, attname, format_type(atttypid, atttypmod), attnotnull,
          attidentity, attgenerated, pg_get_expr(adbin, adrelid))
        from tables join pg_attribute on attrelid = tables.oid and attnum > 0 and not attisdropped
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        union all
        select format('constraint %s %I %s %s', name, conname, pg_get_constraintdef(pg_constraint.oid), convalidated)
        from tables join pg_constraint on conrelid = tables.oid
        union all
        select format('index %s %s %s', name, pg_get_indexdef(indexrelid), indisvalid)
        from tables join pg_index on indrelid = tables.oid
        union all
        select format('trigger %s %s %s', name, pg_get_triggerdef(pg_trigger.oid), tgenabled)
        from tables join pg_trigger on tgrelid = tables.oid and not tgisinternal and tgname !~ '^perch_mark_'
        union all
        select format('view %s %s', name, pg_get_viewdef(tables.oid)) from tables where relkind in ('v', 'm')
        union all
        select format('policy %s %I %s %s %s', name, polname, polcmd, pg_get_expr(polqual, polrelid),
          pg_get_expr(polwithcheck, polrelid))
        from tables join pg_policy on polrelid = tables.oid
        union all
        select format('function %I.%I(%s) %s', nspname, proname, pg_get_function_identity_arguments(pg_proc.oid),
          md5(coalesce(prosrc, '') || coalesce(probin, '')))
        from pg_proc join spaces on spaces.oid = pronamespace
        union all
        select format('enum %I.%I %s', nspname, typname, string_agg(enumlabel, ',' order by enumsortorder))
        from pg_type join spaces on spaces.oid = typnamespace join pg_enum on enumtypid = pg_type.oid
        group by nspname, typname
        order by line
        """
}
