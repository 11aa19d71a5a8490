// Goal: a batch that is merged while the one before is still written comes to the same as if it had waited, also when the
// one before is refused. Method: a real database whose exclusion constraint the merge knows nothing of.

import Merge
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

@Suite struct OverlappingBatchTests {
    private static let bookings = relation("bookings", oid: 1, ["id", "during"], key: ["id"])

    private func transaction(_ number: UInt64, _ origin: RecordedOrigin, _ change: RecordedChange)
        -> RecordedTransaction
    {
        RecordedTransaction(
            xid: UInt32(number), commitLSN: .init(rawValue: number * 16), endLSN: .init(rawValue: number * 16 + 8),
            committedAt: PostgresTimestamp(microsecondsSince2000: 0), origin: origin, changes: [change])
    }

    private func update(_ id: String, _ during: String) -> RecordedChange {
        .update(Self.bookings, old: nil, new: [.of(id), .of(during)])
    }

    @Test func `A batch that was merged on a refused one is merged again on what that came to`() async throws {
        let server = try await PostgresServer.shared()
        let connection = try await Connection.open(ConnectionSettings(url: try await server.freshDatabase()))
        try await connection.execute(
            """
            CREATE TABLE bookings (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
            INSERT INTO bookings VALUES (1, '[1,5)'), (3, '[20,25)');
            \(CloneState.creation(position: .zero))
            """)
        try await connection.execute(Replay.session)
        var clone = try await MergedClone.open(connection, Policy.DataRollback())
        // In live the canary's write made room for stable's; the clone's row 1 is in the way.
        try await clone.begin([
            transaction(1, .canary, update("1", "[100,105)")),
            transaction(2, .stable, .insert(Self.bookings, new: [.of("2"), .of("[2,4)")])),
        ])
        #expect(clone.position == 0)
        try await clone.begin([
            transaction(3, .stable, update("2", "[2,3)")), transaction(4, .stable, update("3", "[20,26)")),
        ])
        try await clone.finish()
        #expect(clone.position == 72)
        let rows = try await connection.query("SELECT id, during FROM public.bookings ORDER BY id").rows
        #expect(rows == [["1", "[100,105)"], ["2", "[2,3)"], ["3", "[20,26)"]])
        #expect(clone.engine.isClean)
        let reasons = try await connection.query("SELECT reason FROM perch.merge_finding").rows
        #expect(reasons == [["constraint"]])
        await connection.close()
    }
}
