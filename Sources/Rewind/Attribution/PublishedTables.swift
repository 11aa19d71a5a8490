// Which tables a release records: every ordinary table with its data in this database.

import Postgres

struct PublishedTables: Hashable, Sendable {
    /// Plain tables and leaf partitions: what the publication lists and the stream names.
    let leaves: [TableName]
    /// Partitioned tables: statements name them, changes do not.
    let roots: [TableName]

    /// Every name a statement can write to.
    var all: [TableName] { leaves + roots }

    /// Permanent tables outside the system's and Perch's own schemas. An extension's tables count only when the
    /// extension marks them as data to be dumped.
    static func load(on connection: Connection) async throws(PostgresError) -> PublishedTables {
        let result = try await connection.query(
            """
            select namespace.nspname, class.relname, class.relkind
            from pg_class class
            join pg_namespace namespace on namespace.oid = class.relnamespace
            where class.relkind in ('r', 'p') and class.relpersistence = 'p'
              and namespace.nspname not in ('pg_catalog', 'information_schema', 'perch')
              and namespace.nspname not like 'pg\\_toast%' and namespace.nspname not like 'pg\\_temp%'
              and not exists (
                select from pg_depend depend
                join pg_extension extension on extension.oid = depend.refobjid
                where depend.classid = 'pg_class'::regclass and depend.objid = class.oid and depend.deptype = 'e'
                  and depend.refclassid = 'pg_extension'::regclass
                  and not (class.oid = any (coalesce(extension.extconfig, '{}'))))
            order by 1, 2
            """)
        var leaves: [TableName] = []
        var roots: [TableName] = []
        for row in result.rows {
            guard let schema = row[0], let name = row[1] else { continue }
            let table = TableName(schema: schema, table: name)
            if row[2] == "p" { roots.append(table) } else { leaves.append(table) }
        }
        return PublishedTables(leaves: leaves, roots: roots)
    }
}
