// Random histories of several worlds in one database, and the rewind of all of them: both arms write in one serial order,
// and what stable does is done again in a database that no canary ever wrote to.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases

@testable import Rewind

/// What a session learns from a statement.
enum RealOutcome: Equatable, Sendable {
    case rows([[String?]])
    /// SQLSTATE.
    case failed(String)
}

/// Runs transactions of one role, one after the other.
struct RealSession: Sendable {
    let connection: Connection

    init(_ settings: ConnectionSettings) async throws {
        connection = try await Connection.open(settings, answerTimeout: .seconds(60))
        // Nobody else writes while a transaction runs: whoever waits so long waits for its own harness.
        try await connection.execute("SET lock_timeout = '10s'")
    }

    func run(_ transaction: RealTransaction, in world: RealWorld) async throws -> [RealOutcome] {
        try await connection.execute("BEGIN; SET LOCAL search_path = \(world.name)")
        var outcomes: [RealOutcome] = []
        var answers: [String?] = []
        for statement in transaction.statements + ["COMMIT"] {
            var sql = statement
            for place in 1...2 {
                let answer = answers.indices.contains(place - 1) ? answers[place - 1] : nil
                sql = sql.replacingOccurrences(of: "{\(place)}", with: answer.map(quoteLiteral) ?? "NULL")
            }
            do {
                let result = try await connection.query(sql)
                if statement.hasPrefix("SELECT") { answers = result.rows.first ?? [] }
                outcomes.append(.rows(result.rows.sorted { "\($0)" < "\($1)" }))
            } catch {
                guard let state = error.sqlState else { throw error }
                outcomes.append(.failed(state))
            }
        }
        return outcomes
    }
}

/// A history's numbers.
struct RealTally: Sendable, CustomStringConvertible {
    var databases = 0
    var worlds = 0
    var transactions = 0
    var withoutDivergence = 0
    /// Without divergence, and nothing in the report: equal.
    var unreported = 0
    /// Worlds without divergence in which a row differed, was listed, and so was right to differ.
    var withListedDifferences = 0
    var ways: [String: Int] = [:]

    mutating func add(_ other: RealTally) {
        databases += other.databases
        worlds += other.worlds
        transactions += other.transactions
        withoutDivergence += other.withoutDivergence
        unreported += other.unreported
        withListedDifferences += other.withListedDifferences
        ways.merge(other.ways) { $0 + $1 }
    }

    var description: String {
        "\(worlds) in \(databases) databases, transactions \(transactions), without divergence \(withoutDivergence), of these "
            + "unreported and equal \(unreported), different as reported \(withListedDifferences); databases by way "
            + ways.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }
}

actor RealHistory {
    let seed: UInt64
    let worlds: [RealWorld]
    let snapshot: Policy.SnapshotMode
    let mode: Policy.DataRollback.Mode
    /// Worlds in which a statement of stable's went differently without the canary.
    private(set) var diverged: Set<Int> = []
    private(set) var transactions = 0
    /// What was done, for the report of a failure.
    private(set) var log: [String] = []
    private var random: SeededGenerator
    private var statements: [RealStatements]

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededGenerator(seed: seed)
        (snapshot, mode) = [(.dump, .swap), (.clone, .heal), (.dump, .heal), (.clone, .swap)][Int(seed % 4)]
        var worlds: [RealWorld] = []
        for number in 0..<(1 + random.below(8)) { worlds.append(RealWorld("w\(number)", &random)) }
        self.worlds = worlds
        statements = worlds.map { _ in RealStatements(SeededGenerator(seed: random.next())) }
        self.random = random
    }

    private struct Sessions: Sendable {
        let stable: RealSession
        let canary: RealSession
        let oracle: RealSession
    }

    /// - Returns: the history's numbers.
    /// - Throws: ``RealFailure`` when a promise was not kept.
    func play() async throws -> RealTally {
        let script = worlds.map(\.script).joined()
        var rules: [String: [String: Policy.DataRollback.ColumnRule]] = [:]
        for world in worlds { rules.merge(world.rules) { $1 } }
        let (mode, columns) = (mode, rules)
        let stage = try await Stage(script, snapshot: snapshot) {
            $0.mode = mode
            $0.columns = columns
        }
        let oracle = try ConnectionSettings(url: await stage.server.freshDatabase())
        let sessions = Sessions(
            stable: try await RealSession(
                stage.server.settings(database: stage.database, user: "shop_\(stage.database)")),
            canary: try await RealSession(
                stage.server.settings(database: stage.database, user: "canary_\(stage.database)")),
            oracle: try await RealSession(oracle))
        try await sessions.oracle.connection.execute(script)
        let initial = try await RealRows.read(worlds, oracle)

        for _ in 0..<(worlds.count * (6 + random.below(20))) { try await step(sessions, stableOnly: false) }
        let live = try await RealRows.read(worlds, stage.server.settings(database: stage.database))
        await sessions.canary.connection.close()
        let summary: RewindSummary
        do {
            summary = try await stage.data.rewind(
                release: stage.release, policy: stage.policy, gate: stage.gate, progress: { _ in }
            ) { place in
                // Stable goes on wherever no transaction of heal's is open and nobody is held.
                guard ["restore.loaded", "replay.done", "heal.pass", "heal.batch", "heal.group"].contains(place) else {
                    return
                }
                try await self.step(sessions, stableOnly: true)
            }
        } catch {
            throw failure("the rewind failed: \(error)")
        }
        for session in [sessions.stable, sessions.oracle] { await session.connection.close() }
        let result = try await RealRows.read(worlds, stage.server.settings(database: stage.database))
        if summary.mode == "heal" {
            let clone = try await RealRows.read(worlds, stage.server.settings(database: stage.restored))
            if let place = result.differences(clone).sorted().first {
                throw failure(
                    "after heal \(place) is \(result.shown(place)) in live, \(clone.shown(place)) in the clone")
            }
        }
        let check = RealCheck(
            worlds: worlds, result: result, alone: try await RealRows.read(worlds, oracle), others: [initial, live],
            quarantine: try await stage.quarantine())
        var tally = RealTally(databases: 1, worlds: worlds.count, transactions: transactions)
        tally.ways["\(snapshot)+\(summary.mode)"] = 1
        for world in worlds.indices where !diverged.contains(world) {
            tally.withoutDivergence += 1
            let verdict = check.judge(world)
            if let fault = verdict.fault { throw failure(fault, in: world) }
            if verdict.isUnreported { tally.unreported += 1 }
            if verdict.differs { tally.withListedDifferences += 1 }
        }
        try await stage.remove()
        let superuser = try await Connection.open(stage.server.settings())
        try await superuser.execute("DROP DATABASE \(oracle.database) WITH (FORCE)")
        await superuser.close()
        return tally
    }

    private func step(_ sessions: Sessions, stableOnly: Bool) async throws {
        let world = random.below(worlds.count)
        let transaction = statements[world].transaction(world, stableOnly: stableOnly)
        transactions += 1
        let session = transaction.isCanary ? sessions.canary : sessions.stable
        let outcomes = try await session.run(transaction, in: worlds[world])
        log.append(
            "w\(world) \(transaction.isCanary ? "canary" : "stable")\(stableOnly ? " late" : ""): "
                + zip(transaction.statements, outcomes).map { "\($0)  -- \($1)" }.joined(separator: "\n      ")
                + (outcomes.last == .rows([]) ? "" : "\n      COMMIT  -- \(outcomes.last!)"))
        guard !transaction.isCanary else { return }
        let alone = try await sessions.oracle.run(transaction, in: worlds[world])
        if alone != outcomes {
            diverged.insert(world)
            log[log.count - 1] += "\n      alone: \(alone)"
        }
    }

    private func failure(_ text: String, in world: Int? = nil) -> RealFailure {
        let lines = log.filter { line in world.map { line.hasPrefix("w\($0) ") } ?? true }
        return RealFailure(
            seed: seed,
            description: "seed \(seed), \(snapshot), \(mode): \(text)\n\(lines.suffix(60).joined(separator: "\n"))")
    }
}

struct RealFailure: Error, CustomStringConvertible {
    let seed: UInt64
    let description: String
}
