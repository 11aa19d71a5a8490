// Tables and other objects: what the stream identifies, and what it does not carry at all.

import Ports
import Postgres
import Releases

extension Preflight {
    /// User objects of the given kinds, by name.
    private static func objects(
        _ condition: String, _ connection: Connection
    ) async throws(PostgresError) -> [String] {
        try await connection.names(
            """
            select format('%s.%s', namespace.nspname, class.relname)
            from pg_class class join pg_namespace namespace on namespace.oid = class.relnamespace
            where namespace.nspname not in ('pg_catalog', 'information_schema', 'perch') and namespace.nspname !~ '^pg_'
              and (\(condition)) order by 1
            """)
    }

    static let tableChecks: [Check] = [
        Check("replica identity") { (_, connection) throws(PostgresError) in
            let without = try await objects(
                """
                class.relkind = 'r' and class.relpersistence = 'p' and (class.relreplident = 'n'
                  or class.relreplident = 'd' and not exists (
                    select from pg_index where indrelid = class.oid and indisprimary)
                  or class.relreplident = 'i' and not exists (
                    select from pg_index where indrelid = class.oid and indisreplident))
                """, connection)
            return without.isEmpty
                ? ok("replica identity", "every table has one")
                : failure(
                    "replica identity", "without a key in the stream, updates of \(listed(without)) would fail",
                    hint: "add a primary key, or ALTER TABLE ... REPLICA IDENTITY FULL")
        },
        Check("merge") { (preflight, connection) in
            let rollback = preflight.database.rollback
            guard rollback.mode != .keep, rollback.writes == .stable else { return [] }
            do throws(Failure) {
                let schema = try await CloneSchema.read(connection, rules: rollback.columnRules)
                return ok("merge", "stable's writes of \(schema.tables.count) tables can be kept column by column")
            } catch {
                return failure("merge", error.message, hint: error.hint)
            }
        },
        Check("large objects") { (_, connection) throws(PostgresError) in
            let count = try await connection.number("select count(*) from pg_largeobject_metadata")
            return count == 0
                ? ok("large objects", "none")
                : warning(
                    "large objects", "\(count) large objects: changes to them are not recorded",
                    hint: "a data rollback restores them as they were in the snapshot")
        },
        Check("unlogged tables") { (_, connection) throws(PostgresError) in
            let names = try await objects("class.relkind in ('r', 'p') and class.relpersistence = 'u'", connection)
            return names.isEmpty
                ? ok("unlogged tables", "none")
                : warning(
                    "unlogged tables", "changes to \(listed(names)) are not recorded",
                    hint: "a data rollback restores them as they were in the snapshot")
        },
        Check("foreign tables") { (_, connection) throws(PostgresError) in
            let names = try await objects("class.relkind = 'f'", connection)
            return names.isEmpty
                ? []
                : warning(
                    "foreign tables", "\(listed(names)): their data is elsewhere and is not rolled back", hint: nil)
        },
        Check("materialized views") { (_, connection) throws(PostgresError) in
            let names = try await objects("class.relkind = 'm'", connection)
            return names.isEmpty
                ? []
                : warning(
                    "materialized views", "\(listed(names)) will be as in the snapshot after a data rollback",
                    hint: "REFRESH MATERIALIZED VIEW after it")
        },
        Check("extension tables") { (_, connection) throws(PostgresError) in
            let names = try await objects(
                """
                class.relkind = 'r' and exists (
                  select from pg_depend depend join pg_extension extension on extension.oid = depend.refobjid
                  where depend.classid = 'pg_class'::regclass and depend.objid = class.oid and depend.deptype = 'e'
                    and not (class.oid = any (coalesce(extension.extconfig, '{}'))))
                """, connection)
            return names.isEmpty
                ? []
                : warning("extension tables", "\(listed(names)) belong to extensions and are not recorded", hint: nil)
        },
        Check("event triggers") { (_, connection) throws(PostgresError) in
            let names = try await connection.names(
                "select evtname from pg_event_trigger where evtenabled <> 'D' order by 1")
            return names.isEmpty
                ? []
                : warning(
                    "event triggers", "\(listed(names)) will fire when Perch marks tables",
                    hint: "make sure that they let Perch's role through")
        },
    ]
}
