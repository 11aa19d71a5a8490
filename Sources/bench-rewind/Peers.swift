// The two who apply the same transactions to equal databases: PostgreSQL's own subscription, and Perch's replay.

import Postgres
import PostgresSupport
import Releases
import Rewind

/// A subscription to the recorded database in another one of the same server. Its time runs from being enabled until the
/// last transaction is applied.
struct NativePeer: Sendable {
    static let publication = "native"
    /// A slot of before the first transaction; every run has a copy.
    static let slot = "native_base"

    let stage: Stage
    let source: String

    func prepare(_ tables: [String]) async throws {
        try await stage.run(
            "CREATE PUBLICATION \(Self.publication) FOR TABLE \(tables.joined(separator: ", "))",
            "SELECT pg_create_logical_replication_slot('\(Self.slot)', 'pgoutput')", in: source)
    }

    func remove() async throws { try await stage.run("SELECT pg_drop_replication_slot('\(Self.slot)')", in: source) }

    func apply(to database: String, upTo end: LogSequenceNumber) async throws -> Duration {
        let slot = "slot_\(database)"
        // A slot can be copied in its own database only.
        try await stage.run(
            "SELECT pg_copy_logical_replication_slot('\(Self.slot)', '\(slot)')", in: source)
        let session = try await Connection.open(stage.server.settings(database: database))
        // In parallel where the server can.
        let streaming = await session.serverVersion >= 160_000 ? "parallel" : "on"
        _ = try await session.query(
            """
            CREATE SUBSCRIPTION native CONNECTION '\(stage.server.url(database: source))'
            PUBLICATION \(Self.publication) WITH (create_slot = false, slot_name = '\(slot)', copy_data = false,
              enabled = false, binary = true, streaming = \(streaming), synchronous_commit = off)
            """)
        let took = try await ContinuousClock().measure {
            _ = try await session.query("ALTER SUBSCRIPTION native ENABLE")
            let deadline = ContinuousClock.now + .seconds(300)
            // What was reached by the last transaction applied, whether or not it is flushed.
            while try await session.queryPrepared(
                "SELECT pg_replication_origin_progress('pg_' || oid, false) >= $1::pg_lsn FROM pg_subscription",
                [end.description]
            ).scalar != "t" {
                guard ContinuousClock.now < deadline else {
                    throw BenchError("the subscription does not get to \(end)")
                }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        for statement in ["DISABLE", "SET (slot_name = NONE)"] {
            _ = try await session.query("ALTER SUBSCRIPTION native \(statement)")
        }
        _ = try await session.query("DROP SUBSCRIPTION native")
        while try await session.query(
            "SELECT active FROM pg_replication_slots WHERE slot_name = '\(slot)'"
        ).scalar == "t" { try await Task.sleep(for: .milliseconds(20)) }
        await session.close()
        try await stage.run("SELECT pg_drop_replication_slot('\(slot)')", in: source)
        return took
    }
}

/// Its time runs from opening the session until the last transaction is committed.
struct PerchPeer: Sendable {
    let recording: Recording

    func apply(to database: String, upTo end: LogSequenceNumber) async throws -> Duration {
        let begin = ContinuousClock.now
        var application = try await RecordingApplication.open(
            recording.stage.server.settings(database: database), dataFolder: recording.stage.folder,
            release: recording.release, policy: Policy.DataRollback())
        try await application.run(upTo: end)
        let took = ContinuousClock.now - begin
        await application.close()
        return took
    }
}
