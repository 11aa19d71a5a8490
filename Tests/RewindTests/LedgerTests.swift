// Goal: no acknowledged stable write is lost or applied twice, no canary write is left. Method: sessions of both arms write
// moves between accounts at the same time and keep a ledger of what was acknowledged; the rewind runs under that load, with
// and without a crash of PostgreSQL; then every entry is looked for, and every balance must be right to the unit. PERCH_TEST_SEED repeats the choice of accounts.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Synchronization
import Testing

@testable import Rewind

private let schema = """
    CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL, note text);
    CREATE TABLE moves (
        id text PRIMARY KEY, account int NOT NULL REFERENCES accounts, amount int NOT NULL, xid text NOT NULL);
    INSERT INTO accounts SELECT n, 1000, 'as it was' FROM generate_series(1, 200) n;
    """

private final class Ledger: Sendable {
    private let acknowledged = Mutex<Set<String>>([])
    private let stopped = Atomic<Bool>(false)

    func add(_ id: String) { acknowledged.withLock { _ = $0.insert(id) } }
    var ids: Set<String> { acknowledged.withLock { $0 } }
    func stop() { stopped.store(true, ordering: .relaxed) }
    var isRunning: Bool { !stopped.load(ordering: .relaxed) }
}

private struct Writer {
    let stage: Stage
    let ledger: Ledger
    let name: String
    let user: String
    let accounts: ClosedRange<Int>
    var random: SeededGenerator

    /// Writes until the ledger stops or, for the canary, until its role may not connect any more.
    mutating func run(givesUp: Bool) async {
        var number = 0
        while ledger.isRunning {
            guard
                let connection = try? await Connection.open(
                    stage.server.settings(database: stage.database, user: user), timeout: .seconds(2))
            else {
                if givesUp { return }
                try? await Task.sleep(for: .milliseconds(5))
                continue
            }
            while ledger.isRunning {
                guard await stage.gate.enter() else {
                    try? await Task.sleep(for: .milliseconds(2))
                    continue
                }
                number += 1
                let id = "\(name)-\(number)"
                let account = Int.random(in: accounts, using: &random)
                let amount = Int.random(in: 1...9, using: &random)
                do {
                    _ = try await connection.pipeline([
                        ("BEGIN", []),
                        (
                            "INSERT INTO moves VALUES ($1, $2::int, $3::int, pg_current_xact_id()::text)",
                            [id, "\(account)", "\(amount)"]
                        ),
                        (
                            "UPDATE accounts SET balance = balance + $1::int, note = $3 WHERE id = $2::int",
                            ["\(amount)", "\(account)", name]
                        ),
                    ])
                    _ = try await connection.query("COMMIT")
                    ledger.add(id)
                    await stage.gate.leave()
                } catch {
                    await stage.gate.leave()
                    break
                }
            }
            await connection.close()
        }
    }
}

@Suite(.serialized) struct LedgerTests {
    /// Crashes, so nobody else uses it.
    private static let server = Task { try await PostgresServer.start() }

    @Test func `Under load, every acknowledged write is where it belongs`() async throws {
        try await play { stage in try await stage.rewind() }
    }

    @Test func `Also when PostgreSQL crashes on the way`() async throws {
        try await play { stage in
            await #expect(throws: Failure.self) {
                try await stage.rewind(at: "replay.done") {
                    try await stage.server.stop(.immediate)
                    try await stage.server.start()
                    throw EndOfTheWorld()
                }
            }
            return try await stage.rewind()
        }
    }

    @Test func `Also when Perch falls silent with live closed`() async throws {
        try await play { stage in
            await #expect(throws: Failure.self) {
                try await stage.rewind(at: "switch.tail") {
                    try await stage.silencePerch()
                    throw EndOfTheWorld()
                }
            }
            try await stage.letPerchSpeak()
            return try await stage.rewind()
        }
    }

    @Test(arguments: [Policy.SnapshotMode.dump, .clone])
    func `Healed under load, every acknowledged write is where it belongs`(snapshot: Policy.SnapshotMode) async throws {
        try await play(.heal, snapshot) { stage in
            let summary = try await stage.rewind()
            #expect(summary.mode == "heal" && summary.rowsHealed >= 50)
            #expect(await stage.gate.calls == [])
            return summary
        }
    }

    @Test(arguments: ["heal.pass", "heal.batch", "heal.group", "heal.occupied", "heal.done"])
    func `Healed although PostgreSQL crashes on the way`(place: String) async throws {
        try await play(.heal) { stage in
            await #expect(throws: Failure.self) {
                try await stage.rewind(at: place) {
                    try await stage.server.stop(.immediate)
                    try await stage.server.start()
                    throw EndOfTheWorld()
                }
            }
            return try await stage.rewind()
        }
    }

    private func play(
        _ mode: Policy.DataRollback.Mode = .swap, _ snapshot: Policy.SnapshotMode = .dump,
        _ rewind: (Stage) async throws -> RewindSummary
    ) async throws {
        let seed =
            ProcessInfo.processInfo.environment["PERCH_TEST_SEED"].flatMap { UInt64($0) } ?? .random(in: 1...9999)
        let stage = try await Stage(schema, on: Self.server.value, snapshot: snapshot) {
            $0.columns = ["public.accounts": ["balance": .add]]
            $0.mode = mode
        }
        let (stable, canary) = (Ledger(), Ledger())
        let summary = try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...3 {
                group.addTask {
                    var writer = Writer(
                        stage: stage, ledger: stable, name: "s\(number)", user: "shop_\(stage.database)",
                        accounts: 1...200, random: SeededGenerator(seed: seed &+ UInt64(number)))
                    await writer.run(givesUp: false)
                }
            }
            for number in 1...2 {
                group.addTask {
                    var writer = Writer(
                        stage: stage, ledger: canary, name: "c\(number)", user: "canary_\(stage.database)",
                        accounts: 1...20, random: SeededGenerator(seed: seed &+ UInt64(100 + number)))
                    await writer.run(givesUp: true)
                }
            }
            // Writers end with the group's body, also when it throws.
            defer {
                stable.stop()
                canary.stop()
            }
            try await waitUntil { stable.ids.count > 150 && canary.ids.count > 50 }
            try await stage.data.fenceCanary(release: stage.release, policy: stage.policy)
            let before = stable.ids.count
            try await waitUntil { stable.ids.count > before + 50 }
            let summary = try await rewind(stage)
            let after = stable.ids.count
            try await waitUntil { stable.ids.count > after + 50 }
            return summary
        }
        try await check(stage, summary, stable: stable.ids, canary: canary.ids, seed)
    }

    private func check(
        _ stage: Stage, _ summary: RewindSummary, stable: Set<String>, canary: Set<String>, _ seed: UInt64
    ) async throws {
        let quarantine = try await stage.quarantine()
        let live = try await stage.rows("SELECT id FROM moves")
        let outside = quarantine.compactMap { $0.table == "public.moves" ? $0.row?["id"] ?? nil : nil }
        #expect(stable.subtracting(live) == [], "lost; seed \(seed)")
        #expect(outside.filter { $0.hasPrefix("s") } == [], "stable's in quarantine; seed \(seed)")
        #expect(live.filter { $0.hasPrefix("c") } == [], "canary's in live; seed \(seed)")
        #expect(canary.subtracting(outside) == [], "canary's not in quarantine; seed \(seed)")
        #expect(try await stage.rows("SELECT DISTINCT note FROM accounts WHERE note LIKE 'c%'") == [])

        // An account holds what it began with and every stable move, exactly.
        let wrong = try await stage.rows(
            """
            SELECT a.id, a.balance, 1000 + coalesce(sum(m.amount), 0) FROM accounts a
            LEFT JOIN moves m ON m.account = a.id
            GROUP BY a.id, a.balance HAVING a.balance <> 1000 + coalesce(sum(m.amount), 0)
            """)
        #expect(wrong == [], "balances; seed \(seed)")
        #expect(summary.canaryTransactionsKeptOut >= canary.count && summary.tablesVerified == 2)
        #expect(summary.rowsVerified > 180 && summary.rowsMerged > 0)
    }
}

/// - Throws: after 60 seconds.
private func waitUntil(_ condition: () -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while !condition() {
        guard ContinuousClock.now < end else { throw Failure("nothing happens") }
        try await Task.sleep(for: .milliseconds(10))
    }
}
