// Our slot as the server sees it.

import Ports
import Postgres

struct ReplicationSlot: Hashable, Sendable {
    /// What we last promised never to ask for again.
    var confirmed: LogSequenceNumber
    /// `reserved`, `extended`, `unreserved` or `lost`.
    var walStatus: String
    /// 17 and later: why it can no longer be read.
    var invalidation: String?
    /// The walsender that reads it.
    var activePID: Int?
    /// Bytes of log that the server keeps because of it.
    var heldBytes: Int64

    var isLost: Bool { walStatus == "lost" || invalidation != nil }

    /// - Returns: nil when there is no such slot.
    static func read(_ name: String, on connection: Connection) async throws(PostgresError) -> ReplicationSlot? {
        let invalidation = await connection.serverVersion >= 170_000 ? "invalidation_reason" : "null"
        let result = try await connection.query(
            """
            select confirmed_flush_lsn, wal_status, active_pid, \(invalidation) as invalidation,
              pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint as held
            from pg_replication_slots where slot_name = $1
            """, [name])
        guard !result.rows.isEmpty else { return nil }
        return ReplicationSlot(
            confirmed: result[0, "confirmed_flush_lsn"].flatMap { LogSequenceNumber($0) } ?? .zero,
            walStatus: result[0, "wal_status"] ?? "lost", invalidation: result[0, "invalidation"],
            activePID: result[0, "active_pid"].flatMap { Int($0) },
            heldBytes: max(0, result[0, "held"].flatMap { Int64($0) } ?? 0))
    }

    /// Drops it whoever reads it; nothing happens when there is none.
    static func drop(_ name: String, on connection: Connection, deadline: Duration) async throws(Failure) {
        let end = ContinuousClock.now + deadline
        while true {
            do {
                guard let slot = try await read(name, on: connection) else { return }
                if let pid = slot.activePID {
                    _ = try await connection.query("select pg_terminate_backend($1::int)", ["\(pid)"])
                }
                _ = try await connection.query("select pg_drop_replication_slot($1)", [name])
                return
            } catch {
                // 55006: its reader has not gone yet. 42704: it went between the look and the drop.
                if error.sqlState == "42704" { return }
                guard error.sqlState == "55006", ContinuousClock.now < end, !Task.isCancelled else {
                    throw Failure(
                        "slot \(name) cannot be dropped: \(error)",
                        hint: "it keeps the server from removing WAL: select pg_drop_replication_slot('\(name)')",
                        isTransient: true)
                }
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}
