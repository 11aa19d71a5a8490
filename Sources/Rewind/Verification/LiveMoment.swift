// Live as it is at one position of the stream, while it works on: the snapshot of a slot that exists only until sessions
// have taken it over. A clone that was brought on to exactly this position must hold the same rows, but for those that the
// merge names.

import Ports
import Postgres

struct LiveMoment: Sendable {
    /// What committed before it is in the snapshot, what commits behind it is not.
    let position: LogSequenceNumber
    /// Each in a transaction that reads the snapshot.
    let sessions: [Connection]

    /// - Parameters:
    ///   - slot: a name that nobody uses.
    ///   - lanes: number of sessions.
    ///   - limit: longest wait for transactions that write at this moment.
    static func take(
        _ admin: ConnectionSettings, slot: String, lanes: Int, limit: Duration,
        progress: @escaping @Sendable (String) async -> Void
    ) async throws(Failure) -> LiveMoment {
        let session = try await SnapshotRun.open(admin)
        let replication: ReplicationConnection
        do {
            replication = try await ReplicationConnection.open(admin)
        } catch {
            await session.close()
            throw Failure("cannot connect to database \(admin.database): \(error)", isTransient: true)
        }
        do throws(Failure) {
            let created = try await SlotCreation(
                slot: slot, isTemporary: true, limit: limit, replication: replication, session: session,
                progress: progress
            ).run()
            guard let snapshot = created.snapshotName else { throw Failure("slot \(slot) came without a snapshot") }
            var sessions: [Connection] = []
            for _ in 0..<lanes { sessions.append(try await reading(snapshot, admin)) }
            await replication.close()
            await session.close()
            return LiveMoment(position: created.consistentPoint, sessions: sessions)
        } catch {
            await replication.close()
            await session.close()
            throw error
        }
    }

    private static func reading(_ snapshot: String, _ admin: ConnectionSettings) async throws(Failure) -> Connection {
        do {
            let connection = try await Connection.open(admin.with("application_name", "perchd verification"))
            let noTimeouts =
                ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]
                + (await connection.serverVersion >= 170_000 ? ["transaction_timeout"] : [])
            try await connection.execute(noTimeouts.map { "set \($0) = 0" }.joined(separator: ";"))
            try await connection.execute(TableFingerprint.pinnedSettings)
            try await connection.execute(
                "begin isolation level repeatable read read only; set transaction snapshot \(quoteLiteral(snapshot))")
            return connection
        } catch {
            throw Failure("cannot read database \(admin.database) at one moment: \(error)", isTransient: true)
        }
    }

    func close() async {
        for session in sessions { await session.close() }
    }
}
