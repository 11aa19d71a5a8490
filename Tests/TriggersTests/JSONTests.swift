// Goal: bytes are read as RFC 8259 says, and no bytes at all can do harm.
// Method: known cases; random documents written in random ways; random damage. PERCH_TEST_SEED repeats a run.

import Foundation
import Releases
import Testing

@testable import Triggers

/// SplitMix64: small, and the same on every machine.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

struct JSONTests {
    static let seed =
        ProcessInfo.processInfo.environment["PERCH_TEST_SEED"].flatMap(UInt64.init)
        ?? UInt64.random(in: 0 ... .max)

    @Test(
        "valid documents are read",
        arguments: [
            ("null", JSON.null), (" [ ] ", .array([])), ("{}", .object([:])), ("-0.5e+10", .number("-0.5e+10")),
            (#""\u00e9\ud83d\ude00\/\n""#, .string("é😀/\n")),
            ("[1,[true,false]]", .array([.number("1"), .array([.bool(true), .bool(false)])])),
            (#"{"a":{"":"x"}}"#, .object(["a": .object(["": .string("x")])])),
        ])
    func valid(_ text: String, _ value: JSON) throws {
        #expect(try JSONParser.parse(Array(text.utf8)) == value)
    }

    @Test(
        "what is no JSON is refused at its byte",
        arguments: [
            ("", 0), (" ", 1), ("tru", 0), ("[1", 2), ("[1,]", 3), ("{\"a\":1,}", 7), ("{a:1}", 1), ("01", 1),
            ("1.", 2), ("-", 1),
            ("1e", 2), ("+1", 0), (".5", 0), ("NaN", 0), ("'a'", 0), ("\"a", 0), ("\"\t\"", 1), ("\"\\x\"", 1),
            ("\"\\u12G4\"", 1),
            ("\"\\ud800\"", 1), ("\"\\ud800\\u0041\"", 1), ("\"\\udc00\"", 1), ("1 2", 2), ("{\"a\":1,\"a\":2}", 7),
            ("{\"a\" 1}", 5),
            ("\u{FEFF}1", 0), ("[1]]", 3), ("//", 0),
        ])
    func invalid(_ text: String, _ offset: Int) {
        let error = #expect(throws: MalformedJSON.self) { try JSONParser.parse(Array(text.utf8)) }
        #expect(error?.offset == offset)
    }

    @Test(
        "bytes that are not UTF-8 are refused",
        arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5], [0xE2, 0x82]] as [[UInt8]])
    func notUTF8(_ bytes: [UInt8]) {
        #expect(throws: MalformedJSON.self) { try JSONParser.parse([0x22] + bytes + [0x22]) }
    }

    @Test("nesting is bounded")
    func nesting() throws {
        func nested(_ depth: Int) -> [UInt8] {
            Array(repeating: UInt8(ascii: "["), count: depth) + Array(repeating: UInt8(ascii: "]"), count: depth)
        }
        _ = try JSONParser.parse(nested(JSONParser.deepest))
        #expect(throws: MalformedJSON.self) { try JSONParser.parse(nested(JSONParser.deepest + 1)) }
        #expect(throws: MalformedJSON.self) {
            try JSONParser.parse(Array(repeating: UInt8(ascii: "["), count: 1_000_000))
        }
    }

    @Test("line and column count from 1, after the last line break")
    func positions() {
        let bytes = Array("{\n\n  x".utf8)
        let position = MalformedJSON(message: "", offset: 5).position(in: bytes)
        #expect(position == (line: 3, column: 3))
        #expect(MalformedJSON(message: "", offset: 99).position(in: []) == (line: 1, column: 1))
    }

    @Test("any value survives being written, however it is written")
    func roundTrip() throws {
        var random = SeededGenerator(state: Self.seed)
        for round in 0..<500 {
            let value = randomValue(depth: 4, &random)
            var text = ""
            write(value, to: &text, &random)
            #expect(try JSONParser.parse(Array(text.utf8)) == value, "seed \(Self.seed), round \(round): \(text)")
        }
    }

    @Test("no bytes and no headers ever stop a decision or a check")
    func fuzz() {
        var random = SeededGenerator(state: Self.seed)
        let events = ["push", "deployment", "workflow_run", "ping", "", "x"]
        let fragments = [
            "{", "}", "[", "]", ",", ":", "\"", "\\u", "\\", "null", "1e9", "-", "\"commit\"",
            "\"action\":\"completed\"",
            "\"workflow_run\":", "\"ref\":\"refs/heads/main\"", "\"after\":", "\"\\ud83d\"", "\u{0}", "é",
            "\"build\":{",
        ].map { Array($0.utf8) }
        for _ in 0..<4_000 {
            var body: [UInt8] = []
            for _ in 0..<Int.random(in: 0...24, using: &random) {
                if Bool.random(using: &random) {
                    body += fragments.randomElement(using: &random)!
                } else {
                    body.append(UInt8.random(in: 0...255, using: &random))
                }
            }
            var headers = [(name: "webhook-id", value: "a"), (name: "webhook-timestamp", value: "99999999999")]
            headers.append((name: "webhook-signature", value: "v1,\(String(decoding: body, as: UTF8.self))"))
            if Bool.random(using: &random) {
                headers = [(name: "X-Hub-Signature-256", value: "sha256=\(String(decoding: body, as: UTF8.self))")]
            }
            if Bool.random(using: &random) {
                headers.append((name: "x-github-event", value: events.randomElement(using: &random)!))
            }
            let request = WebhookRequest(headers: headers, body: body)
            let verdict = verify(request, secrets: [[1]], now: Instant(millisecondsSince1970: 0))
            #expect(verdict == .invalid, "seed \(Self.seed)")
            do {
                _ = try decide(request, policy: policy())
            } catch {
                #expect([400, 422].contains(error.status), "seed \(Self.seed)")
            }
        }
    }

    @Test("base64 is read back with and without its padding")
    func base64RoundTrip() {
        var random = SeededGenerator(state: Self.seed)
        for count in 0..<70 {
            let some = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let text = base64(some)
            #expect(text == Data(some).base64EncodedString())
            #expect(bytes(base64: text.utf8) == some)
            #expect(bytes(base64: text.utf8.filter { $0 != UInt8(ascii: "=") }) == some)
            #expect(bytes(hex: hex(some).utf8) == some)
        }
        for text in ["A", "AAAAA", "A=", "AA=A", "AA===", "AAAA=", "A-_A", "AAA =", "="] {
            #expect(bytes(base64: text.utf8) == nil, "\(text)")
        }
    }
}

private func randomValue(depth: Int, _ random: inout SeededGenerator) -> JSON {
    switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &random) {
    case 0: return .null
    case 1: return .bool(Bool.random(using: &random))
    case 2: return .number(["0", "-1", "1.5", "2E-7", "123456789012345678901234567890"].randomElement(using: &random)!)
    case 3, 4: return .string(randomText(&random))
    case 5:
        return .array((0..<Int.random(in: 0...4, using: &random)).map { _ in randomValue(depth: depth - 1, &random) })
    default:
        var members: [String: JSON] = [:]
        for _ in 0..<Int.random(in: 0...4, using: &random) {
            members[randomText(&random)] = randomValue(depth: depth - 1, &random)
        }
        return .object(members)
    }
}

private func randomText(_ random: inout SeededGenerator) -> String {
    let scalars: [Unicode.Scalar] = [
        "a", "\"", "\\", "/", "\n", "\u{0}", "\u{1F}", "é", "\u{2028}", "😀", "\u{10FFFF}", "\u{FEFF}",
    ]
    var text = ""
    for _ in 0..<Int.random(in: 0...6, using: &random) {
        text.unicodeScalars.append(scalars.randomElement(using: &random)!)
    }
    return text
}

private func write(_ value: JSON, to text: inout String, _ random: inout SeededGenerator) {
    func space(_ random: inout SeededGenerator) -> String { ["", "", " ", "\n\t\r "].randomElement(using: &random)! }
    text += space(&random)
    switch value {
    case .null: text += "null"
    case .bool(let flag): text += "\(flag)"
    case .number(let digits): text += digits
    case .string(let content): text += written(content, &random)
    case .array(let items):
        text += "["
        for (index, item) in items.enumerated() {
            if index > 0 { text += "," }
            write(item, to: &text, &random)
        }
        text += items.isEmpty ? space(&random) + "]" : "]"
    case .object(let members):
        text += "{"
        for (index, member) in members.enumerated() {
            text += (index > 0 ? "," : "") + space(&random) + written(member.key, &random) + space(&random) + ":"
            write(member.value, to: &text, &random)
        }
        text += "}"
    }
    text += space(&random)
}

/// Text in quotes, each character as it is or escaped, as RFC 8259 leaves free.
private func written(_ text: String, _ random: inout SeededGenerator) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
        let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
        if mustEscape || Bool.random(using: &random) {
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16, uppercase: Bool.random(using: &random))
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        } else {
            quoted.unicodeScalars.append(scalar)
        }
    }
    return quoted + "\""
}
