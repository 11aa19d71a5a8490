// Writes YAML that explains itself: one comment a line, text quoted only where another reader could take it for
// something else.

struct AnnotatedYAML {
    private(set) var text = ""
    private var depth = 0
    /// The next line begins an item of a list.
    private var beginsItem = false

    /// A line of its own at the current depth.
    mutating func comment(_ comment: String) {
        line("# \(comment)")
    }

    mutating func blankLine() { text += "\n" }

    /// - Parameter written: The value as YAML on one line.
    mutating func key(_ key: String, _ written: String, _ comment: String = "") {
        line("\(key): \(written)", comment)
    }

    mutating func item(_ written: String) {
        line("- \(written)")
    }

    mutating func map(_ key: String, _ comment: String = "", _ body: (inout AnnotatedYAML) -> Void) {
        line("\(key):", comment)
        depth += 1
        body(&self)
        depth -= 1
    }

    /// An item of a list with keys of its own, at least one, the first one beside the dash.
    mutating func item(_ body: (inout AnnotatedYAML) -> Void) {
        depth += 1
        beginsItem = true
        body(&self)
        depth -= 1
    }

    private mutating func line(_ content: String, _ comment: String = "") {
        let dashDepth = beginsItem ? 1 : 0
        text += String(repeating: "  ", count: depth - dashDepth) + (beginsItem ? "- " : "") + content
        beginsItem = false
        if !comment.isEmpty { text += "  # \(comment)" }
        text += "\n"
    }
}

/// `[a, "b c"]`
func flowList(_ items: [String]) -> String {
    "[\(items.map(yamlText).joined(separator: ", "))]"
}

/// `{a: b}`, keys in order.
func flowMap(_ map: [String: String]) -> String {
    let pairs = map.sorted { $0.key < $1.key }.map { "\(yamlText($0.key)): \(yamlText($0.value))" }
    return "{\(pairs.joined(separator: ", "))}"
}

/// A scalar that every YAML reader takes for this text.
func yamlText(_ text: String) -> String {
    let words: Set = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
    let isPlain =
        text.utf8.allSatisfy { isAlphanumeric($0) || "_./:+@%-".utf8.contains($0) }
        && text.utf8.first.map { isAlphanumeric($0) || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "_") } == true
        && !text.hasSuffix(":") && !words.contains(text.lowercased()) && Double(text) == nil && !text.hasPrefix("0x")
    guard !isPlain else { return text }
    var quoted = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": quoted += "\\\""
        case "\\": quoted += "\\\\"
        case "\n": quoted += "\\n"
        case "\t": quoted += "\\t"
        // What YAML calls printable, less what it takes for a line break or a byte order mark.
        case "\u{20}"..."\u{7E}", "\u{A0}"..."\u{2027}", "\u{202A}"..."\u{D7FF}", "\u{E000}"..."\u{FEFE}",
            "\u{FF00}"..."\u{FFFD}", "\u{10000}"..."\u{10FFFF}":
            quoted.unicodeScalars.append(scalar)
        default:
            let digits = String(scalar.value, radix: 16)
            quoted += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
        }
    }
    return quoted + "\""
}
