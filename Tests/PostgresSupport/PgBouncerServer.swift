// A PgBouncer of its own in front of a test's server: started on a free port, gone with the process that asked for it.

import Foundation
import Glibc
package import Postgres
import Synchronization

/// Knows one database and some users, no passwords. `keeper` may do everything in its console, `watcher` may look.
///
/// PgBouncer refuses to run as root and then runs as the server's user.
package final class PgBouncerServer: Sendable {
    package let port: Int
    private let folder: String
    private let pid: pid_t
    /// Our end of the shell's input; when it closes, PgBouncer is killed and its folder removed.
    private let input: Mutex<Int32?>

    private static let script = """
        trap '' HUP INT TERM
        PATH="$PATH:/usr/sbin"
        pgbouncer "$1/pgbouncer.ini" </dev/null >>"$1/log" 2>&1 &
        server=$!
        echo $server >"$1/pid"
        read -r nothing
        kill -KILL $server
        wait $server
        rm -rf "$1"
        """

    /// Returns when its console answers.
    ///
    /// - Parameters:
    ///   - name: what it calls the database; as the server does unless given.
    ///   - options: more words of the database's entry: `user=shop`.
    ///   - settings: lines of its configuration; they win over the usual ones for tests.
    package static func start(
        before server: PostgresServer, database: String, as name: String? = nil, users: [String],
        options: String = "", settings: [String: String] = [:]
    ) async throws -> PgBouncerServer {
        let entry = "\(name ?? database) = host=127.0.0.1 port=\(server.port) dbname=\(database) \(options)"
        // Somebody may take a port between our look and its start.
        for _ in 0..<5 {
            let pooler = try PgBouncerServer(entry, users, settings)
            if await pooler.isReady() { return pooler }
            await pooler.stop()
        }
        throw SupportError("pgbouncer does not start\nhint: apt-get install pgbouncer")
    }

    private init(_ entry: String, _ users: [String], _ settings: [String: String]) throws {
        let programs = try ServerPrograms()
        port = try freePort()
        folder = try programs.makeFolder()
        var lines = [
            "listen_addr": "127.0.0.1", "listen_port": "\(port)", "unix_socket_dir": "", "auth_type": "trust",
            "auth_file": "\(folder)/users", "admin_users": "keeper", "stats_users": "watcher",
            "pool_mode": "transaction", "default_pool_size": "5",
        ]
        lines.merge(settings) { _, given in given }
        let text = lines.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(separator: "\n")
        try "[databases]\n\(entry)\n[pgbouncer]\n\(text)\n"
            .write(toFile: "\(folder)/pgbouncer.ini", atomically: false, encoding: .utf8)
        try (users + ["keeper", "watcher"]).map { "\"\($0)\" \"\"\n" }.joined()
            .write(toFile: "\(folder)/users", atomically: false, encoding: .utf8)
        for file in ["pgbouncer.ini", "users"] { chmod("\(folder)/\(file)", 0o644) }
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw SupportError("no pair of sockets: \(String(cString: strerror(errno)))")
        }
        defer { close(ends[0]) }
        input = Mutex(ends[1])
        pid = try ChildProcess(
            programs.prefix + ["/bin/sh", "-c", Self.script, "pgbouncer", folder], input: ends[0], output: "/dev/null"
        ).pid
    }

    /// Of its console.
    package func console(user: String = "keeper") -> ConnectionSettings { settings(database: "pgbouncer", user: user) }

    package func settings(database: String, user: String) -> ConnectionSettings {
        ConnectionSettings(parameters: [
            "host": "127.0.0.1", "port": "\(port)", "user": user, "dbname": database,
        ])
    }

    /// Stops it in the middle of whatever it does, or lets it go on.
    package func freeze(_ isFrozen: Bool) throws {
        let text = try String(contentsOfFile: "\(folder)/pid", encoding: .utf8)
        guard let server = pid_t(text.filter(\.isNumber)) else { throw SupportError("no process in \(folder)/pid") }
        guard kill(server, isFrozen ? SIGSTOP : SIGCONT) == 0 else { throw SupportError("no process \(server)") }
    }

    /// Kills it; returns when it is gone.
    package func stop() async {
        let isOurs = input.withLock { input in
            guard let open = input else { return false }
            close(open)
            input = nil
            return true
        }
        guard isOurs else { return }
        let pid = pid
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var status: Int32 = 0
                while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
                continuation.resume()
            }
        }
    }

    private func isReady() async -> Bool {
        let end = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < end {
            if let console = try? await Connection.open(console(), timeout: .seconds(2)) {
                await console.close()
                return true
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
        return false
    }
}
