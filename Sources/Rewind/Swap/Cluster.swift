// The server seen from its maintenance database, from where databases are made, fenced, renamed and dropped.

import Ports
import Postgres
import Releases

/// A session with `postgres`, or `template1` where that is missing or is the service's own database.
struct Cluster: Sendable {
    let connection: Connection

    static func open(_ admin: ConnectionSettings) async throws(Failure) -> Cluster {
        var last: PostgresError?
        for database in ["postgres", "template1"] where database != admin.database {
            do {
                let connection = try await Connection.open(admin.with(database: database))
                try await connection.execute(
                    "SET statement_timeout = 0; SET lock_timeout = 0; SET synchronous_commit = local")
                return Cluster(connection: connection)
            } catch {
                last = error
            }
        }
        throw Failure(
            "cannot reach the server's maintenance database: \(last.map(String.init(describing:)) ?? "")",
            hint: "Perch's role must be able to connect to database postgres or template1", isTransient: true)
    }

    struct Database: Sendable {
        var oid: String
        var allowsConnections: Bool
        var comment: String?
        var mark: DatabaseMark? { DatabaseMark(comment: comment) }
    }

    func find(_ name: String) async throws(Failure) -> Database? {
        let result = try await query(
            """
            SELECT oid, datallowconn, shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1
            """, [name], "look for database \(name)")
        guard !result.rows.isEmpty else { return nil }
        return Database(
            oid: result[0, "oid"]!, allowsConnections: result[0, "datallowconn"] == "t", comment: result[0, "comment"])
    }

    func mark(_ database: String, _ mark: DatabaseMark) async throws(Failure) {
        _ = try await query(
            "COMMENT ON DATABASE \(quoteIdentifier(database)) IS \(quoteLiteral(mark.comment))", [],
            "mark database \(database)")
    }

    func allowConnections(to database: String, _ allowed: Bool) async throws(Failure) {
        _ = try await query(
            "ALTER DATABASE \(quoteIdentifier(database)) ALLOW_CONNECTIONS \(allowed)", [],
            "\(allowed ? "open" : "close") database \(database)")
    }

    /// - Returns: false when it is there and open.
    func openClosed(_ database: String) async throws(Failure) -> Bool {
        guard let found = try await find(database), !found.allowsConnections else { return false }
        try await allowConnections(to: database, true)
        return true
    }

    func drop(_ database: String) async throws(Failure) {
        _ = try await query(
            "DROP DATABASE IF EXISTS \(quoteIdentifier(database)) WITH (FORCE)", [], "drop database \(database)")
    }

    func query(_ sql: String, _ parameters: [String?], _ purpose: String) async throws(Failure) -> QueryResult {
        do {
            return try await connection.query(sql, parameters)
        } catch {
            throw Failure("cannot \(purpose): \(error)", isTransient: error.serverError == nil)
        }
    }

    /// Ends every session of a database but ours, and returns when none is left.
    ///
    /// A session that is just starting may have passed the check of ALLOW_CONNECTIONS and not be in pg_stat_activity yet;
    /// until it is, it holds a lock on the database. So first nobody else may hold that lock, then nobody may be there.
    /// The server's own processes (autovacuum) have no role, write nothing of the service's and give way to a rename.
    func endSessions(of database: String, oid: String, except pids: [Int32], until end: ContinuousClock.Instant)
        async throws(Failure)
    {
        let ours = arrayLiteral(pids.map(String.init))
        var signalled: [String: ContinuousClock.Instant] = [:]
        while true {
            let starting = try await query(
                """
                SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass
                  AND objid = $1::oid AND pid <> ALL ($2::int[]) AND pid <> pg_backend_pid()
                """, [oid, ours], "see who is connecting to \(database)")
            let sessions = try await query(
                """
                SELECT pid, usename FROM pg_stat_activity
                WHERE datid = $1::oid AND usesysid IS NOT NULL AND pid <> ALL ($2::int[])
                """,
                [oid, ours], "see who is connected to \(database)")
            if starting.scalar == "0", sessions.rows.isEmpty { return }
            let now = ContinuousClock.now
            guard now < end else {
                throw Failure(
                    "sessions of database \(database) do not end: "
                        + sessions.rows.map { "\($0[0] ?? "") (\($0[1] ?? ""))" }.joined(separator: ", "),
                    isTransient: true)
            }
            for row in sessions.rows {
                guard let pid = row[0], now - (signalled[pid] ?? now - .seconds(1)) >= .milliseconds(500) else {
                    continue
                }
                signalled[pid] = now
                _ = try await query("SELECT pg_terminate_backend($1::int)", [pid], "end session \(pid) of \(database)")
            }
            try? await Task.sleep(for: .milliseconds(3))
        }
    }
}
