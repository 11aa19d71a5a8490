// A place in the write-ahead log. Pure: no clock, no I/O.

/// A byte position in a cluster's write-ahead log, written `16/B374D848` as PostgreSQL does.
package struct LogSequenceNumber: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// PostgreSQL's "no position": asks a server to start where the slot stands, confirms nothing in a status.
    package static let zero = LogSequenceNumber(rawValue: 0)

    /// - Returns: nil unless the text is two hex numbers of one to eight digits with a slash between them.
    package init?(_ text: some StringProtocol) {
        let halves = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard halves.count == 2, let high = Self.hexadecimal(halves[0]), let low = Self.hexadecimal(halves[1])
        else { return nil }
        rawValue = UInt64(high) << 32 | UInt64(low)
    }

    private static func hexadecimal(_ digits: some Collection<UInt8>) -> UInt32? {
        guard (1...8).contains(digits.count) else { return nil }
        var value: UInt32 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(digit - UInt8(ascii: "A") + 10)
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }

    package static func < (left: LogSequenceNumber, right: LogSequenceNumber) -> Bool {
        left.rawValue < right.rawValue
    }

    /// Bytes of log from `earlier` to here; 0 when this is not after `earlier`.
    package func bytes(since earlier: LogSequenceNumber) -> UInt64 {
        rawValue > earlier.rawValue ? rawValue - earlier.rawValue : 0
    }

    package var description: String {
        let high = String(rawValue >> 32, radix: 16, uppercase: true)
        return "\(high)/\(String(rawValue & 0xFFFF_FFFF, radix: 16, uppercase: true))"
    }
}

extension LogSequenceNumber: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let position = LogSequenceNumber(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(text)' is not an LSN like 0/16B3748"))
        }
        self = position
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
