// Goal: a rewind that ends anywhere leaves live usable, and asked for again comes to the same end. Method: at each named
// place a step fails, Perch falls silent, or PostgreSQL crashes; then more writes, then the rewind again.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

private let schema = """
    CREATE TABLE accounts (id serial PRIMARY KEY, owner text UNIQUE, balance int NOT NULL DEFAULT 0);
    CREATE TABLE moves (id serial PRIMARY KEY, account int REFERENCES accounts, amount int);
    INSERT INTO accounts (owner, balance) SELECT 'owner' || n, n FROM generate_series(1, 20) n;
    """

private let beforeSwitch = [
    "restore.created", "restore.loaded", "restore.marked", "replay.batch", "replay.done", "switch.hold",
    "switch.fenced",
    "switch.barrier", "switch.tail", "switch.sequences", "switch.verified", "switch.closed", "switch.renaming",
]
private let afterSwitch = ["switch.renamed", "switch.letGo"]

private func write(_ stage: Stage) async throws {
    try await stage.stable("UPDATE accounts SET balance = balance + 100 WHERE id <= 3")
    try await stage.canary("INSERT INTO accounts (id, owner, balance) VALUES (90, 'canary', 9)")
    try await stage.canary("UPDATE accounts SET balance = -5, owner = 'taken' || id WHERE id IN (3, 4)")
    // Account 4 still has that owner without the canary.
    try await stage.stable("INSERT INTO accounts (id, owner, balance) VALUES (60, 'owner4', 6)")
    // One refers to the canary's account.
    try await stage.stable("INSERT INTO moves (id, account, amount) VALUES (1, 90, 1), (2, 5, 1)")
    try await stage.stable("UPDATE accounts SET balance = balance + 1 WHERE id IN (4, 5)")
}

private func expectTheEnd(_ stage: Stage, late: Int = 0) async throws {
    #expect(
        try await stage.rows("SELECT id, owner, balance FROM accounts WHERE id < 6 OR id > 20 ORDER BY id")
            == [
                "1|owner1|101", "2|owner2|102", "3|owner3|103", "4|taken4|-4", "5|owner5|\(6 + late)", "60|owner4|6",
                "90|canary|9",
            ])
    #expect(try await stage.rows("SELECT id, account FROM moves ORDER BY id") == ["1|90", "2|5"])
    let quarantine = try await stage.quarantine()
    #expect(
        quarantine.map { "\($0.id) \($0.reason.rawValue) \($0.operation) \($0.key["id"]! ?? "")" } == [
            "1 canaryWrite INSERT 90", "2 canaryWrite UPDATE 3", "3 canaryWrite UPDATE 4", "4 unique UPDATE 4",
            "5 foreignKeyParent INSERT 90", "6 overwritten UPDATE 4",
        ])
    #expect(try await stage.databases() == ["\(stage.database)|t", "\(stage.previous)|t"])
}

@Suite(.serialized) struct SwapCrashTests {
    /// Crashes, so nobody else uses it.
    private static let server = Task { try await PostgresServer.start() }

    @Test(arguments: [
        "restore.created", "replay.batch", "switch.hold", "switch.barrier", "switch.tail", "switch.closed",
        "switch.renaming",
    ])
    func `A step that fails leaves live open, and the next try comes to the end`(_ place: String) async throws {
        let stage = try await Stage(schema)
        try await write(stage)
        let live = try await stage.rows("SELECT * FROM accounts ORDER BY id")
        await #expect(throws: Failure.self) { try await stage.rewind(at: place) { throw EndOfTheWorld() } }
        #expect(try await stage.rows("SELECT * FROM accounts ORDER BY id") == live)
        #expect(await !stage.gate.isHeld)
        try await stage.stable("UPDATE accounts SET balance = balance + 1 WHERE id = 5")
        let summary = try await stage.rewind()
        try await expectTheEnd(stage, late: 1)
        #expect(summary.stableTransactionsReplayed == 5 && summary.canaryTransactionsKeptOut == 2)
        #expect(summary.canaryRowsQuarantined == 3 && summary.conflictsQuarantined == 3)
    }

    @Test func `A live database that a given up rollback left closed is opened when tidying up`() async throws {
        let stage = try await Stage(schema)
        try await write(stage)
        await #expect(throws: Failure.self) {
            try await stage.rewind(at: "switch.tail") {
                try await stage.silencePerch()
                throw EndOfTheWorld()
            }
        }
        try await stage.letPerchSpeak()
        #expect(try await stage.databases().contains("\(stage.database)|f"))
        let done = try await stage.data.tidyUp(policy: stage.policy, now: Instant(millisecondsSince1970: 0))
        #expect(done == ["opened database \(stage.database), which the rollback of \(stage.release) had left closed"])
        #expect(try await stage.rows("SELECT count(*) FROM accounts") == ["22"])
        #expect(try await stage.data.tidyUp(policy: stage.policy, now: Instant(millisecondsSince1970: 0)) == [])
    }

    @Test(arguments: beforeSwitch)
    func `Perch falls silent anywhere before the switch, and a new one finishes`(_ place: String) async throws {
        let stage = try await Stage(schema)
        try await write(stage)
        await #expect(throws: Failure.self) {
            try await stage.rewind(at: place) {
                try await stage.silencePerch()
                throw EndOfTheWorld()
            }
        }
        try await stage.letPerchSpeak()
        let isClosed = try await stage.databases().contains("\(stage.database)|f")
        if !isClosed { try await stage.stable("UPDATE accounts SET balance = balance + 1 WHERE id = 5") }
        try await stage.rewind()
        try await expectTheEnd(stage, late: isClosed ? 0 : 1)
    }

    @Test(arguments: afterSwitch)
    func `Perch falls silent behind the switch, and what it had left to do is done`(_ place: String) async throws {
        let stage = try await Stage(schema)
        try await write(stage)
        await #expect(throws: Failure.self) {
            try await stage.rewind(at: place) {
                try await stage.silencePerch()
                throw EndOfTheWorld()
            }
        }
        try await stage.letPerchSpeak()
        try await expectTheEnd(stage)
        let summary = try await stage.rewind()
        try await expectTheEnd(stage)
        #expect(summary.conflictsQuarantined == 3 && summary.heldMilliseconds > 0)
        #expect(await stage.gate.calls.suffix(2) == ["reconnect", "letGo"])
    }

    @Test(arguments: [
        "restore.created", "restore.loaded", "replay.batch", "switch.fenced", "switch.tail", "switch.closed",
        "switch.renaming", "switch.renamed",
    ])
    func `PostgreSQL crashes, and the next try comes to the end`(_ place: String) async throws {
        let stage = try await Stage(schema, on: Self.server.value)
        try await write(stage)
        await #expect(throws: Failure.self) {
            try await stage.rewind(at: place) {
                try await stage.server.stop(.immediate)
                throw EndOfTheWorld()
            }
        }
        try await stage.server.start()
        try await stage.rewind()
        try await expectTheEnd(stage)
    }

    @Test func `A kept clone that is taken up while live is closed does not forget on whose account`() async throws {
        let stage = try await Stage(schema, snapshot: .clone)
        try await write(stage)
        await #expect(throws: Failure.self) {
            try await stage.rewind(at: "switch.tail") {
                try await stage.silencePerch()
                throw EndOfTheWorld()
            }
        }
        await stage.data.stopRecording()
        try await stage.letPerchSpeak()
        let again = Stage.postgresData(stage.folder)
        try? await again.resumeRecording(release: stage.release, policy: stage.policy)
        try await eventually("the clone waits for the rollback") {
            await again.recording(release: stage.release)?.clone?.state == .interrupted
        }
        try await stage.rewind(with: again)
        try await expectTheEnd(stage)
    }

    @Test func `A session lost while it renames leaves live open`() async throws {
        let stage = try await Stage(schema)
        try await write(stage)
        await #expect(throws: Failure.self) {
            try await stage.rewind(at: "switch.renaming") {
                let superuser = try await Connection.open(stage.server.settings())
                _ = try await superuser.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'perch_\(stage.database)'")
                await superuser.close()
            }
        }
        #expect(try await stage.databases() == ["\(stage.database)|t", "\(stage.restored)|t"])
        try await stage.rewind()
        try await expectTheEnd(stage)
    }
}
