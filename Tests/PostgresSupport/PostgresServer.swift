// A PostgreSQL server of its own for tests: made in seconds, gone with the process that asked for it.

import Foundation
import Glibc
package import Postgres
import Synchronization

/// One cluster in a folder below /tmp, reached over 127.0.0.1 and a Unix socket, superuser `postgres`, no passwords.
///
/// Works as root (the server then runs as user `postgres`) and as anybody else. A watchdog process stops the server and
/// removes the folder when this process ends, however it ends.
package final class PostgresServer: Sendable {
    package enum StopMode: String, Sendable {
        /// Sessions are ended, everything is written: the next start needs no recovery.
        case fast
        /// As after a crash: recovery at the next start.
        case immediate
    }

    /// Data, socket and log: a folder that only this server has.
    package let folder: String
    package let port: Int
    private let programs: ServerPrograms
    private let databaseCount = Atomic<Int>(0)

    private init(folder: String, port: Int, programs: ServerPrograms) {
        self.folder = folder
        self.port = port
        self.programs = programs
    }

    private static let sharedServer = Task { try await PostgresServer.start() }

    /// The process's common server, for tests that break nothing: give each a ``freshDatabase()``.
    package static func shared() async throws -> PostgresServer { try await sharedServer.value }

    /// Makes and starts a server.
    ///
    /// - Parameters:
    ///   - settings: lines of postgresql.conf; they win over the usual ones for tests.
    ///   - isDurable: with fsync, for tests that are about it.
    ///   - encoding: of all its databases; `SQL_ASCII` for those who never chose one.
    package static func start(
        settings: [String: String] = [:], isDurable: Bool = false, encoding: String = "UTF8"
    ) async throws -> PostgresServer {
        let programs = try ServerPrograms()
        // Somebody may take a port between our look and the server's start.
        for _ in 0..<9 {
            let server = try await make(programs, settings: settings, isDurable: isDurable, encoding: encoding)
            do {
                try await server.start()
                return server
            } catch let error as SupportError where error.message.contains("Address already in use") {
                server.remove()
            }
        }
        let server = try await make(programs, settings: settings, isDurable: isDurable, encoding: encoding)
        try await server.start()
        return server
    }

    private static func make(
        _ programs: ServerPrograms, settings: [String: String], isDurable: Bool, encoding: String
    ) async throws -> PostgresServer {
        let folder = try programs.makeFolder()
        try Watchdog.shared.guardFolder(folder, programs)
        let server = PostgresServer(folder: folder, port: try freePort(), programs: programs)
        try await programs.run(
            "initdb",
            [
                "-D", server.data, "-U", "postgres", "--auth=trust", "--encoding=\(encoding)",
                "--locale=\(encoding == "UTF8" ? "C.UTF-8" : "C")", "--no-sync",
            ], output: "\(folder)/initdb.log")
        try server.configure(settings, isDurable: isDurable)
        return server
    }

    private var data: String { "\(folder)/data" }

    private func configure(_ settings: [String: String], isDurable: Bool) throws {
        var lines = [
            "listen_addresses": "127.0.0.1", "port": "\(port)", "unix_socket_directories": folder,
            "wal_level": "logical", "max_wal_senders": "30", "max_replication_slots": "30", "max_connections": "120",
            "max_prepared_transactions": "10", "shared_buffers": "32MB", "fsync": isDurable ? "on" : "off",
            // Below the data folder, so that a crash leaves nothing in /dev/shm.
            "dynamic_shared_memory_type": "mmap",
            "full_page_writes": isDurable ? "on" : "off", "lc_messages": "C", "log_line_prefix": "%m [%p] %d ",
        ]
        lines.merge(settings) { _, given in given }
        let text = lines.sorted { $0.key < $1.key }
            .map {
                "\($0.key) = '\($0.value.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''"))'"
            }
            .joined(separator: "\n")
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(data)/postgresql.conf"))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data("\n\(text)\n".utf8))
    }

    /// Starts a stopped server; returns when it takes connections.
    package func start() async throws {
        try await programs.run(
            "pg_ctl", ["-D", data, "-l", "\(folder)/server.log", "-t", "60", "-w", "start"],
            output: "\(folder)/pg_ctl.log", evidence: "\(folder)/server.log")
    }

    /// Returns when the server is gone.
    package func stop(_ mode: StopMode = .fast) async throws {
        try await programs.run(
            "pg_ctl", ["-D", data, "-m", mode.rawValue, "-t", "60", "-w", "stop"], output: "\(folder)/pg_ctl.log")
    }

    package func restart(_ mode: StopMode = .fast) async throws {
        try await stop(mode)
        try await start()
    }

    /// Has the server ended as by a crash and its folder removed, soon. The process's end waits for it.
    package func remove() { Watchdog.shared.release(folder) }

    /// Over TCP.
    package func url(database: String = "postgres", user: String = "postgres") -> String {
        settings(database: database, user: user).url
    }

    /// Over TCP.
    package func settings(database: String = "postgres", user: String = "postgres") -> ConnectionSettings {
        ConnectionSettings(parameters: [
            "host": "127.0.0.1", "port": "\(port)", "user": user, "dbname": database,
        ])
    }

    /// Makes an empty database that nobody else has, and gives its URL for the superuser.
    package func freshDatabase() async throws -> String {
        let number = databaseCount.wrappingAdd(1, ordering: .relaxed).newValue
        let name = "test_\(number)"
        let connection = try await Connection.open(settings())
        _ = try await connection.query("CREATE DATABASE \(name)")
        await connection.close()
        return url(database: name)
    }

    /// What the server has logged.
    package func log() throws -> String { try String(contentsOfFile: "\(folder)/server.log", encoding: .utf8) }
}

/// A port of 127.0.0.1 that nobody listens on, below those that the kernel gives to outgoing connections, so that a
/// server finds it free again after a restart.
package func freePort() throws -> Int {
    for _ in 0..<200 {
        let port = Int.random(in: 15_000..<32_000)
        if isFree(port) { return port }
    }
    throw SupportError("no free port found on 127.0.0.1 between 15000 and 32000")
}

private func isFree(_ port: Int) -> Bool {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafeBytes(of: address) { bytes in
        bind(socket, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count)) == 0
    }
}
