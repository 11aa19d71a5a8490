// Goal: no acknowledged stable write is lost or applied twice, no canary write is left. Method: sessions of both arms write
// moves between accounts at the same time and keep a ledger of what was acknowledged; the rewind runs under that load, with
// and without a crash of PostgreSQL; then every entry is looked for, and every balance must be right to the unit. PERCH_TEST_SEED repeats the choice of accounts.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

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
        let seed = TestLength.seed ?? .random(in: 1...9999)
        let play = try await LedgerPlay(seed: seed, on: Self.server.value, mode, snapshot)
        let summary = try await play.run { try await rewind($0) }
        #expect(try await play.faultsWhenDone() == [], "seed \(seed)")
        #expect(summary.canaryTransactionsKeptOut >= play.canary.ids.count && summary.tablesVerified == 2)
        #expect(summary.rowsVerified > 180 && summary.rowsMerged > 0)
    }
}
