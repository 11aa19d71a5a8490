// Goal: what a recorded history comes to in a real database is what the rules of the merge say, whatever the batches and
// wherever the work was taken up again. Method: random histories of both arms, written in random batches by clones that
// forget everything in between, against an oracle in memory. PERCH_TEST_SEED repeats one history.

import Glibc
import Merge
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

@Suite struct CloneHistoryTests {
    @Test func `Every stable write is in the clone and no other, column by column, batch by batch`() async throws {
        let seeds: [UInt64]
        if let text = getenv("PERCH_TEST_SEED"), let seed = UInt64(String(cString: text)) {
            seeds = [seed]
        } else {
            seeds = Array(1...120)
        }
        let server = try await PostgresServer.shared()
        let connection = try await Connection.open(ConnectionSettings(url: try await server.freshDatabase()))
        try await connection.execute(RandomHistory.schema)
        try await connection.execute(Replay.session)
        for seed in seeds {
            if let fault = try await fault(seed, connection) {
                Issue.record("seed \(seed): \(fault)")
                break
            }
        }
        await connection.close()
    }

    /// - Returns: the first law that did not hold.
    private func fault(_ seed: UInt64, _ connection: Connection) async throws -> String? {
        var history = RandomHistory(seed: seed)
        var policy = Policy.DataRollback()
        if seed % 2 == 1 { policy.columns["public.accounts"] = ["a": .follow] }
        if seed % 3 == 0 { policy.canaryRow = .drop }
        var oracle = CloneOracle(
            history.live, follows: seed % 2 == 1, dropsCanaryRows: policy.canaryRow == .drop)
        try await load(history.live, connection)
        var clone = try await MergedClone.open(connection, policy)
        for batch in 0..<10 {
            var transactions: [RecordedTransaction] = []
            repeat { transactions.append(history.transaction()) } while history.chance(60)
            for transaction in transactions { oracle.take(transaction) }
            if history.chance(25) { clone = try await MergedClone.open(connection, policy) }
            if history.chance(50) {
                try await clone.apply(transactions)
            } else {
                // The second half is merged while the first is written.
                let middle = transactions.count / 2
                try await clone.begin(Array(transactions[..<middle]))
                try await clone.begin(Array(transactions[middle...]))
                try await clone.finish()
            }
            if history.chance(10) { try await clone.apply(transactions) }
            guard oracle.live.mapValues(texts) == history.live.mapValues(texts) else { return "the oracle is wrong" }
            if let fault = try await difference(oracle, clone, connection) { return "batch \(batch): \(fault)" }
        }
        return nil
    }

    private func load(_ rows: [UInt32: Rows], _ connection: Connection) async throws {
        try await connection.execute(
            """
            TRUNCATE public.accounts, public.notes, public.log, public.orders;
            DROP SCHEMA IF EXISTS perch CASCADE;
            \(CloneState.creation(position: .zero))
            """)
        for relation in RandomHistory.all {
            for row in rows[relation.oid] ?? [] {
                let places = row.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
                _ = try await connection.queryPrepared(
                    "INSERT INTO public.\(relation.table) VALUES (\(places))", row.map(\.string))
            }
        }
    }

    private func texts(_ rows: Rows) -> [[String]] {
        rows.map { $0.map { $0.string ?? "" } }.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Clone against oracle, and the taints against what differs.
    private func difference(
        _ oracle: CloneOracle, _ clone: MergedClone, _ connection: Connection
    ) async throws -> String? {
        let tolerances = Tolerances(clone.engine, clone.schema)
        for relation in RandomHistory.all {
            let found = try await connection.queryPrepared("SELECT * FROM ONLY public.\(relation.table)")
            let rows = found.rows.map { $0.map { $0 ?? "" } }.sorted { $0.lexicographicallyPrecedes($1) }
            let expected = texts(oracle.clone[relation.oid] ?? [])
            guard rows == expected else { return "\(relation.table) is \(rows), not \(expected)" }
            let live = texts(oracle.live[relation.oid] ?? [])
            switch tolerances[TableName(relation)] {
            case .none: if live != rows { return "\(relation.table) differs without a taint" }
            case .keys(let excluded):
                for id in 1...6 {
                    let differs = live.first { $0[0] == "\(id)" } != rows.first { $0[0] == "\(id)" }
                    guard excluded.values.contains(["\(id)"]) == differs else {
                        return "\(relation.table) \(id): taint and difference are not the same"
                    }
                }
            case .copies(let copies):
                for row in Set(live).union(rows) {
                    let more = live.count { $0 == row } - rows.count { $0 == row }
                    guard copies[row, default: 0] == more else { return "\(relation.table) \(row): \(more) more" }
                }
            case .everything: break
            }
        }
        return nil
    }
}
