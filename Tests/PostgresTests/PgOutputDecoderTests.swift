// Goal: every message of protocol version 1 is read right, and what is none is refused with its place. Method: golden
// bytes written from PostgreSQL's documentation (55.9).

import Postgres
import Testing

@Suite("The decoder of pgoutput")
struct PgOutputDecoderTests {
    @Test("reads a message of every kind")
    func golden() throws {
        var decoder = PgOutputDecoder()
        let messages = try everyKind.map { bytes in try decoder.decode(bytes) }
        let relation = Relation(
            id: 16_385, namespace: "public", name: "people", replicaIdentity: .byDefault,
            columns: [
                .init(isKey: true, name: "id", typeID: 23, typeModifier: -1),
                .init(isKey: false, name: "mail", typeID: 25, typeModifier: -1),
                .init(isKey: false, name: "note", typeID: 1_043, typeModifier: 104),
            ])
        func value(_ text: String) -> TupleValue { .text(Array(text.utf8)) }
        #expect(
            messages == [
                .begin(
                    finalLSN: .init(rawValue: 0x16_B374_D848), commitTime: .init(microsecondsSince2000: 1_000_000),
                    xid: 731),
                .origin(commitLSN: .init(rawValue: 0x1000), name: "upstream"),
                .type(id: 16_400, namespace: "public", name: "mood"),
                .relation(relation),
                .insert(relation: 16_385, new: [value("1"), value("ä@b"), .null]),
                .update(relation: 16_385, old: nil, new: [value("1"), value(""), .unchangedToast]),
                .update(
                    relation: 16_385, old: .init(kind: .key, values: [value("1"), .null, .null]),
                    new: [value("2"), value("x"), .unchangedToast]),
                .update(
                    relation: 16_385, old: .init(kind: .full, values: [value("2"), value("x"), value("long")]),
                    new: [value("2"), value("y"), .unchangedToast]),
                .delete(relation: 16_385, old: .init(kind: .key, values: [value("2"), .null, .null])),
                .delete(relation: 16_385, old: .init(kind: .full, values: [value("2"), value("y"), value("long")])),
                .truncate(relations: [16_385], options: [.cascade, .restartIdentity]),
                .message(
                    isTransactional: true, lsn: .init(rawValue: 0x2000), prefix: "perch", content: [0, 255, 7]),
                .commit(
                    flags: 0, commitLSN: .init(rawValue: 0x16_B374_D848), endLSN: .init(rawValue: 0x16_B374_D878),
                    time: .init(microsecondsSince2000: 1_000_001)),
            ])
        #expect(decoder.relations == [16_385: relation])
    }

    @Test("says the place and what should be there")
    func errors() throws {
        var known = PgOutputDecoder()
        _ = try known.decode(people)
        let cases: [([UInt8], PgOutputError)] = [
            ([], .truncated(offset: 0, expected: "kind of message", needed: 1, available: 0)),
            (ascii("S"), .unexpectedByte(offset: 0, expected: "one of B C O R Y I U D T M", found: 0x53)),
            (
                bytes(ascii("B"), u64(1), u32(2)),
                .truncated(offset: 9, expected: "commit time", needed: 8, available: 4)
            ),
            (bytes(ascii("B"), u64(1), u64(2), u32(3), [9, 9]), .trailingBytes(offset: 21, count: 2)),
            (bytes(ascii("O"), u64(1), ascii("name")), .unterminatedString(offset: 9, expected: "name of the origin")),
            (bytes(ascii("O"), u64(1), [0xFF, 0]), .notUTF8(offset: 9, expected: "name of the origin")),
            (bytes(ascii("I"), u32(7), ascii("N")), .unknownRelation(offset: 1, id: 7)),
            (bytes(ascii("I"), u32(16_385), ascii("K")), .unexpectedByte(offset: 5, expected: "'N'", found: 0x4B)),
            (bytes(ascii("I"), u32(16_385), ascii("N"), u16(2)), .columnCount(offset: 6, expected: 3, found: 2)),
            (
                bytes(ascii("I"), u32(16_385), ascii("N"), u16(3), ascii("b")),
                .unexpectedByte(offset: 8, expected: "'n', 'u' or 't'", found: 0x62)
            ),
            (
                bytes(ascii("I"), u32(16_385), ascii("N"), u16(3), ascii("t"), u32(0xFFFF_FFFF)),
                .negativeLength(offset: 9, expected: "length of a value", found: -1)
            ),
            (
                bytes(ascii("I"), u32(16_385), ascii("N"), u16(3), ascii("t"), u32(0x7FFF_FFFF), ascii("x")),
                .truncated(offset: 13, expected: "a value", needed: 0x7FFF_FFFF, available: 1)
            ),
            (
                bytes(ascii("D"), u32(16_385), ascii("N")),
                .unexpectedByte(offset: 5, expected: "'K' or 'O'", found: 0x4E)
            ),
            (
                bytes(ascii("U"), u32(16_385), ascii("X")),
                .unexpectedByte(offset: 5, expected: "'K', 'O' or 'N'", found: 0x58)
            ),
            (
                bytes(ascii("T"), u32(0x7FFF_FFFF), [0], u32(16_385)),
                .truncated(offset: 10, expected: "relation id", needed: 4, available: 0)
            ),
            (
                bytes(ascii("R"), u32(1), cString(""), cString("t"), ascii("x")),
                .unexpectedByte(offset: 8, expected: "one of d n f i", found: 0x78)
            ),
            (
                bytes(ascii("M"), [0], u64(1), cString("p"), u32(5), ascii("four")),
                .truncated(offset: 16, expected: "content of the message", needed: 5, available: 4)
            ),
        ]
        for (message, expected) in cases {
            var decoder = known
            do {
                let decoded = try decoder.decode(message)
                Issue.record("\(message) was taken for \(decoded)")
            } catch {
                #expect(error == expected)
                #expect(error.description.hasPrefix("byte "))
            }
            #expect(decoder == known, "an error changes nothing")
        }
    }

    @Test("takes a table's new shape for the tuples after it")
    func newShape() throws {
        var decoder = PgOutputDecoder()
        _ = try decoder.decode(people)
        _ = try decoder.decode(
            bytes(
                ascii("R"), u32(16_385), cString(""), cString("people"), ascii("f"), u16(1), [1], cString("id"),
                u32(20), u32(0)))
        #expect(decoder.relations[16_385]?.replicaIdentity == .full)
        let insert = bytes(ascii("I"), u32(16_385), ascii("N"), u16(1), ascii("n"))
        #expect(try decoder.decode(insert) == .insert(relation: 16_385, new: [.null]))
    }

    @Test("gives a value's text only where there is text")
    func valueText() {
        #expect(TupleValue.text(Array("ä".utf8)).string == "ä")
        #expect(TupleValue.text([0xFF]).string == nil)
        #expect(TupleValue.null.string == nil)
        #expect(TupleValue.unchangedToast.string == nil)
    }
}

@Suite("A replication frame")
struct ReplicationFrameTests {
    @Test("is data or a keepalive")
    func golden() throws {
        #expect(
            try ReplicationFrame(bytes(ascii("w"), u64(1), u64(2), u64(3), ascii("Bxyz")))
                == .data(
                    walStart: .init(rawValue: 1), walEnd: .init(rawValue: 2), sentAt: .init(microsecondsSince2000: 3),
                    bytes: ascii("Bxyz")))
        #expect(
            try ReplicationFrame(bytes(ascii("k"), u64(1), u64(UInt64(bitPattern: -5)), [1]))
                == .keepalive(
                    walEnd: .init(rawValue: 1), replyRequested: true, sentAt: .init(microsecondsSince2000: -5)))
    }

    @Test("is refused with its place when it is neither or not whole")
    func errors() {
        #expect(throws: PgOutputError.unexpectedByte(offset: 0, expected: "'w' or 'k'", found: 0x78)) {
            try ReplicationFrame(ascii("x"))
        }
        #expect(throws: PgOutputError.truncated(offset: 17, expected: "time of sending", needed: 8, available: 2)) {
            try ReplicationFrame(bytes(ascii("w"), u64(1), u64(2), [0, 0]))
        }
        #expect(throws: PgOutputError.trailingBytes(offset: 18, count: 1)) {
            try ReplicationFrame(bytes(ascii("k"), u64(1), u64(2), [0, 0]))
        }
    }
}
