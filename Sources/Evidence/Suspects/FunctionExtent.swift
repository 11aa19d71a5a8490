// Which lines belong to the function a frame names. Pure, and a guess by indentation: good enough to ask who touched them.

enum FunctionExtent {
    private static let longest = 400

    /// The function's lines around `line`, or a few lines when it has no name or none is found.
    static func lines(around line: Int, function: String?, in text: String) -> ClosedRange<Int>? {
        let lines = TraceReader.lines(of: text)
        let count = lines.last?.isEmpty == true ? lines.count - 1 : lines.count
        guard (1...max(1, count)).contains(line), count > 0 else { return nil }
        let near = max(1, line - 3)...min(count, line + 3)
        guard let name = function.flatMap(simpleName) else { return near }
        let first = max(1, line - longest)
        guard let start = (first...line).reversed().first(where: { defines(name, lines[$0 - 1]) }) else { return near }

        let indentation = indentation(of: lines[start - 1])
        let last = min(count, start + longest)
        var end = line
        for number in stride(from: line + 1, through: last, by: 1) {
            let text = lines[number - 1]
            guard !text.allSatisfy(\.isWhitespace) else { continue }
            if self.indentation(of: text) <= indentation {
                // What closes the function is still of it.
                if closes(text) { end = number }
                break
            }
            end = number
        }
        return start...max(end, line)
    }

    /// `main.(*Shop).place.func1` -> `place`; nil for code outside of functions.
    static func simpleName(_ function: String) -> String? {
        var text = function[...]
        for prefix in ["block in ", "rescue in ", "ensure in ", "closure #1 in "] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
        }
        // Swift's argument labels; Go's receiver also has parentheses, but something follows them.
        if text.hasSuffix(")"), let open = text.firstIndex(of: "("), open != text.startIndex { text = text[..<open] }
        let words = text.split { !($0.isLetter || $0.isNumber || $0 == "_" || $0 == "$") }
        let named = words.filter { word in
            !["anonymous", "module", "lambda", "listcomp", "main", "top", "required", "locals"].contains(word)
                && !(word.hasPrefix("func") && word.dropFirst(4).allSatisfy(\.isNumber))
        }
        return (named.last ?? (words.last == "main" ? "main" : nil)).map(String.init)
    }

    /// Whether the line could begin the function: its name as a word, followed by what functions are followed by.
    private static func defines(_ name: String, _ line: Substring) -> Bool {
        guard let range = line.firstRange(of: name) else { return false }
        let before = line[..<range.lowerBound].last
        let after = line[range.upperBound...].first
        let isWord = { (character: Character?) in
            character.map { $0.isLetter || $0.isNumber || $0 == "_" } ?? false
        }
        guard !isWord(before), !isWord(after), before != "." || line.contains("function") else { return false }
        let start = line.drop { $0 == " " || $0 == "\t" }
        let keywords = [
            "def ", "async def ", "func ", "function ", "async function ", "class ", "export ", "public ", "private ",
            "protected ", "package ", "internal ", "static ", "fun ", "override ", "mutating ", "const ", "let ",
            "var ",
            "fileprivate ", "final ", "@",
        ]
        if keywords.contains(where: start.hasPrefix) { return true }
        // A method of a JavaScript class or of Java without modifiers: `place(order) {`.
        return line.hasSuffix("{") && !start.hasPrefix("if") && !start.hasPrefix("return") && after == "("
    }

    private static func closes(_ line: Substring) -> Bool {
        let text = line.drop { $0 == " " || $0 == "\t" }
        return text.hasPrefix("}") || text.hasPrefix(")") || text.hasPrefix("end") || text.hasPrefix("]")
    }

    private static func indentation(of line: Substring) -> Int {
        line.prefix { $0 == " " || $0 == "\t" }.reduce(0) { $0 + ($1 == "\t" ? 4 : 1) }
    }
}
