// Big-endian integers, strings and runs of bytes, each read only if it is there. Pure: no clock, no I/O, no Foundation.

/// Reads a message from front to back. `what` names the thing that should be there, for errors.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var available: Int { bytes.count - offset }

    mutating func byte(_ what: String) throws(PgOutputError) -> UInt8 {
        try need(1, what)
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func uint16(_ what: String) throws(PgOutputError) -> UInt16 {
        UInt16(truncatingIfNeeded: try bigEndian(2, what))
    }

    mutating func uint32(_ what: String) throws(PgOutputError) -> UInt32 {
        UInt32(truncatingIfNeeded: try bigEndian(4, what))
    }

    mutating func int32(_ what: String) throws(PgOutputError) -> Int32 {
        Int32(bitPattern: try uint32(what))
    }

    mutating func uint64(_ what: String) throws(PgOutputError) -> UInt64 { try bigEndian(8, what) }

    mutating func position(_ what: String) throws(PgOutputError) -> LogSequenceNumber {
        LogSequenceNumber(rawValue: try uint64(what))
    }

    mutating func timestamp(_ what: String) throws(PgOutputError) -> PostgresTimestamp {
        PostgresTimestamp(microsecondsSince2000: Int64(bitPattern: try uint64(what)))
    }

    /// A 32-bit length or count that is not below zero.
    mutating func length(_ what: String) throws(PgOutputError) -> Int {
        let start = offset
        let value = try int32(what)
        if value < 0 { throw .negativeLength(offset: start, expected: what, found: value) }
        return Int(value)
    }

    /// - Precondition: `count` is not below zero.
    mutating func run(of count: Int, _ what: String) throws(PgOutputError) -> [UInt8] {
        try need(count, what)
        defer { offset += count }
        return Array(bytes[offset..<(offset + count)])
    }

    /// UTF-8 up to a zero byte, which is passed over.
    mutating func string(_ what: String) throws(PgOutputError) -> String {
        guard let end = bytes[offset...].firstIndex(of: 0) else {
            throw .unterminatedString(offset: offset, expected: what)
        }
        guard let text = String(validating: bytes[offset..<end], as: UTF8.self) else {
            throw .notUTF8(offset: offset, expected: what)
        }
        offset = end + 1
        return text
    }

    mutating func rest() -> [UInt8] {
        defer { offset = bytes.count }
        return Array(bytes[offset...])
    }

    /// - Throws: when there is more.
    func end() throws(PgOutputError) {
        if available > 0 { throw .trailingBytes(offset: offset, count: available) }
    }

    private func need(_ count: Int, _ what: String) throws(PgOutputError) {
        if available < count {
            throw .truncated(offset: offset, expected: what, needed: count, available: available)
        }
    }

    private mutating func bigEndian(_ width: Int, _ what: String) throws(PgOutputError) -> UInt64 {
        try need(width, what)
        defer { offset += width }
        var value: UInt64 = 0
        for byte in bytes[offset..<(offset + width)] { value = value << 8 | UInt64(byte) }
        return value
    }
}
