// A service's database under a release: a server, two roles, a snapshot, a running recording, a gate that remembers. What
// the tests of the rewind play on.

import Foundation
import Logging
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

/// Remembers what it was asked for, and holds whoever asks it.
actor FakeGate: SwitchGate {
    private(set) var calls: [String] = []
    private(set) var isHeld = false
    private var inFlight = 0
    private let refusal: Failure?

    init(refusing refusal: Failure? = nil) { self.refusal = refusal }

    func hold(deadline: Span) async throws(Failure) {
        calls.append("hold")
        if let refusal { throw refusal }
        isHeld = true
        let end = ContinuousClock.now + deadline.duration
        while inFlight > 0 {
            guard ContinuousClock.now < end else { throw Failure("requests do not end", isTransient: true) }
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    func reconnect() { calls.append("reconnect") }

    func letGo() {
        calls.append("letGo")
        isHeld = false
    }

    /// - Returns: false while requests are held.
    func enter() -> Bool {
        guard !isHeld else { return false }
        inFlight += 1
        return true
    }

    func leave() { inFlight -= 1 }
}

/// What a test throws at a fault point.
struct EndOfTheWorld: Error {}

final class Stage: Sendable {
    let server: PostgresServer
    let database: String
    /// Different for each database of a server, which shares its slots' names.
    let release: ReleaseID
    let folder: String
    let policy: Policy
    let data: PostgresData
    let gate = FakeGate()
    private let adminRole: String
    private let stableRole: String
    private let canaryRole: String

    /// Serves stages side by side, each with a dozen sessions.
    private static let common = Task {
        try await PostgresServer.start(settings: [
            "max_connections": "400", "max_wal_senders": "80", "max_replication_slots": "80",
        ])
    }

    /// Makes the database with `schema` and `rows`, takes the snapshot and starts to record.
    ///
    /// - Parameter server: one of its own for tests that stop it.
    init(
        _ schema: String, on server: PostgresServer? = nil, snapshot: Policy.SnapshotMode = .dump,
        change: @Sendable (inout Policy.DataRollback) -> Void = { _ in }
    ) async throws {
        self.server = if let server { server } else { try await Self.common.value }
        let server = self.server
        database = try ConnectionSettings(url: try await server.freshDatabase()).database
        release = ReleaseID(
            service: ServiceName(rawValue: "shop")!, number: Int(database.split(separator: "_")[1]) ?? 1)
        (adminRole, stableRole, canaryRole) = ("perch_\(database)", "shop_\(database)", "canary_\(database)")
        let superuser = try await Connection.open(server.settings(database: database))
        try await superuser.execute(
            """
            CREATE ROLE \(adminRole) SUPERUSER LOGIN;
            CREATE ROLE \(stableRole) LOGIN;
            CREATE ROLE \(canaryRole) LOGIN IN ROLE \(stableRole);
            ALTER DATABASE \(database) OWNER TO \(stableRole);
            ALTER SCHEMA public OWNER TO \(stableRole);
            SET ROLE \(stableRole);
            \(schema)
            """)
        await superuser.close()
        folder = "\(FileManager.default.temporaryDirectory.path)/perch-rewind-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        policy = try Self.policy(folder, server, database, snapshot, change)
        data = Self.postgresData(folder)
        _ = try await data.snapshot(release: release, policy: policy) { _ in }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    static func postgresData(_ folder: String) -> PostgresData {
        PostgresData(
            dataFolder: folder,
            secrets: { secret throws(Failure) in
                guard case .file(let path) = secret, let url = try? String(contentsOfFile: path, encoding: .utf8) else {
                    throw Failure("no secret \(secret)")
                }
                return url
            }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private static func policy(
        _ folder: String, _ server: PostgresServer, _ database: String, _ snapshot: Policy.SnapshotMode,
        _ change: (inout Policy.DataRollback) -> Void
    ) throws -> Policy {
        func secret(_ name: String, _ user: String) throws -> Secret {
            let path = "\(folder)/\(name).url"
            try server.url(database: database, user: user).write(toFile: path, atomically: true, encoding: .utf8)
            return .file(path)
        }
        var settings = Policy.Database(
            url: try secret("stable", "shop_\(database)"), adminURL: try secret("admin", "perch_\(database)"),
            canaryRole: "canary_\(database)")
        settings.snapshot = snapshot
        change(&settings.rollback)
        return Policy(
            service: ServiceName(rawValue: "shop")!, source: .init(repository: folder),
            platform: .init(process: .init(command: ["true"])), traffic: .init(listen: "127.0.0.1:0"),
            cohort: .init(steps: []), database: settings)
    }

    // MARK: What the arms do

    /// Statements of one transaction of stable.
    func stable(_ script: String) async throws { try await run(script, as: stableRole) }
    /// Statements of one transaction of the canary.
    func canary(_ script: String) async throws { try await run(script, as: canaryRole) }

    /// Statements of one transaction of somebody else: the server's superuser.
    func neither(_ script: String) async throws {
        let connection = try await Connection.open(server.settings(database: database))
        defer { Task { await connection.close() } }
        try await connection.execute(script)
    }

    private func run(_ script: String, as user: String) async throws {
        let connection = try await Connection.open(server.settings(database: database, user: user))
        defer { Task { await connection.close() } }
        try await connection.execute(script)
    }

    /// Rows of what is live now, columns joined with `|`.
    func rows(_ query: String, in database: String? = nil) async throws -> [String] {
        let connection = try await Connection.open(server.settings(database: database ?? self.database))
        let result = try await connection.query(query)
        await connection.close()
        return result.rows.map { $0.map { $0 ?? "NULL" }.joined(separator: "|") }
    }

    // MARK: The rewind

    @discardableResult
    func rewind(
        with data: PostgresData? = nil, at place: String? = nil, _ fault: (@Sendable () async throws -> Void)? = nil
    ) async throws -> RewindSummary {
        let data = data ?? self.data
        let used = Used()
        return try await data.rewind(release: release, policy: policy, gate: gate, progress: { _ in }) { name in
            guard name == place, await used.first() else { return }
            try await fault?()
        }
    }

    func quarantine() async throws -> [QuarantinedChange] { try await data.quarantine(release: release) }

    var restored: String { DatabaseNames(live: database, release: release).restored }
    var previous: String { DatabaseNames(live: database, release: release).previous }

    /// As if Perch had died: its sessions are gone, and it cannot undo anything because it cannot come back.
    func silencePerch() async throws {
        let connection = try await Connection.open(server.settings())
        try await connection.execute("ALTER ROLE \(adminRole) NOLOGIN")
        _ = try await connection.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [adminRole])
        await connection.close()
    }

    func letPerchSpeak() async throws {
        let connection = try await Connection.open(server.settings())
        try await connection.execute("ALTER ROLE \(adminRole) LOGIN")
        await connection.close()
    }

    /// Leaves nothing of the stage on the server: long runs would use up its slots.
    func remove(_ data: PostgresData? = nil) async throws {
        await (data ?? self.data).stopRecording()
        let connection = try await Connection.open(server.settings())
        for name in try await databases().map({ $0.prefix { $0 != "|" } }) {
            // A slot whose reader has not quite gone is in the way for a moment.
            try await eventually("\(name) is dropped") {
                (try? await connection.query("DROP DATABASE \(name) WITH (FORCE)")) != nil
            }
        }
        try await connection.execute("DROP ROLE \(canaryRole), \(stableRole), \(adminRole)")
        await connection.close()
    }

    /// Databases of this stage's name with whether they take connections.
    func databases() async throws -> [String] {
        try await rows(
            "SELECT datname, datallowconn FROM pg_database WHERE datname ~ '^\(database)($|_)' ORDER BY 1",
            in: "postgres")
    }
}

private actor Used {
    private var isUsed = false
    /// True once.
    func first() -> Bool {
        defer { isUsed = true }
        return !isUsed
    }
}
