// The role whose sessions are the canary's: let in, and kept out.

import Ports
import Postgres

struct CanaryRole: Sendable {
    let name: String
    let admin: ConnectionSettings

    func allowLogin() async throws(Failure) {
        try await withSession { session throws(PostgresError) in
            guard
                let mayLogIn = try await session.query("select rolcanlogin from pg_roles where rolname = $1", [name])
                    .scalar
            else { throw .usage("role \(name) does not exist\nhint: create role \(quoteIdentifier(name)) login") }
            if mayLogIn != "t" { try await session.execute("alter role \(quoteIdentifier(name)) login") }
        }
    }

    /// No session of the role is there when this returns, and none can come. Its transactions have ended, one way or the
    /// other.
    func fence(deadline: Duration) async throws(Failure) {
        let end = ContinuousClock.now + deadline
        let left: [String] = try await withSession { session throws(PostgresError) in
            let isThere = try await session.isTrue("select exists (select from pg_roles where rolname = $1)", [name])
            guard isThere else { return [] }
            try await session.execute("alter role \(quoteIdentifier(name)) nologin")
            // Whoever was let in just before and does not show in pg_stat_activity yet still holds the lock on its database
            // that every starting session takes.
            var starting = Set(try await Self.starting(session))
            while true {
                if !starting.isEmpty { starting.formIntersection(try await Self.starting(session)) }
                // Materialized: or the planner might end sessions before it looks whose they are.
                let sessions = try await session.names(
                    """
                    with sessions as materialized (
                      select pid from pg_stat_activity where usename = $1 and pid <> pg_backend_pid()
                    )
                    select format('pid %s', pid) from sessions where pg_terminate_backend(pid) is not null
                    """, [name])
                if sessions.isEmpty, starting.isEmpty { break }
                if ContinuousClock.now >= end || Task.isCancelled {
                    return sessions + starting.map { "starting pid \($0)" }
                }
                try? await Task.sleep(for: .milliseconds(20))
            }
            return try await session.names(
                "select format('prepared transaction %s', gid) from pg_prepared_xacts where owner = $1", [name])
        }
        guard left.isEmpty else {
            throw Failure(
                "role \(name) still has \(listed(left))",
                hint: "COMMIT PREPARED or ROLLBACK PREPARED what it prepared; sessions: pg_terminate_backend(pid)",
                isTransient: true)
        }
    }

    private static func starting(_ session: Connection) async throws(PostgresError) -> [String] {
        try await session.names(
            """
            select pid from pg_locks locks
            where locktype = 'object' and classid = 'pg_database'::regclass and pid <> pg_backend_pid()
              and not exists (select from pg_stat_activity where pg_stat_activity.pid = locks.pid and usename is not null)
            """)
    }

    private func withSession<Value: Sendable>(
        _ body: @Sendable (Connection) async throws(PostgresError) -> Value
    ) async throws(Failure) -> Value {
        let session = try await SnapshotRun.open(admin)
        do {
            let value = try await body(session)
            await session.close()
            return value
        } catch {
            await session.close()
            throw Failure(
                "role \(name): \(error)", hint: "Perch's role must be able to alter it and to end its sessions",
                isTransient: error.serverError == nil)
        }
    }
}
