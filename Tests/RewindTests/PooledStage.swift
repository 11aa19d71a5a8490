// A stage whose service reaches its database through PgBouncer, and clients that write through it.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Synchronization
import Testing

@testable import Rewind

final class PooledStage: Sendable {
    let stage: Stage
    let pooler: PgBouncerServer
    let policy: Policy

    static let schema = """
        CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL DEFAULT 0);
        CREATE TABLE moves (id serial PRIMARY KEY, client int NOT NULL, number int NOT NULL);
        INSERT INTO accounts SELECT n, n FROM generate_series(1, 20) n;
        """

    /// - Parameter freeze: how long a switch may take.
    init(freeze: Span = .seconds(10), settings: [String: String] = [:]) async throws {
        stage = try await Stage(Self.schema) { $0.freeze = freeze }
        let database = stage.database
        pooler = try await PgBouncerServer.start(
            before: stage.server, database: database, users: ["shop_\(database)", "canary_\(database)"],
            settings: settings)
        policy = try Self.policy(of: stage, console: pooler.console())
        try await stage.canary("UPDATE accounts SET balance = -1 WHERE id = 7")
    }

    static func policy(of stage: Stage, console: ConnectionSettings) throws -> Policy {
        var policy = stage.policy
        let path = "\(stage.folder)/console-\(console.user).url"
        try console.url.write(toFile: path, atomically: true, encoding: .utf8)
        policy.database?.pgbouncer = Policy.PgBouncer(adminURL: .file(path))
        return policy
    }

    @discardableResult
    func rewind(at place: String? = nil, _ fault: (@Sendable () async throws -> Void)? = nil) async throws
        -> RewindSummary
    {
        try await stage.data.rewind(
            release: stage.release, policy: policy, gate: stage.gate, progress: { _ in }
        ) { if $0 == place { try await fault?() } }
    }

    /// A session of the service's, which PgBouncer answers.
    func client() async throws -> Connection {
        try await Connection.open(
            pooler.settings(database: stage.database, user: "shop_\(stage.database)"), answerTimeout: .seconds(60))
    }

    func expect(isPaused: Bool) async throws {
        let console = try await Connection.open(pooler.console())
        let result = try await console.simpleQuery("SHOW DATABASES")
        await console.close()
        let row = try #require(result.rows.firstIndex { $0.first == stage.database })
        #expect(result[row, "paused"] == (isPaused ? "1" : "0"))
    }

    /// What canary and stable did besides: its write is out, all others are in.
    func expectTheSwitched() async throws {
        #expect(try await stage.rows("SELECT balance FROM accounts WHERE id = 7") == ["7"])
        #expect(try await stage.databases() == ["\(stage.database)|t", "\(stage.previous)|t"])
    }
}

/// A client of the service's that writes row after row, each a transaction, and remembers how it went.
final class PooledWriter: Sendable {
    struct Experience: Sendable {
        /// Rows that the server said it has.
        var acknowledged = 0
        var errors: [String] = []
        /// Longest time a write took.
        var longest = Duration.zero
    }

    private let number: Int
    private let state = Mutex((experience: Experience(), isOver: false))
    private let work = Mutex<Task<Void, Never>?>(nil)

    var experience: Experience { state.withLock(\.experience) }

    init(_ number: Int, through connection: Connection) {
        self.number = number
        work.withLock { work in
            work = Task { [self] in
                while !state.withLock(\.isOver) {
                    await write(connection)
                    try? await Task.sleep(for: .milliseconds(2))
                }
                await connection.close()
            }
        }
    }

    private func write(_ connection: Connection) async {
        let next = experience.acknowledged + 1
        let begin = ContinuousClock.now
        var reason: String?
        do {
            _ = try await connection.query(
                "INSERT INTO moves (client, number) VALUES ($1, $2)", ["\(number)", "\(next)"])
        } catch {
            reason = "\(error)"
        }
        let took = ContinuousClock.now - begin
        state.withLock { state in
            if let reason { state.experience.errors.append(reason) } else { state.experience.acknowledged += 1 }
            state.experience.longest = max(state.experience.longest, took)
        }
    }

    func stop() async {
        state.withLock { $0.isOver = true }
        await work.withLock { $0 }?.value
    }
}
