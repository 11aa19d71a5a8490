// A PostgreSQL server of the benchmark's own, and pgbench on it. Durable as by default, and large enough that no checkpoint
// falls into a measurement.

import Foundation
import Postgres
import PostgresSupport

struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

final class Stage: Sendable {
    let server: PostgresServer
    /// Journals and dumps; gone with ``remove()``.
    let folder: String

    init() async throws {
        server = try await PostgresServer.start(
            settings: [
                "shared_buffers": "512MB", "max_wal_size": "16GB", "checkpoint_timeout": "1h", "autovacuum": "off",
                // A server that has run for a while writes into recycled files.
                "max_replication_slots": "60", "wal_init_zero": "off",
            ], isDurable: true)
        folder = "\(FileManager.default.temporaryDirectory.path)/perch-bench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    func remove() {
        try? FileManager.default.removeItem(atPath: folder)
        server.remove()
    }

    // MARK: Databases

    /// Runs statements one by one, each by itself, and gives the last one's first value.
    @discardableResult
    func run(_ statements: String..., in database: String = "postgres") async throws -> String? {
        let connection = try await Connection.open(server.settings(database: database))
        var value: String?
        do {
            for statement in statements { value = try await connection.query(statement).scalar }
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
        return value
    }

    /// Everything written so far is on disk, so that no measurement pays for what went before it.
    func copy(_ database: String, as name: String) async throws {
        try await run("CREATE DATABASE \(name) TEMPLATE \(database)", "CHECKPOINT")
    }

    func drop(_ database: String) async throws { try await run("DROP DATABASE \(database) WITH (FORCE)") }

    /// Count and sum of hashes of all rows, a line a table.
    func contents(of tables: [String], in database: String) async throws -> [String] {
        var lines: [String] = []
        for table in tables {
            let sum = try await run(
                "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM \(table) t",
                in: database)
            lines.append("\(table) \(sum ?? "")")
        }
        return lines
    }

    // MARK: pgbench

    /// - Returns: what it printed.
    @discardableResult
    func pgbench(_ arguments: [String], on database: String, options: String = "") async throws -> String {
        let output = "\(folder)/pgbench-\(UUID().uuidString).log"
        let process = try ChildProcess(
            ["/usr/bin/env", "PGOPTIONS=\(options)", try Self.program()] + arguments + [server.url(database: database)],
            output: output)
        let status = await process.wait()
        let printed = try String(contentsOfFile: output, encoding: .utf8)
        guard status == 0 else { throw BenchError("pgbench ended with \(status): \(printed.suffix(500))") }
        return printed
    }

    /// Transactions of a workload, however fast the machine makes them.
    func generate(_ workload: Workload, _ transactions: Int, scale: Int, on database: String) async throws {
        var arguments = ["-n", "-c", "4", "-j", "1", "-t", "\(transactions / 4)"]
        if let script = workload.script {
            let path = "\(folder)/\(workload.rawValue).sql"
            try script.write(toFile: path, atomically: true, encoding: .utf8)
            arguments += ["-s", "\(scale)", "-f", path]
        }
        try await pgbench(arguments, on: database, options: "-c synchronous_commit=off")
    }

    private static func program() throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
        let programs = versions.sorted(by: >).map { "\(root)/\($0)/bin/pgbench" }
        guard let found = programs.first(where: FileManager.default.isExecutableFile) else {
            throw BenchError("no pgbench in \(root)\nhint: apt-get install postgresql-contrib")
        }
        return found
    }
}
