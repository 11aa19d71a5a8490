// Text from outside inside Markdown: nothing it holds is markup, HTML, a link or a mention. Pure. CommonMark 0.31, GFM.

enum Markdown {
    private static let longestInline = 300

    /// Words of a sentence. Everything CommonMark and GitHub could take for markup is escaped.
    static func prose(_ text: String) -> String {
        var escaped = ""
        let scalars = Array(flat(text, limit: 2_000).unicodeScalars)
        for (index, scalar) in scalars.enumerated() {
            switch scalar {
            case "\\", "`", "*", "[", "]", "|", "~", "$", "!":
                escaped += "\\" + String(scalar)
            case "<": escaped += "&lt;"
            case ">": escaped += index == 0 ? "&gt;" : ">"
            case "&": escaped += "&amp;"
            case "@": escaped += "&#64;"
            case "_":
                // Between letters it is itself.
                let isInside =
                    index > 0 && index + 1 < scalars.count && isWord(scalars[index - 1])
                    && isWord(scalars[index + 1])
                escaped += isInside ? "_" : "\\_"
            case "#", "-", "+", "=":
                escaped += index == 0 ? "\\" + String(scalar) : String(scalar)
            case ":":
                // `https://` would become a link by itself.
                let isScheme = index + 2 < scalars.count && scalars[index + 1] == "/" && scalars[index + 2] == "/"
                escaped += isScheme ? "&#58;" : ":"
            case ".", ")":
                let isListItem = index > 0 && scalars[..<index].allSatisfy { $0.properties.numericType != nil }
                escaped += isListItem ? "\\" + String(scalar) : String(scalar)
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// A code span; inside nothing is markup. Longer than the longest run of backticks it holds.
    static func code(_ text: String) -> String {
        let flat = flat(text, limit: longestInline)
        guard !flat.isEmpty else { return "(empty)" }
        let ticks = String(repeating: "`", count: longestRun(of: "`", in: flat) + 1)
        let needsSpace = flat.hasPrefix("`") || flat.hasSuffix("`")
        return needsSpace ? "\(ticks) \(flat) \(ticks)" : ticks + flat + ticks
    }

    /// A code span in a table's cell, where a pipe ends the cell even in code.
    static func cell(_ text: String) -> String { code(text).replacing("|", with: "\\|") }

    /// A fenced block; at most `lines` of the text.
    static func block(_ text: String, language: String = "", lines limit: Int = 60) -> String {
        var lines = TraceReader.lines(of: text)
        if lines.last?.isEmpty == true { lines.removeLast() }
        var shown = lines.prefix(limit).map { line in
            String(String.UnicodeScalarView(line.unicodeScalars.prefix(1_000).filter { isShown($0) || $0 == "\t" }))
        }
        if lines.count > limit { shown.append("... \(lines.count - limit) lines more") }
        let content = shown.joined(separator: "\n")
        let fence = String(repeating: "`", count: max(3, longestRun(of: "`", in: content) + 1))
        return "\(fence)\(language)\n\(content)\n\(fence)"
    }

    /// A link, when the address is one that a browser may be sent to; otherwise the address as code.
    static func link(_ title: String, _ address: String) -> String {
        let isWeb = address.hasPrefix("https://") || address.hasPrefix("http://")
        let isPlain = address.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"<>\\\"`".utf8.contains($0) }
        guard isWeb, isPlain else { return "\(prose(title)): \(code(address))" }
        return "[\(prose(title))](<\(address)>)"
    }

    /// On one line, without control characters and without those that turn the direction of text.
    private static func flat(_ text: String, limit: Int) -> String {
        var flat = String.UnicodeScalarView()
        var isAfterSpace = true
        for scalar in text.unicodeScalars {
            let isSpace = scalar.properties.isWhitespace
            if isSpace ? !isAfterSpace : isShown(scalar) { flat.append(isSpace ? " " : scalar) }
            isAfterSpace = isSpace
            if flat.count >= limit {
                flat.append("…")
                break
            }
        }
        if flat.last == " " { flat.removeLast() }
        return String(flat)
    }

    private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }

    private static func longestRun(of character: Character, in text: String) -> Int {
        var longest = 0
        var current = 0
        for next in text {
            current = next == character ? current + 1 : 0
            longest = max(longest, current)
        }
        return longest
    }
}
