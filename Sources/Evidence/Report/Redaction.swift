// Values that a policy says are never kept, taken out of free text: once more after the router, and of output, which never
// passed it. Pure.

/// Names whose values are replaced wherever they stand as `name: value` or `name=value`, in any notation.
struct Redaction: Sendable {
    static let mark = "[redacted]"

    private let headers: Set<String>
    /// Lower case, as bytes; the first byte first asked.
    private let fields: [[UInt8]]

    init(headers: [String], fields: [String]) {
        self.headers = Set(headers.map { $0.lowercased() })
        self.fields = fields.map { Array($0.lowercased().utf8) }.filter { !$0.isEmpty }
    }

    func header(_ name: String, _ value: String) -> String {
        headers.contains(name.lowercased()) ? Self.mark : text(value)
    }

    /// A column's or field's value.
    func value(_ value: String?, of name: String) -> String? {
        guard let value else { return nil }
        return fields.contains(Array(name.lowercased().utf8)) ? Self.mark : text(value)
    }

    /// Free text with the values behind redacted names and the passwords of URLs replaced.
    func text(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var kept: [UInt8] = []
        kept.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if let end = afterName(bytes, at: index), let value = valueStart(bytes, after: end) {
                kept += bytes[index..<value]
                kept += Self.mark.utf8
                index = valueEnd(bytes, from: value)
            } else if bytes[index...].starts(with: "://".utf8), let (user, at) = password(bytes, after: index + 3) {
                kept += bytes[index..<user]
                kept += Self.mark.utf8
                index = at
            } else {
                kept.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: kept, as: UTF8.self)
    }

    /// The end of a redacted name that begins here and is a whole word.
    private func afterName(_ bytes: [UInt8], at start: Int) -> Int? {
        guard start == 0 || !Self.isOfWord(bytes[start - 1]) || Self.isEscapedLetter(bytes, at: start - 1) else {
            return nil
        }
        for name in fields where start + name.count <= bytes.count {
            let end = start + name.count
            let isSame = zip(name, bytes[start..<end]).allSatisfy { $0 == Self.lowercased($1) }
            if isSame, end == bytes.count || !Self.isOfWord(bytes[end]) { return end }
        }
        return nil
    }

    /// `"name": `, `'name' => `, `name=`, `name[part]=`, `\"name\":`; nil when no value follows.
    private func valueStart(_ bytes: [UInt8], after end: Int) -> Int? {
        var index = end
        if index < bytes.count, bytes[index] == UInt8(ascii: "[") {
            guard let close = bytes[index...].prefix(64).firstIndex(of: UInt8(ascii: "]")) else { return nil }
            index = close + 1
        }
        while index < bytes.count, bytes[index] == UInt8(ascii: "\\") || Self.isQuote(bytes[index]) { index += 1 }
        while index < bytes.count, Self.isSpace(bytes[index]) { index += 1 }
        guard index < bytes.count, bytes[index] == UInt8(ascii: ":") || bytes[index] == UInt8(ascii: "=") else {
            return nil
        }
        index += 1
        if index < bytes.count, bytes[index] == UInt8(ascii: ">") { index += 1 }
        while index < bytes.count, Self.isSpace(bytes[index]) { index += 1 }
        return index < bytes.count ? index : nil
    }

    /// Where the value ends: its closing quote or bracket, or for a bare word what separates words. A cut value ends the text.
    private func valueEnd(_ bytes: [UInt8], from start: Int) -> Int {
        var index = start
        var escapes = 0
        while index < bytes.count, bytes[index] == UInt8(ascii: "\\") {
            escapes += 1
            index += 1
        }
        guard index < bytes.count else { return index }
        if Self.isQuote(bytes[index]) {
            let quote = bytes[index]
            index += 1
            var run = 0
            while index < bytes.count {
                if bytes[index] == UInt8(ascii: "\\") {
                    run += 1
                } else if bytes[index] == quote, run <= escapes {
                    return index + 1
                } else {
                    run = 0
                }
                index += 1
            }
            return index
        }
        if bytes[index] == UInt8(ascii: "{") || bytes[index] == UInt8(ascii: "[") {
            var depth = 0
            while index < bytes.count {
                if bytes[index] == UInt8(ascii: "{") || bytes[index] == UInt8(ascii: "[") { depth += 1 }
                if bytes[index] == UInt8(ascii: "}") || bytes[index] == UInt8(ascii: "]") { depth -= 1 }
                index += 1
                if depth == 0 { return index }
            }
            return index
        }
        while index < bytes.count, bytes[index] > 0x20, !",;&}])\"'`<>\\".utf8.contains(bytes[index]) { index += 1 }
        return index
    }

    /// Start and end of what an authority hides before its `@`: the password, or the only word, which may be a token.
    private func password(_ bytes: [UInt8], after start: Int) -> (start: Int, end: Int)? {
        let authority = bytes[start...].prefix { $0 > 0x20 && $0 < 0x7F && !"/?#\"'<>`\\".utf8.contains($0) }
        guard let at = authority.lastIndex(of: UInt8(ascii: "@")) else { return nil }
        let colon = authority[..<at].firstIndex(of: UInt8(ascii: ":"))
        return (colon.map { $0 + 1 } ?? start, at)
    }

    private static func isQuote(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") }
    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private static func isOfWord(_ byte: UInt8) -> Bool {
        lowercased(byte) >= UInt8(ascii: "a") && lowercased(byte) <= UInt8(ascii: "z")
            || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") || byte == UInt8(ascii: "_") || byte >= 0x80
    }

    /// The `n` of `\n` in a JSON string is no part of the word that follows.
    private static func isEscapedLetter(_ bytes: [UInt8], at index: Int) -> Bool {
        index > 0 && bytes[index - 1] == UInt8(ascii: "\\") && "nrt".utf8.contains(bytes[index])
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}
