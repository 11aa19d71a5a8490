// Why bytes of the replication stream could not be read. Pure: no clock, no I/O, no Foundation.

/// Bytes that are no message of protocol version 1, with the place and what should have been there.
package enum PgOutputError: Error, Hashable, Sendable {
    /// `needed` more bytes were expected at `offset`; there are `available`.
    case truncated(offset: Int, expected: String, needed: Int, available: Int)
    case unexpectedByte(offset: Int, expected: String, found: UInt8)
    /// A count or length below zero.
    case negativeLength(offset: Int, expected: String, found: Int32)
    /// A string without its zero byte.
    case unterminatedString(offset: Int, expected: String)
    case notUTF8(offset: Int, expected: String)
    /// A change of a table whose relation message never came.
    case unknownRelation(offset: Int, id: UInt32)
    /// A tuple that does not fit its table.
    case columnCount(offset: Int, expected: Int, found: Int)
    /// The message goes on where it should end.
    case trailingBytes(offset: Int, count: Int)
}

extension PgOutputError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .truncated(let offset, let expected, let needed, let available):
            "byte \(offset): \(expected) needs \(needed) bytes, \(available) are left"
        case .unexpectedByte(let offset, let expected, let found):
            "byte \(offset): expected \(expected), found 0x\(String(found, radix: 16))"
        case .negativeLength(let offset, let expected, let found):
            "byte \(offset): \(expected) cannot be \(found)"
        case .unterminatedString(let offset, let expected):
            "byte \(offset): \(expected) has no zero byte at its end"
        case .notUTF8(let offset, let expected):
            "byte \(offset): \(expected) is not UTF-8"
        case .unknownRelation(let offset, let id):
            "byte \(offset): relation \(id) was never described"
        case .columnCount(let offset, let expected, let found):
            "byte \(offset): tuple of \(found) columns for a relation of \(expected)"
        case .trailingBytes(let offset, let count):
            "byte \(offset): message should end, \(count) more bytes follow"
        }
    }
}
