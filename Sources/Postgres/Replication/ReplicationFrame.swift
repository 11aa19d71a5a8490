// What a walsender puts into one CopyData message. Pure: no clock, no I/O.

/// One message of a running replication stream (PostgreSQL: 55.4).
package enum ReplicationFrame: Hashable, Sendable {
    /// One message of the output plugin. `walStart` is the place of its change in the log; 0 for some kinds.
    case data(walStart: LogSequenceNumber, walEnd: LogSequenceNumber, sentAt: PostgresTimestamp, bytes: [UInt8])
    /// The server has sent everything up to `walEnd` that concerns us.
    case keepalive(walEnd: LogSequenceNumber, replyRequested: Bool, sentAt: PostgresTimestamp)
}
