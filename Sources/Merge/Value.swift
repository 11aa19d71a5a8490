// Values as the stream carries them, and how a row is named. Pure: no clock, no I/O, no Foundation.

/// One column's value in its type's text form. Two texts are two values, also where the type would call them equal
/// (numeric 1.0 and 1.00): that can only report more than differs, never less.
package enum Value: Hashable, Sendable {
    case null
    /// Stored out of line, not touched and not sent: the row keeps what it has. Never part of what is persisted.
    case unchanged
    /// Bytes in the encoding of the recording session.
    case text([UInt8])

    package init(_ text: String) { self = .text(Array(text.utf8)) }

    package var isUnchanged: Bool {
        if case .unchanged = self { true } else { false }
    }

    package func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0 as UInt8)
        case .unchanged: hasher.combine(1 as UInt8)
        case .text(let bytes):
            hasher.combine(bytes.count)
            bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        }
    }
}

extension Value: Comparable {
    /// NULL first, then bytewise; only there to make answers the same in every run.
    package static func < (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.text(let a), .text(let b)): a.lexicographicallyPrecedes(b)
        case (.null, .unchanged), (.null, .text), (.unchanged, .text): true
        case (_, .null), (_, .unchanged): false
        }
    }
}

/// As null, a string, or an array of bytes that are no UTF-8.
extension Value: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let text = try? container.decode(String.self) {
            self.init(text)
        } else {
            self = .text(try container.decode([UInt8].self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .text(let bytes):
            if let text = String(validating: bytes, as: UTF8.self) {
                try container.encode(text)
            } else {
                try container.encode(bytes)
            }
        case .unchanged:
            throw EncodingError.invalidValue(
                self, .init(codingPath: encoder.codingPath, debugDescription: "a value that was not sent"))
        }
    }
}

/// Values in the order of the table's columns.
package typealias Row = [Value]

extension [Value] {
    /// Some value was not sent.
    var hasUnchanged: Bool {
        for value in self where value.isUnchanged { return true }
        return false
    }
}

/// A table that holds rows; for a partition its own, not the root's. The oid in the recorded database.
package struct TableID: RawRepresentable, Hashable, Comparable, Sendable, Codable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static func < (left: TableID, right: TableID) -> Bool { left.rawValue < right.rawValue }
}

/// Which row: its table and its key's values. In a table without a key these are the values of all columns, and every
/// copy of such a row has the same name.
package struct RowID: Hashable, Comparable, Sendable, Codable {
    package let table: TableID
    package let key: [Value]

    package init(table: TableID, key: [Value]) {
        self.table = table
        self.key = key
    }

    package static func < (left: RowID, right: RowID) -> Bool {
        left.table == right.table ? left.key.lexicographicallyPrecedes(right.key) : left.table < right.table
    }
}
