// A service's database with its three roles, and what a recording of it holds. What the tests of the recording half play on.

import Foundation
import Logging
import Ports
import Postgres
import PostgresSupport
import Releases
import SystemPackage
import Testing

@testable import Rewind

/// A folder that is gone when the test is.
final class TemporaryFolder: Sendable {
    let path: FilePath

    init() throws {
        path = FilePath("/tmp/perch-rewind-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            atPath: path.string, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path.string) }
}

/// Database, roles and data folder; nothing of Perch's is in the database at first.
struct RecordedService: Sendable {
    let server: PostgresServer
    let database: String
    let release: ReleaseID
    let dataFolder: TemporaryFolder
    var policy: Policy

    /// Perch's role; a superuser.
    var adminRole: String { "rp_\(database)" }
    /// Owns the database and everything in it.
    var stableRole: String { "rs_\(database)" }
    /// Member of the stable role.
    var canaryRole: String { "rc_\(database)" }

    /// - Parameters:
    ///   - schema: a script, run as the stable role.
    ///   - budget: of the recording, in bytes.
    init(_ schema: String, server given: PostgresServer? = nil, budget: Int64 = 1 << 30) async throws {
        let server: PostgresServer
        if let given { server = given } else { server = try await PostgresServer.shared() }
        let database = try ConnectionSettings(url: try await server.freshDatabase()).database
        let superuser = try await Connection.open(server.settings(database: database))
        try await superuser.execute(
            """
            CREATE ROLE rp_\(database) SUPERUSER LOGIN;
            CREATE ROLE rs_\(database) LOGIN;
            CREATE ROLE rc_\(database) LOGIN IN ROLE rs_\(database);
            ALTER DATABASE \(database) OWNER TO rs_\(database);
            ALTER SCHEMA public OWNER TO rs_\(database);
            SET ROLE rs_\(database);
            \(schema)
            """)
        await superuser.close()
        self.server = server
        self.database = database
        release = ReleaseID(
            service: ServiceName(rawValue: "rec")!, number: Int(database.split(separator: "_")[1]) ?? 1)
        dataFolder = try TemporaryFolder()
        var settings = Policy.Database(
            url: .environment("rs_\(database)"), adminURL: .environment("rp_\(database)"), canaryRole: "rc_\(database)")
        settings.recordingBudgetBytes = budget
        policy = Policy(
            service: release.service, source: .init(repository: "/nowhere"),
            platform: .init(process: .init(command: ["true"])), traffic: .init(listen: "127.0.0.1:0"),
            cohort: .init(steps: []), database: settings)
    }

    var folder: ReleaseFolder { ReleaseFolder(dataFolder: dataFolder.path.string, release: release) }
    var admin: ConnectionSettings { server.settings(database: database, user: adminRole) }

    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// As a daemon would have it that has just started.
    func data() -> PostgresData {
        let (server, database) = (server, database)
        return PostgresData(
            dataFolder: dataFolder.path.string,
            secrets: { secret throws(Failure) in
                guard case .environment(let role) = secret else { throw Failure("no secret \(secret)") }
                return server.url(database: database, user: role)
            }, logger: Self.quiet)
    }

    /// Takes the snapshot with a `data()` of its own.
    func recording() async throws -> PostgresData {
        let data = data()
        _ = try await data.snapshot(release: release, policy: policy) { _ in }
        return data
    }

    func snapshotRun(slotLimit: Duration = .seconds(20)) -> SnapshotRun {
        SnapshotRun(
            release: release, canaryRole: canaryRole, folder: folder, admin: admin,
            recorderSettings: .init(budgetBytes: 1 << 30), limits: .init(slot: slotLimit), logger: Self.quiet,
            progress: { _ in })
    }

    // MARK: Sessions

    func session(_ role: String) async throws -> Connection {
        try await Connection.open(server.settings(database: database, user: role), answerTimeout: .seconds(60))
    }

    /// Runs a script in a session of its own; without BEGIN in it, one transaction.
    func run(_ script: String, as role: String) async throws {
        let connection = try await session(role)
        do {
            try await connection.execute(script)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    func stable(_ script: String) async throws { try await run(script, as: stableRole) }
    func canary(_ script: String) async throws { try await run(script, as: canaryRole) }
    func superuser(_ script: String) async throws { try await run(script, as: adminRole) }

    func ask(_ sql: String, _ parameters: [String?] = []) async throws -> QueryResult {
        let connection = try await session(adminRole)
        let result = try await connection.query(sql, parameters)
        await connection.close()
        return result
    }

    // MARK: What was recorded

    /// Everything that committed before this was called.
    func recorded(_ data: PostgresData) async throws -> [RecordedTransaction] {
        let session = try await session(adminRole)
        let barrier = try await Barrier.commit(release, on: session)
        await session.close()
        let recorder = try #require(data.recorder(of: release))
        try await recorder.awaitDurable(barrier, timeout: .seconds(30))
        var reader = try JournalReader(folder: folder.journal)
        var all: [RecordedTransaction] = []
        try await reader.forEachTransaction(upTo: barrier) { all.append($0) }
        return all
    }

    /// What Perch has put into the server for this release, a name each.
    func traces() async throws -> [String] {
        try await ask(
            """
            select 'slot ' || slot_name from pg_replication_slots where slot_name = $1
            union all select 'publication ' || pubname from pg_publication where pubname ~ '^perch_'
            union all select 'trigger ' || tgname from pg_trigger where tgname ~ '^perch_'
            union all select 'event trigger ' || evtname from pg_event_trigger where evtname ~ '^perch_'
            union all select 'schema ' || nspname from pg_namespace where nspname = 'perch'
            """, ["perch_\(release.sqlName)"]
        ).rows.compactMap { $0[0] }
    }
}

/// Asks again until it holds.
func eventually(
    within limit: Duration = .seconds(20), _ what: Comment, _ holds: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while try await !holds() {
        guard ContinuousClock.now < end else {
            Issue.record(what)
            throw EndOfPatience()
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

struct EndOfPatience: Error {}

extension RecordedTransaction {
    /// The first column of every row it inserted into `table`.
    func inserted(into table: String) -> [String] {
        changes.compactMap { change in
            guard case .insert(let relation, let new) = change, relation.table == table else { return nil }
            return new.first?.string
        }
    }
}

/// Replays a recording the plain way, a statement a change: the measure for everything cleverer.
struct PlainReplay {
    let connection: Connection

    func apply(_ transaction: RecordedTransaction) async throws {
        for change in transaction.changes {
            switch change {
            case .insert(let relation, let new):
                let names = relation.columns.map { quoteIdentifier($0.name) }.joined(separator: ", ")
                let places = relation.columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
                try await expectOne("insert into \(name(relation)) (\(names)) values (\(places))", new.map(\.string))
            case .update(let relation, let old, let new):
                let present = zip(relation.columns, new).filter { $0.1 != .unchangedToast }
                let sets = present.enumerated().map { "\(quoteIdentifier($1.0.name)) = $\($0 + 1)" }
                let (condition, key) = key(relation, old?.values ?? new, after: present.count)
                try await expectOne(
                    "update \(name(relation)) set \(sets.joined(separator: ", ")) where \(condition)",
                    present.map(\.1.string) + key)
            case .delete(let relation, let old):
                let (condition, key) = key(relation, old.values, after: 0)
                try await expectOne("delete from \(name(relation)) where \(condition)", key)
            case .truncate(let relations, _, _):
                _ = try await connection.query("truncate \(relations.map(name).joined(separator: ", "))")
            }
        }
    }

    private func expectOne(_ sql: String, _ parameters: [String?]) async throws {
        let result = try await connection.queryPrepared(sql, parameters)
        #expect(result.affected == 1, "\(sql) of \(parameters)")
    }

    private func name(_ relation: RelationDefinition) -> String {
        "\(quoteIdentifier(relation.schema)).\(quoteIdentifier(relation.table))"
    }

    private func key(
        _ relation: RelationDefinition, _ values: [TupleValue], after count: Int
    ) -> (String, [String?]) {
        let keys = zip(relation.columns, values).filter(\.0.isKey)
        let conditions = keys.enumerated().map { "\(quoteIdentifier($1.0.name)) = $\(count + $0 + 1)" }
        return (conditions.joined(separator: " and "), keys.map(\.1.string))
    }
}
