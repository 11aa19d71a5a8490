// Goal: positions, moments, quoting and results mean what PostgreSQL means. Method: golden values; random positions with
// a seed.

import Foundation
import Postgres
import Testing

@Suite("Values")
struct PureValueTests {
    @Test("an LSN reads and writes as PostgreSQL does")
    func lsnText() throws {
        #expect(LogSequenceNumber("16/B374D848")?.rawValue == 0x16_B374_D848)
        #expect(LogSequenceNumber("0/0") == .zero)
        #expect(LogSequenceNumber("ffffffff/ffffffff")?.rawValue == .max)
        #expect(LogSequenceNumber(rawValue: 0x16_B374_D848).description == "16/B374D848")
        #expect(LogSequenceNumber(rawValue: 1 << 32 | 0xA).description == "1/A", "no leading zeros")
        var seeded = SeededGenerator(seed: 0x5EED)
        for _ in 0..<1_000 {
            let position = LogSequenceNumber(rawValue: .random(in: 0 ... .max, using: &seeded))
            #expect(LogSequenceNumber(position.description) == position)
        }
    }

    @Test(
        "what is no LSN is none",
        arguments: ["", "/", "0", "0/", "/0", "0/0/0", "0/x", "-1/0", "+1/0", "123456789/0", "0/ 1", "0x1/0"])
    func notLSN(_ text: String) {
        #expect(LogSequenceNumber(text) == nil)
    }

    @Test("an LSN is a string in JSON, and no other string is one")
    func lsnJSON() throws {
        let json = try JSONEncoder().encode([LogSequenceNumber(rawValue: 0x2_0000_00FF)])
        #expect(String(decoding: json, as: UTF8.self) == #"["2\/FF"]"#)
        #expect(try JSONDecoder().decode([LogSequenceNumber].self, from: json).first?.rawValue == 0x2_0000_00FF)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode([LogSequenceNumber].self, from: Data(#"["12"]"#.utf8))
        }
    }

    @Test("LSNs are ordered and have a distance")
    func lsnOrder() {
        let (low, high) = (LogSequenceNumber(rawValue: 0xFFFF_FFFF), LogSequenceNumber(rawValue: 0x1_0000_0000))
        #expect(low < high)
        #expect(high.bytes(since: low) == 1)
        #expect(low.bytes(since: high) == 0)
    }

    @Test("a moment is counted from 2000 on the wire and from 1970 for people")
    func timestamps() throws {
        #expect(PostgresTimestamp(microsecondsSince2000: 0).millisecondsSince1970 == 946_684_800_000)
        #expect(PostgresTimestamp(microsecondsSince2000: -1).millisecondsSince1970 == 946_684_799_999)
        #expect(PostgresTimestamp(microsecondsSince1970: 946_684_800_000_001)?.microsecondsSince2000 == 1)
        #expect(PostgresTimestamp(microsecondsSince1970: .min) == nil)
        for extreme in [Int64.min, .max] {
            // Far away, but it must not trap: this is the network's word.
            _ = PostgresTimestamp(microsecondsSince2000: extreme).millisecondsSince1970
        }
    }

    @Test("names and values are quoted")
    func quoting() {
        #expect(quoteIdentifier("Order\"s") == "\"Order\"\"s\"")
        #expect(quoteIdentifier("") == "\"\"")
        #expect(quoteLiteral("it's") == "'it''s'")
        #expect(quoteLiteral("a\\'b") == " E'a\\\\''b'")
        #expect(quoteLiteral("e\u{301}'\u{301}") == "'e\u{301}''\u{301}'", "a quote with an accent is still a quote")
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
