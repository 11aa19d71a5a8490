// Colours and columns. Pure.

struct Style: Hashable, Sendable {
    var isColored: Bool

    func bold(_ text: String) -> String { colored(text, "1") }
    func dim(_ text: String) -> String { colored(text, "2") }
    func red(_ text: String) -> String { colored(text, "31") }
    func green(_ text: String) -> String { colored(text, "32") }
    func yellow(_ text: String) -> String { colored(text, "33") }
    func cyan(_ text: String) -> String { colored(text, "36") }

    private func colored(_ text: String, _ code: String) -> String {
        isColored && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

/// Text from elsewhere on one line, with nothing in it that a terminal would obey.
func plain(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { scalar in
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate:
                    scalar == "\n" || scalar == "\t" ? " " : "?"
                default: scalar
                }
            }))
}

/// Many lines from elsewhere, line by line as ``plain(_:)`` makes them.
func plainLines(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { plain(String($0)) }.joined(separator: "\n")
}

/// How many columns a text takes; colours take none.
func width(_ text: String) -> Int {
    var count = 0
    var isEscape = false
    for character in text {
        if isEscape {
            isEscape = character != "m"
        } else if character == "\u{1B}" {
            isEscape = true
        } else {
            count += 1
        }
    }
    return count
}

/// No wider than `columns`; colours that were begun are ended.
func clipped(_ line: String, to columns: Int) -> String {
    guard width(line) > columns else { return line }
    var result = ""
    var count = 0
    var isEscape = false
    var hasColor = false
    for character in line {
        if isEscape {
            isEscape = character != "m"
        } else if character == "\u{1B}" {
            isEscape = true
            hasColor = true
        } else {
            guard count < columns - 1 else { break }
            count += 1
        }
        result.append(character)
    }
    return result + "…" + (hasColor ? "\u{1B}[0m" : "")
}

enum Alignment { case left, right }

/// Rows as lines, two spaces between columns, nothing behind the last one.
func table(_ rows: [[String]], _ alignments: [Alignment] = []) -> [String] {
    let count = rows.map(\.count).max() ?? 0
    let widths = (0..<count).map { column in rows.map { $0.count > column ? width($0[column]) : 0 }.max() ?? 0 }
    return rows.map { row in
        var line = ""
        for (column, cell) in row.enumerated() {
            let padding = String(repeating: " ", count: widths[column] - width(cell))
            let isRight = column < alignments.count && alignments[column] == .right
            line += (column == 0 ? "" : "  ") + (isRight ? padding + cell : cell + padding)
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}

/// `Name:` and value, values below each other; a name that is empty goes on with the one before.
func keyValues(_ pairs: [(name: String, value: String)]) -> [String] {
    let longest = pairs.map { width($0.name) }.max() ?? 0
    return pairs.map { name, value in
        let label = name.isEmpty ? "" : name + ":"
        return label + String(repeating: " ", count: longest + 3 - width(label)) + value
    }
}
