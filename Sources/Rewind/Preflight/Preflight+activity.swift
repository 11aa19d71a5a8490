// What goes on: transactions a slot would wait for, other consumers of the database, leftovers.

import Ports
import Postgres
import Releases

extension Preflight {
    static let activityChecks: [Check] = [
        Check("prepared transactions") { (_, connection) throws(PostgresError) in
            let names = try await connection.names("select gid from pg_prepared_xacts order by prepared")
            return names.isEmpty
                ? ok("prepared transactions", "none")
                : failure(
                    "prepared transactions", "\(listed(names)): a slot would wait for them for ever",
                    hint: "COMMIT PREPARED or ROLLBACK PREPARED them")
        },
        Check("long transactions") { (_, connection) throws(PostgresError) in
            let result = try await connection.query(
                """
                select pid, coalesce(usename, backend_type) as who, extract(epoch from now() - xact_start)::int as seconds
                from pg_stat_activity
                where backend_xid is not null and now() - xact_start > interval '30 seconds' and pid <> pg_backend_pid()
                order by xact_start
                """)
            let blockers = result.rows.map { "pid \($0[0] ?? "?") of \($0[1] ?? "?") since \($0[2] ?? "?") s" }
            return blockers.isEmpty
                ? ok("long transactions", "none")
                : warning(
                    "long transactions", "\(listed(blockers)): the snapshot waits for them",
                    hint: "end them, or wait: select pg_terminate_backend(pid)")
        },
        Check("other slots") { (_, connection) throws(PostgresError) in
            let names = try await connection.names(
                """
                select slot_name from pg_replication_slots
                where database = current_database() and slot_name !~ '^perch_' order by 1
                """)
            return names.isEmpty
                ? ok("other slots", "none")
                : warning(
                    "other slots",
                    "\(listed(names)) read this database and stay with the old one after a data rollback",
                    hint: "create them anew on the restored database, or use rollback.mode: keep")
        },
        Check("subscriptions") { (_, connection) throws(PostgresError) in
            let count = try await connection.number(
                """
                select count(*) from pg_stat_subscription
                join pg_database on datname = current_database() where pid is not null
                """)
            return count == 0
                ? []
                : failure(
                    "subscriptions", "\(count) subscriptions write into this cluster's databases",
                    hint: "a data rollback would cut them; use rollback.mode: keep")
        },
        Check("leftovers") { (preflight, connection) throws(PostgresError) in
            let prefix = "perch_\(preflight.policy.service.rawValue.replacing("-", with: "_"))_"
            let slots = try await connection.names(
                """
                select slot_name from pg_replication_slots
                where database = current_database() and slot_name ~ '^perch_' and not starts_with(slot_name, $1)
                order by 1
                """, [prefix])
            return slots.isEmpty
                ? []
                : failure(
                    "leftovers", "\(listed(slots)): another service of Perch records this database",
                    hint: "wait for its release, or drop the slots: select pg_drop_replication_slot(name)")
        },
    ]
}
