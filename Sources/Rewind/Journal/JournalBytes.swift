// Integers, strings and tuples to bytes and back. Pure; bad bytes throw, never trap.

import CPosix
import Postgres

func checksum(_ bytes: [UInt8], continuing crc: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { perch_crc32c(crc, $0.baseAddress, $0.count) }
}

/// The bytes are not what the format says.
struct MalformedBytes: Error {}

struct ByteWriter {
    var bytes: [UInt8] = []

    mutating func put<Integer: FixedWidthInteger>(_ value: Integer) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func put(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            put(UInt32(utf8.count))
            bytes.append(contentsOf: utf8)
        }
    }

    mutating func put(_ tuple: [TupleValue]) {
        put(UInt16(tuple.count))
        for value in tuple {
            switch value {
            case .null: put(UInt8(ascii: "n"))
            case .unchangedToast: put(UInt8(ascii: "u"))
            case .text(let text):
                put(UInt8(ascii: "t"))
                put(UInt32(text.count))
                bytes.append(contentsOf: text)
            }
        }
    }
}

struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    var isAtEnd: Bool { position == bytes.endIndex }

    mutating func get<Integer: FixedWidthInteger>() throws(MalformedBytes) -> Integer {
        let raw = try take(MemoryLayout<Integer>.size)
        return Integer(bigEndian: raw.withUnsafeBytes { $0.loadUnaligned(as: Integer.self) })
    }

    mutating func getString() throws(MalformedBytes) -> String {
        let count: UInt32 = try get()
        guard let text = String(validating: try take(Int(count)), as: UTF8.self) else { throw MalformedBytes() }
        return text
    }

    mutating func getTuple() throws(MalformedBytes) -> [TupleValue] {
        let count: UInt16 = try get()
        // A value takes at least a byte: a wrong count cannot make us reserve more than there is.
        guard Int(count) <= bytes.endIndex - position else { throw MalformedBytes() }
        var tuple: [TupleValue] = []
        tuple.reserveCapacity(Int(count))
        for _ in 0..<count {
            switch try get() as UInt8 {
            case UInt8(ascii: "n"): tuple.append(.null)
            case UInt8(ascii: "u"): tuple.append(.unchangedToast)
            case UInt8(ascii: "t"):
                let length: UInt32 = try get()
                tuple.append(.text(Array(try take(Int(length)))))
            default: throw MalformedBytes()
            }
        }
        return tuple
    }

    private mutating func take(_ count: Int) throws(MalformedBytes) -> ArraySlice<UInt8> {
        guard count <= bytes.endIndex - position else { throw MalformedBytes() }
        defer { position += count }
        return bytes[position..<position + count]
    }
}
