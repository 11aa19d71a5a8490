// The server: settings, versions, room for one more slot and one more dump.

import Foundation
import Ports
import Postgres

extension Preflight {
    static let serverChecks: [Check] = [
        Check("server version") { (_, connection) throws(PostgresError) in
            let version = await connection.serverVersion
            let (major, minor) = (version / 10_000, version % 10_000)
            let text = "\(major).\(minor)"
            guard major >= 15 else {
                return failure("server version", "PostgreSQL \(text)", hint: "Perch needs PostgreSQL 15 or newer")
            }
            // Before these, decoding could lose or invent changes beside ALTER PUBLICATION or a slot's start.
            let least = [15: 14, 16: 10, 17: 6][major] ?? 0
            guard minor >= least else {
                return warning(
                    "server version", "PostgreSQL \(text) has known defects in logical decoding",
                    hint: "update to \(major).\(least) or newer")
            }
            return ok("server version", text)
        },
        Check("primary") { (_, connection) throws(PostgresError) in
            try await connection.isTrue("select pg_is_in_recovery()")
                ? failure("primary", "the server is a standby", hint: "Perch records on the primary: change admin_url")
                : ok("primary", "the server is a primary")
        },
        Check("wal_level") { (_, connection) throws(PostgresError) in
            let level = try await connection.query("show wal_level").scalar ?? "unknown"
            return level == "logical"
                ? ok("wal_level", level)
                : failure(
                    "wal_level", "wal_level is \(level), it must be logical",
                    hint: "ALTER SYSTEM SET wal_level = logical, then restart PostgreSQL")
        },
        Check("replication slots") { (_, connection) throws(PostgresError) in
            let free = try await connection.number(
                "select current_setting('max_replication_slots')::int - (select count(*) from pg_replication_slots)")
            return free > 0
                ? ok("replication slots", "\(free) free")
                : failure(
                    "replication slots", "all replication slots are taken",
                    hint: "raise max_replication_slots, or drop unused ones")
        },
        Check("walsenders") { (_, connection) throws(PostgresError) in
            let free = try await connection.number(
                "select current_setting('max_wal_senders')::int - (select count(*) from pg_stat_replication)")
            return free > 0
                ? ok("walsenders", "\(free) free")
                : failure("walsenders", "all walsenders are taken", hint: "raise max_wal_senders")
        },
        Check("connections") { (_, connection) throws(PostgresError) in
            let free = try await connection.number(
                """
                select current_setting('max_connections')::int - count(*) from pg_stat_activity
                where backend_type = 'client backend'
                """)
            // The dump's and the restore's workers, the recorder, and some sessions of ours.
            return free >= 12
                ? ok("connections", "\(free) free")
                : warning("connections", "only \(free) connections are free", hint: "raise max_connections")
        },
        Check("disk") { (preflight, connection) throws(PostgresError) in
            let needed = try await connection.number("select pg_database_size(current_database())")
            var status = statvfs()
            guard statvfs(preflight.dataFolder, &status) == 0 else {
                return failure(
                    "disk", "\(preflight.dataFolder) cannot be looked at",
                    hint: "create the data folder and give it to the user of perchd")
            }
            let free = Int(status.f_bavail) * Int(status.f_frsize)
            return free > needed
                ? ok("disk", "\(free >> 20) MiB free, the database has \(needed >> 20) MiB")
                : failure(
                    "disk", "\(preflight.dataFolder) has \(free >> 20) MiB free, a dump may need \(needed >> 20) MiB",
                    hint: "free some, or move the data folder")
        },
        Check("slot limits") { (_, connection) throws(PostgresError) in
            var findings: [Finding] = []
            if let keep = try await connection.query(
                "select setting from pg_settings where name = 'max_slot_wal_keep_size'"
            ).scalar.flatMap({ Int($0) }), keep >= 0 {
                findings += warning(
                    "slot limits", "max_slot_wal_keep_size is \(keep) MB: PostgreSQL may drop the recording's WAL",
                    hint: "keep database.recording.budget below it")
            }
            if let idle = try await connection.query(
                "select setting from pg_settings where name = 'idle_replication_slot_timeout'"
            ).scalar.flatMap({ Int($0) }), idle > 0 {
                findings += warning(
                    "slot limits",
                    "idle_replication_slot_timeout is \(idle) s: a stopped daemon loses its slot after that",
                    hint: "raise it, or restart the daemon in time")
            }
            return findings
        },
    ]
}
