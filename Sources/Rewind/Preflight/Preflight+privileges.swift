// Rights: of Perch's own role on the database, and of the role the canary logs in with.

import Ports
import Postgres
import Releases

extension Preflight {
    static let privilegeChecks: [Check] = [
        Check("role") { (_, connection) throws(PostgresError) in
            let result = try await connection.query(
                "select rolname, rolsuper, rolreplication, rolcreatedb, rolcreaterole from pg_roles where rolname = current_user"
            )
            guard !result.rows.isEmpty else { return [] }
            let name = result[0, "rolname"] ?? ""
            if result[0, "rolsuper"] == "t" { return ok("role", "\(name) is a superuser") }
            var findings: [Finding] = []
            if result[0, "rolreplication"] != "t" {
                findings += failure("role", "\(name) cannot replicate", hint: "ALTER ROLE \(name) REPLICATION")
            }
            if result[0, "rolcreatedb"] != "t" {
                findings += failure(
                    "role", "\(name) cannot create the restored database", hint: "ALTER ROLE \(name) CREATEDB")
            }
            if result[0, "rolcreaterole"] != "t" {
                findings += failure(
                    "role", "\(name) cannot fence the canary's role", hint: "ALTER ROLE \(name) CREATEROLE")
            }
            return findings.isEmpty ? ok("role", name) : findings
        },
        Check("database owner") { (_, connection) throws(PostgresError) in
            try await connection.isTrue(
                "select pg_has_role(current_user, datdba, 'USAGE') from pg_database where datname = current_database()")
                ? ok("database owner", "Perch may rename the database")
                : failure(
                    "database owner", "Perch's role does not own the database",
                    hint: "GRANT the owner's role to Perch's role: renaming needs it")
        },
        Check("session_replication_role") { (_, connection) throws(PostgresError) in
            do throws(PostgresError) {
                try await connection.execute("begin; set local session_replication_role = replica; rollback")
                return ok("session_replication_role", "may be set")
            } catch {
                try? await connection.execute("rollback")
                guard error.sqlState == "42501" else { throw error }
                return failure(
                    "session_replication_role", "Perch's role may not set it, so triggers would fire twice in a replay",
                    hint: "GRANT SET ON PARAMETER session_replication_role TO Perch's role")
            }
        },
        Check("end sessions") { (_, connection) throws(PostgresError) in
            try await connection.isTrue(
                """
                select rolsuper or pg_has_role(current_user, 'pg_signal_backend', 'MEMBER')
                from pg_roles where rolname = current_user
                """)
                ? ok("end sessions", "Perch may end other sessions")
                : failure(
                    "end sessions", "Perch's role may not end other sessions",
                    hint: "GRANT pg_signal_backend TO Perch's role")
        },
        Check("table rights") { (_, connection) throws(PostgresError) in
            let tables = try await PublishedTables.load(on: connection).all
            var foreign: [String] = []
            for table in tables {
                let isOwner = try await connection.isTrue(
                    "select pg_has_role(current_user, relowner, 'USAGE') from pg_class where oid = $1::regclass",
                    [table.quoted])
                if !isOwner { foreign.append(table.description) }
            }
            return foreign.isEmpty
                ? ok("table rights", "\(tables.count) tables")
                : failure(
                    "table rights", "Perch's role does not own \(listed(foreign))",
                    hint: "GRANT the owner's role to Perch's role: publishing and marking need it")
        },
        Check("canary role") { (preflight, connection) throws(PostgresError) in
            let role = preflight.database.canaryRole
            let result = try await connection.query(
                """
                select rolsuper, rolreplication,
                  (select count(*) from pg_class where relowner = role.oid and relkind in ('r', 'p')) as tables,
                  has_database_privilege(role.oid, current_database(), 'CONNECT') as connects
                from pg_roles role where rolname = $1
                """, [role])
            guard !result.rows.isEmpty else {
                return failure(
                    "canary role", "role \(role) does not exist",
                    hint: "CREATE ROLE \(role) LOGIN PASSWORD '...' IN ROLE \(preflight.stable.user)")
            }
            var findings: [Finding] = []
            if role == preflight.stable.user {
                findings += failure(
                    "canary role", "\(role) is also the stable version's role: writes could not be told apart",
                    hint: "give the canary a role of its own")
            }
            if result[0, "rolsuper"] == "t" {
                findings += failure(
                    "canary role", "\(role) is a superuser", hint: "a superuser can switch the marks off")
            }
            if result[0, "tables"] != "0" {
                findings += failure(
                    "canary role", "\(role) owns tables and could switch their marks off",
                    hint: "REASSIGN OWNED BY \(role) TO \(preflight.stable.user)")
            }
            if result[0, "connects"] != "t" {
                findings += failure("canary role", "\(role) may not connect", hint: "GRANT CONNECT ON DATABASE to it")
            }
            let mayAlter = try await connection.isTrue(
                """
                select rolsuper or (rolcreaterole and (current_setting('server_version_num')::int < 160000
                  or exists (select from pg_auth_members where roleid = $1::regrole and member = pg_roles.oid and admin_option)))
                from pg_roles where rolname = current_user
                """, [quoteIdentifier(role)])
            if !mayAlter {
                findings += failure(
                    "canary role", "Perch's role may not change \(role)",
                    hint: "GRANT \(role) TO Perch's role WITH ADMIN OPTION: fencing sets NOLOGIN")
            }
            return findings.isEmpty ? ok("canary role", role) : findings
        },
    ]
}
