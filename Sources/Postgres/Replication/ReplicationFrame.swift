// What a walsender puts into one CopyData message, and what we put into ours. Pure: no clock, no I/O.

/// One message of a running replication stream (PostgreSQL: 55.4).
package enum ReplicationFrame: Hashable, Sendable {
    /// One message of the output plugin. `walStart` is the place of its change in the log; 0 for some kinds.
    case data(walStart: LogSequenceNumber, walEnd: LogSequenceNumber, sentAt: PostgresTimestamp, bytes: [UInt8])
    /// The server has sent everything up to `walEnd` that concerns us.
    case keepalive(walEnd: LogSequenceNumber, replyRequested: Bool, sentAt: PostgresTimestamp)
}

extension ReplicationFrame {
    /// Reads one CopyData message. Integers are big-endian.
    ///
    ///     XLogData   'w' | walStart 8 | walEnd 8 | sentAt 8 | bytes of the plugin ...
    ///     keepalive  'k' | walEnd 8   | sentAt 8 | replyRequested 1
    package init(_ message: [UInt8]) throws(PgOutputError) {
        var reader = ByteReader(message)
        switch try reader.byte("kind of replication message") {
        case UInt8(ascii: "w"):
            self = .data(
                walStart: try reader.position("start of WAL data"), walEnd: try reader.position("end of WAL"),
                sentAt: try reader.timestamp("time of sending"), bytes: reader.rest())
        case UInt8(ascii: "k"):
            let walEnd = try reader.position("end of WAL")
            let sentAt = try reader.timestamp("time of sending")
            let replyRequested = try reader.byte("reply request") != 0
            try reader.end()
            self = .keepalive(walEnd: walEnd, replyRequested: replyRequested, sentAt: sentAt)
        case let kind: throw .unexpectedByte(offset: 0, expected: "'w' or 'k'", found: kind)
        }
    }
}

/// How far a stream has come on our side. What is `flushed` the server may forget for ever.
struct StandbyStatus: Hashable, Sendable {
    var written = LogSequenceNumber.zero
    var flushed = LogSequenceNumber.zero
    var applied = LogSequenceNumber.zero

    /// The message that tells a walsender:
    ///
    ///     'r' | written 8 | flushed 8 | applied 8 | sentAt 8 | replyRequested 1
    func message(sentAt: PostgresTimestamp, replyRequested: Bool) -> [UInt8] {
        var bytes = [UInt8(ascii: "r")]
        for number in [
            written.rawValue, flushed.rawValue, applied.rawValue, UInt64(bitPattern: sentAt.microsecondsSince2000),
        ] {
            withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.append(replyRequested ? 1 : 0)
        return bytes
    }
}
