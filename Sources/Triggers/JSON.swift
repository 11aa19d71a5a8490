// JSON (RFC 8259) as webhooks send it, read strictly: a mistake is named with its byte, a member occurs once, nesting
// is bounded. Pure, and total over any bytes.

/// Any JSON value. Numbers keep their text, so that no id is rounded.
indirect enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSON])
    case object([String: JSON])
}

/// Where bytes stop being JSON.
struct MalformedJSON: Error, Hashable {
    /// Lower case, no full stop: `expected ',' or '}'`.
    var message: String
    /// From 0.
    var offset: Int

    /// Line and column of the byte, both from 1.
    func position(in bytes: [UInt8]) -> (line: Int, column: Int) {
        let before = bytes[..<min(offset, bytes.count)]
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return (1 + before.count { $0 == UInt8(ascii: "\n") }, 1 + before.count - lineStart)
    }
}

struct JSONParser {
    /// Deeper than any event; bounds the stack.
    static let deepest = 128

    private let bytes: [UInt8]
    private var index = 0
    private var depth = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The one value that the bytes are.
    static func parse(_ bytes: [UInt8]) throws(MalformedJSON) -> JSON {
        var parser = JSONParser(bytes)
        parser.skipSpace()
        let value = try parser.value()
        parser.skipSpace()
        guard parser.index == bytes.count else { throw parser.malformed("expected the end") }
        return value
    }

    private func malformed(_ message: String, at offset: Int? = nil) -> MalformedJSON {
        MalformedJSON(message: message, offset: offset ?? index)
    }

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        index += 1
        return true
    }

    private mutating func value() throws(MalformedJSON) -> JSON {
        switch next {
        case UInt8(ascii: "{"): return try nested { parser throws(MalformedJSON) in try parser.object() }
        case UInt8(ascii: "["): return try nested { parser throws(MalformedJSON) in try parser.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw malformed("expected a value, found the end")
        case let byte?:
            guard byte == UInt8(ascii: "-") || isDigit(byte) else { throw malformed("expected a value") }
            return try number()
        }
    }

    private mutating func nested(
        _ read: (inout JSONParser) throws(MalformedJSON) -> JSON
    ) throws(MalformedJSON) -> JSON {
        guard depth < Self.deepest else { throw malformed("nested deeper than \(Self.deepest)") }
        depth += 1
        let value = try read(&self)
        depth -= 1
        return value
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(MalformedJSON) -> JSON {
        let start = index
        for offset in 0..<word.utf8CodeUnitCount where !take(word.utf8Start[offset]) {
            throw malformed("expected \(word)", at: start)
        }
        return value
    }

    private mutating func object() throws(MalformedJSON) -> JSON {
        index += 1
        var members: [String: JSON] = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            let start = index
            guard next == UInt8(ascii: "\"") else { throw malformed("expected a member's name in quotes") }
            let name = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw malformed("expected ':'") }
            skipSpace()
            guard members.updateValue(try value(), forKey: name) == nil else {
                throw malformed("member \(quoted(name)) occurs twice", at: start)
            }
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw malformed("expected ',' or '}'") }
            skipSpace()
        }
    }

    private mutating func array() throws(MalformedJSON) -> JSON {
        index += 1
        var items: [JSON] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(items) }
        while true {
            items.append(try value())
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(items) }
            guard take(UInt8(ascii: ",")) else { throw malformed("expected ',' or ']'") }
            skipSpace()
        }
    }

    private mutating func number() throws(MalformedJSON) -> JSON {
        let start = index
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) { try digits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        return .number(String(decoding: bytes[start..<index], as: UTF8.self))
    }

    private mutating func digits() throws(MalformedJSON) {
        let start = index
        while let byte = next, isDigit(byte) { index += 1 }
        guard index > start else { throw malformed("expected a digit") }
    }

    private mutating func string() throws(MalformedJSON) -> String {
        let start = index
        index += 1
        var text: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                guard let valid = String(validating: text, as: UTF8.self) else {
                    throw malformed("text that is not UTF-8", at: start)
                }
                return valid
            case UInt8(ascii: "\\"): text += try escape()
            case ..<0x20: throw malformed("a control character in a string")
            default:
                text.append(byte)
                index += 1
            }
        }
        throw malformed("a string that does not end", at: start)
    }

    private mutating func escape() throws(MalformedJSON) -> Unicode.Scalar.UTF8View {
        let start = index
        index += 1
        guard let kind = next else { throw malformed("a string that does not end", at: start) }
        index += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(kind).utf8
        case UInt8(ascii: "b"): return Unicode.Scalar(0x08).utf8
        case UInt8(ascii: "f"): return Unicode.Scalar(0x0C).utf8
        case UInt8(ascii: "n"): return Unicode.Scalar(0x0A).utf8
        case UInt8(ascii: "r"): return Unicode.Scalar(0x0D).utf8
        case UInt8(ascii: "t"): return Unicode.Scalar(0x09).utf8
        case UInt8(ascii: "u"):
            var code = try fourHexDigits(start)
            if (0xD800...0xDBFF).contains(code), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
                let low = try fourHexDigits(start)
                // Anything but a low half leaves a code no scalar has.
                code = (0xDC00...0xDFFF).contains(low) ? 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00) : 0xD800
            }
            guard let scalar = Unicode.Scalar(code) else { throw malformed("half of a surrogate pair", at: start) }
            return scalar.utf8
        default: throw malformed("an unknown escape", at: start)
        }
    }

    private mutating func fourHexDigits(_ start: Int) throws(MalformedJSON) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = hexDigit(byte) else {
                throw malformed("\\u needs four hex digits", at: start)
            }
            code = code << 4 | UInt32(digit)
            index += 1
        }
        return code
    }
}

private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

/// What was written, short enough and clean enough for a message.
func quoted(_ text: some StringProtocol) -> String {
    let clean = text.unicodeScalars.prefix(60).map { $0.properties.generalCategory == .control ? "?" : String($0) }
    return "'\(clean.joined())\(text.unicodeScalars.dropFirst(60).isEmpty ? "" : "...")'"
}
