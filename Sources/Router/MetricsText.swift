// Prometheus' text exposition format, version 0.0.4. Pure.

/// Lines of one page, family by family.
struct MetricsText {
    enum Kind: String { case counter, gauge, histogram }

    private(set) var lines = ""
    private var name = ""

    /// Begins a family; the samples that follow are its own.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        lines += "# HELP \(name) \(Self.escaped(help, quote: false))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// - Parameter suffix: `_bucket`, `_sum` or `_count` of a histogram.
    mutating func sample(suffix: String = "", _ labels: [(String, String)], _ value: String) {
        lines += name + suffix
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.0)=\"\(Self.escaped($0.1, quote: true))\"" }
            lines += "{" + pairs.joined(separator: ",") + "}"
        }
        lines += " \(value)\n"
    }

    mutating func sample(suffix: String = "", _ labels: [(String, String)], _ value: UInt64) {
        sample(suffix: suffix, labels, "\(value)")
    }

    /// In a label's value a backslash, a line feed and a quote are escaped, in a help text the first two.
    static func escaped(_ text: String, quote: Bool) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quote: escaped += "\\\""
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    /// Exact, without an exponent and without zeros at the end: `0.000128`, `2.5`, `3`.
    static func seconds(microseconds: UInt64) -> String {
        let (whole, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        guard rest > 0 else { return "\(whole)" }
        var digits = String(1_000_000 + rest).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(whole).\(digits)"
    }
}
