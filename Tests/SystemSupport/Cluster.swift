// A PostgreSQL server of one test, so that the test may kill it.

import Foundation
import Glibc
import Synchronization

package final class Cluster: Sendable {
    package let port: Int
    private let folder: String
    private let bin: String
    private let process = Mutex<Process?>(nil)

    /// Initialises a server in `folder`; roles need no password.
    init(folder: String, port: Int) async throws {
        self.folder = folder
        self.port = port
        bin = try Self.binaries()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if getuid() == 0 { try await run(["/bin/chown", "postgres:postgres", folder]) }
        try await run(
            asPostgres([
                "\(bin)/initdb", "-D", "\(folder)/data", "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                "--locale=C.UTF-8", "--no-sync",
            ]), folder: "/")
    }

    private static func binaries() throws -> String {
        if let given = ProcessInfo.processInfo.environment["PERCH_TEST_PG_BIN"] { return given }
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        guard let newest = versions.compactMap({ Int($0) }).max() else {
            throw SystemFailure("no PostgreSQL in \(root)\nhint: install it, or set PERCH_TEST_PG_BIN")
        }
        return "\(root)/\(newest)/bin"
    }

    /// The server refuses to run as root.
    private func asPostgres(_ command: [String]) -> [String] {
        guard getuid() == 0 else { return command }
        return ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command
    }

    package func start() async throws {
        let command = asPostgres([
            "\(bin)/postgres", "-D", "\(folder)/data", "-p", "\(port)", "-c", "listen_addresses=127.0.0.1",
            "-c", "unix_socket_directories=", "-c", "wal_level=logical", "-c", "fsync=off", "-c", "shared_buffers=32MB",
        ])
        let started = try launch(command, log: "\(folder).log")
        process.withLock { $0 = started }
        try await until("PostgreSQL accepts connections") {
            (try? await sql("select 1", database: "postgres")) == "1"
        }
    }

    /// The end that `pg_ctl -m immediate` brings: no checkpoint, recovery at the next start.
    package func crash() async throws { try await end(SIGQUIT) }

    package func stop() async throws { try await end(SIGINT) }

    private func end(_ signal: Int32) async throws {
        guard let running = process.withLock({ $0 }), running.isRunning else { return }
        kill(running.processIdentifier, signal)
        try await until("PostgreSQL ends") { !running.isRunning }
    }

    package func url(_ database: String, user: String) -> String { "postgres://\(user)@127.0.0.1:\(port)/\(database)" }

    /// Runs statements, as superuser unless said; the rows as unaligned text.
    @discardableResult
    package func sql(_ statements: String, database: String, user: String = "postgres") async throws -> String {
        let output = try await run(
            [
                "/usr/bin/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url(database, user: user), "-c",
                statements,
            ], environment: ["PGCONNECT_TIMEOUT": "5", "PGAPPNAME": "test"])
        return output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Runs `body` while a session of this role stays in a transaction that has an id.
    package func whileTransactionIsOpen<Result>(
        of user: String, database: String, _ body: () async throws -> Result
    ) async throws -> Result {
        let isThere = "query like '%pg_sleep(120)%' and pid <> pg_backend_pid()"
        async let open = try? sql(
            "begin; select pg_current_xact_id(); select pg_sleep(120); commit", database: database, user: user)
        try await wait(until: "exists (select from pg_stat_activity where \(isThere))")
        let result = try await body()
        try await sql("select pg_terminate_backend(pid) from pg_stat_activity where \(isThere)", database: "postgres")
        _ = await open
        return result
    }

    /// Waits, asking every two milliseconds within the server, until a condition holds.
    package func wait(until condition: String, database: String = "postgres", within limit: Duration = .seconds(30))
        async throws
    {
        let rounds = limit.components.seconds * 500
        try await sql(
            """
            do $$ begin
                for i in 1..\(rounds) loop
                    if (select \(condition)) then return; end if;
                    perform pg_stat_clear_snapshot(), pg_sleep(0.002);
                end loop;
                raise exception 'not within \(limit.components.seconds) s';
            end $$
            """, database: database)
    }
}
