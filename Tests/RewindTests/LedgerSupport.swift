// A service under load whose customers keep a ledger of what was acknowledged, and what must be found after the rewind.

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

final class Ledger: Sendable {
    private let acknowledged = Mutex<Set<String>>([])
    private let stopped = Atomic<Bool>(false)

    func add(_ id: String) { acknowledged.withLock { _ = $0.insert(id) } }
    var ids: Set<String> { acknowledged.withLock { $0 } }
    func stop() { stopped.store(true, ordering: .relaxed) }
    var isRunning: Bool { !stopped.load(ordering: .relaxed) }
}

private struct LedgerWriter {
    let stage: Stage
    let ledger: Ledger
    let name: String
    let user: String
    let accounts: ClosedRange<Int>
    var random: SeededGenerator
    /// Behind each transaction.
    var pause = Duration.zero

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
                    if pause > .zero { try? await Task.sleep(for: pause) }
                } catch {
                    await stage.gate.leave()
                    break
                }
            }
            await connection.close()
        }
    }
}

/// Writers of both arms, and a rewind in their midst.
struct LedgerPlay: Sendable {
    /// Acknowledged writes that are waited for at each stage of the play.
    struct Load: Sendable {
        var stable = 150
        var canary = 50
        var more = 50
        /// Of each session, between its transactions.
        var pause = Duration.zero
        static let short = Load(stable: 60, canary: 20, more: 15, pause: .milliseconds(8))
    }

    let seed: UInt64
    let stage: Stage
    let stable = Ledger()
    let canary = Ledger()

    init(
        seed: UInt64, on server: PostgresServer, _ mode: Policy.DataRollback.Mode, _ snapshot: Policy.SnapshotMode
    ) async throws {
        self.seed = seed
        stage = try await Stage(schema, on: server, snapshot: snapshot) {
            $0.columns = ["public.accounts": ["balance": .add]]
            $0.mode = mode
        }
    }

    /// - Returns: what `rewind` returned.
    func run<Value: Sendable>(_ load: Load = Load(), _ rewind: (Stage) async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let (stage, stable, canary, seed) = (stage, stable, canary, seed)
            for number in 1...3 {
                group.addTask {
                    var writer = LedgerWriter(
                        stage: stage, ledger: stable, name: "s\(number)", user: "shop_\(stage.database)",
                        accounts: 1...200, random: SeededGenerator(seed: seed &+ UInt64(number)), pause: load.pause)
                    await writer.run(givesUp: false)
                }
            }
            for number in 1...2 {
                group.addTask {
                    var writer = LedgerWriter(
                        stage: stage, ledger: canary, name: "c\(number)", user: "canary_\(stage.database)",
                        accounts: 1...20, random: SeededGenerator(seed: seed &+ UInt64(100 + number)),
                        pause: load.pause)
                    await writer.run(givesUp: true)
                }
            }
            // Writers end with the group's body, also when it throws.
            defer {
                stable.stop()
                canary.stop()
            }
            try await waitUntil { stable.ids.count > load.stable && canary.ids.count > load.canary }
            try await stage.data.fenceCanary(release: stage.release, policy: stage.policy)
            let before = stable.ids.count
            try await waitUntil { stable.ids.count > before + load.more }
            let value = try await rewind(stage)
            let after = stable.ids.count
            try await waitUntil { stable.ids.count > after + load.more }
            return value
        }
    }

    /// Accounts that do not hold what they began with and every move of live, exactly.
    private func wrongBalances() async throws -> [String] {
        try await stage.rows(
            """
            SELECT a.id, a.balance, 1000 + coalesce(sum(m.amount), 0) FROM accounts a
            LEFT JOIN moves m ON m.account = a.id
            GROUP BY a.id, a.balance HAVING a.balance <> 1000 + coalesce(sum(m.amount), 0)
            """)
    }

    /// - Returns: what is wrong after a rewind that said it is done.
    func faultsWhenDone(_ data: PostgresData? = nil) async throws -> [String] {
        let quarantine = try await (data ?? stage.data).quarantine(release: stage.release)
        let live = Set(try await stage.rows("SELECT id FROM moves"))
        let outside = quarantine.compactMap { $0.table == "public.moves" ? $0.row?["id"] ?? nil : nil }
        var faults: [String] = []
        func require(_ what: String, _ found: some Collection<String>) {
            if !found.isEmpty { faults.append("\(what): \(found.sorted().prefix(5)) of \(found.count)") }
        }
        require("stable's acknowledged and lost", stable.ids.subtracting(live))
        require("stable's in quarantine", outside.filter { $0.hasPrefix("s") })
        require("canary's in live", live.filter { $0.hasPrefix("c") })
        require("canary's acknowledged and not in quarantine", canary.ids.subtracting(outside))
        require("notes of the canary's", try await stage.rows("SELECT id FROM accounts WHERE note LIKE 'c%'"))
        require("balances", try await wrongBalances())
        return faults
    }

    /// - Parameter mode: of the rewind; one that heals may have begun.
    /// - Returns: what is wrong after a rewind that said it cannot.
    func faultsWhenHalted(_ mode: Policy.DataRollback.Mode) async throws -> [String] {
        let live = Set(try await stage.rows("SELECT id FROM moves"))
        var faults: [String] = []
        if !stable.ids.isSubset(of: live) { faults.append("stable's lost: \(stable.ids.subtracting(live).sorted())") }
        if mode == .swap {
            if !canary.ids.isSubset(of: live) { faults.append("live was touched") }
            faults += try await wrongBalances()
        }
        return faults
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
