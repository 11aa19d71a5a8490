// What of a failing request may be kept: values of named headers and fields are replaced. Pure.

/// The names of one table whose values never leave the router.
struct Redaction: Sendable {
    static let mark = "[redacted]"

    private let headers: Set<String>
    private let fields: Set<String>

    /// Credentials are redacted whatever the table says.
    init(headers: [String], fields: [String]) {
        self.headers = Set(headers.map { $0.lowercased() })
            .union(["authorization", "proxy-authorization", "cookie", "set-cookie"])
        self.fields = Set(fields.map { $0.lowercased() })
    }

    func header(_ name: String, _ value: String) -> String {
        if headers.contains(name.lowercased()) { return Self.mark }
        // `Referer` and `Location` repeat targets.
        return value.contains("?") ? target(value) : value
    }

    /// Path and query with the values of redacted query parameters replaced.
    func target(_ target: String) -> String {
        guard let mark = target.firstIndex(of: "?") else { return target }
        let query = target[target.index(after: mark)...]
        let end = query.firstIndex(of: "#") ?? query.endIndex
        return target[...mark] + form(query[..<end]) + query[end...]
    }

    /// The kept start of a body; `contentType` says how its fields are written.
    func body(_ bytes: [UInt8], contentType: String?, contentEncoding: String?) -> String {
        guard !bytes.isEmpty else { return "" }
        if let contentEncoding, !contentEncoding.isField("identity") {
            return "[\(bytes.count) bytes of \(contentEncoding)]"
        }
        let type = contentType?.lowercased() ?? ""
        if type.hasPrefix("application/x-www-form-urlencoded") {
            return form(String(decoding: bytes, as: UTF8.self)[...])
        }
        if type.hasPrefix("multipart/") { return multipart(bytes) }
        return json(bytes)
    }

    private func isRedacted(_ name: some StringProtocol) -> Bool {
        !fields.isEmpty && fields.contains(name.lowercased())
    }

    /// `name=value&name=value`, names percent-decoded before they are compared.
    private func form(_ text: Substring) -> String {
        text.split(separator: "&", omittingEmptySubsequences: false).map { pair -> Substring in
            guard let equals = pair.firstIndex(of: "=") else { return pair }
            let name = Self.percentDecoded(pair[..<equals])
            // `card[number]` and `card.number` are fields of `card`.
            let root = name.prefix { $0 != "[" && $0 != "." }
            return isRedacted(name) || isRedacted(root) ? pair[...equals] + Self.mark : pair
        }.joined(separator: "&")
    }

    private static func percentDecoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The parts of a multipart body whose `name="..."` is redacted lose their content.
    private func multipart(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        // A CR LF pair is one Character, so lines are told apart by it or by a bare line feed.
        var kept: [Substring] = []
        var inHeader = false
        var isSecret = false
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            if line.hasPrefix("--") {
                inHeader = true
                isSecret = false
            } else if inHeader {
                if line.isEmpty {
                    inHeader = false
                    kept.append(line)
                    if isSecret { kept.append(Self.mark[...]) }
                    continue
                }
                if let name = Self.partName(line), isRedacted(name) { isSecret = true }
            } else if isSecret {
                continue
            }
            kept.append(line)
        }
        return kept.joined(separator: "\n")
    }

    private static func partName(_ line: Substring) -> Substring? {
        guard line.lowercased().hasPrefix("content-disposition:") else { return nil }
        for parameter in line.split(separator: ";").dropFirst() {
            let parameter = parameter.trimmed
            guard parameter.lowercased().hasPrefix("name=") else { continue }
            let value = parameter.dropFirst("name=".count)
            return value.hasPrefix("\"") && value.hasSuffix("\"") ? value.dropFirst().dropLast() : value
        }
        return nil
    }

    /// JSON text, possibly cut anywhere: after a redacted key the whole value goes, objects and arrays too. Text that
    /// is not JSON has no keys and stays.
    private func json(_ bytes: [UInt8]) -> String {
        guard !fields.isEmpty else { return String(decoding: bytes, as: UTF8.self) }
        var scan = JSONScan(bytes: bytes)
        var kept: [UInt8] = []
        kept.reserveCapacity(bytes.count)
        while let byte = scan.current {
            guard byte == UInt8(ascii: "\"") else {
                kept.append(byte)
                scan.position += 1
                continue
            }
            let start = scan.position
            scan.skipString()
            kept += bytes[start..<scan.position]
            let key = JSONScan.unescaped(bytes[start..<scan.position])
            let afterKey = scan.position
            scan.skipSpace()
            guard scan.current == UInt8(ascii: ":") else {
                kept += bytes[afterKey..<scan.position]
                continue
            }
            scan.position += 1
            scan.skipSpace()
            kept += bytes[afterKey..<scan.position]
            guard isRedacted(key), scan.current != nil else { continue }
            scan.skipValue()
            kept += Array("\"\(Self.mark)\"".utf8)
        }
        return String(decoding: kept, as: UTF8.self)
    }
}

/// A place in JSON text that may end at any byte.
private struct JSONScan {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
        while let byte = current, byte == 0x20 || (0x09...0x0d).contains(byte) { position += 1 }
    }

    /// From the opening quote past the closing one, or to the end.
    mutating func skipString() {
        position += 1
        while let byte = current {
            position += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == UInt8(ascii: "\"") { break }
        }
        position = min(position, bytes.count)
    }

    mutating func skipValue() {
        switch current {
        case UInt8(ascii: "\""):
            skipString()
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            var depth = 0
            while let byte = current {
                switch byte {
                case UInt8(ascii: "\""):
                    skipString()
                    continue
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
                default: break
                }
                position += 1
                if depth == 0 { return }
            }
        default:
            while let byte = current, !Self.endsScalar(byte) { position += 1 }
        }
    }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") || byte <= 0x20
    }

    /// A quoted key without its quotes, `\uXXXX` of ASCII letters resolved.
    static func unescaped(_ quoted: ArraySlice<UInt8>) -> String {
        var rest = quoted.dropFirst()
        if rest.last == UInt8(ascii: "\"") { rest = rest.dropLast() }
        var key: [UInt8] = []
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let escape = rest.popFirst() else {
                key.append(byte)
                continue
            }
            if escape == UInt8(ascii: "u"), rest.count >= 4,
                let code = UInt8(String(decoding: rest.prefix(4), as: UTF8.self), radix: 16)
            {
                key.append(code)
                rest = rest.dropFirst(4)
            } else {
                key.append(escape)
            }
        }
        return String(decoding: key, as: UTF8.self)
    }
}
