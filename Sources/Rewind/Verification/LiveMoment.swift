// Live at one moment, while it works on. A session's snapshot shows some transactions and hides others; the clone, brought on
// to a position behind that moment, has all that are shown. What it has beyond them is known: the transactions that the
// snapshot hides, so their rows are left out.
//
// A slot's exported snapshot would be exactly of one position, but to make one waits for every transaction that writes in
// any database of the server. A rollback must not wait for somebody's batch job.

import Merge
import Ports
import Postgres

struct LiveMoment: Sendable {
    let snapshot: TransactionSnapshot
    /// Each in a transaction that reads the snapshot.
    let sessions: [Connection]

    /// - Parameter lanes: number of sessions.
    static func take(_ admin: ConnectionSettings, lanes: Int) async throws(Failure) -> LiveMoment {
        var sessions: [Connection] = []
        do {
            let first = try await reading(admin)
            sessions.append(first)
            let told = try await first.query("select pg_current_snapshot(), pg_export_snapshot()")
            guard let text = told.rows[0][0], let snapshot = TransactionSnapshot(text), let name = told.rows[0][1]
            else {
                throw PostgresError.usage("pg_current_snapshot told \(told.rows)")
            }
            while sessions.count < lanes {
                let next = try await reading(admin)
                sessions.append(next)
                try await next.execute("set transaction snapshot \(quoteLiteral(name))")
            }
            return LiveMoment(snapshot: snapshot, sessions: sessions)
        } catch {
            for session in sessions { await session.close() }
            throw Failure("cannot read database \(admin.database) at one moment: \(error)", isTransient: true)
        }
    }

    private static func reading(_ admin: ConnectionSettings) async throws(PostgresError) -> Connection {
        let connection = try await Connection.open(admin.with("application_name", "perchd verification"))
        let noTimeouts =
            ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]
            + (await connection.serverVersion >= 170_000 ? ["transaction_timeout"] : [])
        try await connection.execute(noTimeouts.map { "set \($0) = 0" }.joined(separator: ";"))
        try await connection.execute(TableFingerprint.pinnedSettings)
        try await connection.execute("begin isolation level repeatable read read only")
        return connection
    }

    func close() async {
        for session in sessions { await session.close() }
    }
}

/// `pg_snapshot`: which transactions a session sees. Transactions are named by the lower half of their ids, as the stream
/// names them.
struct TransactionSnapshot: Hashable, Sendable {
    /// Transactions from here on had not begun to be seen.
    let end: UInt32
    /// Before it, those that were still at work.
    let atWork: Set<UInt32>

    /// - Parameter text: `xmin:xmax:xip,xip`
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let end = UInt64(parts[1]) else { return nil }
        self.end = UInt32(truncatingIfNeeded: end)
        atWork = Set(parts[2].split(separator: ",").compactMap { UInt64($0).map { UInt32(truncatingIfNeeded: $0) } })
    }

    /// - Parameter xid: of a transaction of about now: ids go round.
    func hides(_ xid: UInt32) -> Bool { Int32(bitPattern: xid &- end) >= 0 || atWork.contains(xid) }
}
