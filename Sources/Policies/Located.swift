// A YAML file as a tree in which every value knows where it was written, so that a value that a service overrides and
// one that it inherits are both reported at their own file, line and column.

import Yams

struct Located {
    indirect enum Content {
        /// A key with nothing after it.
        case blank
        /// `null` or `~`: what the defaults say is dropped.
        case null
        /// Any other scalar, as written: `true` and `8080` stay text until somebody asks for more.
        case text(String)
        case list([Located])
        case map([Entry])
    }

    struct Entry {
        var key: String
        var place: Place
        var value: Located
    }

    var place: Place
    var content: Content

    /// This tree with `base` showing wherever this one says nothing: maps merge, everything else replaces.
    func merged(over base: Located) -> Located {
        guard case .map(let own) = content, case .map(let inherited) = base.content else { return self }
        var entries = inherited
        for entry in own {
            if let index = entries.firstIndex(where: { $0.key == entry.key }) {
                let value = entry.value.merged(over: entries[index].value)
                entries[index] = Entry(key: entry.key, place: entry.place, value: value)
            } else {
                entries.append(entry)
            }
        }
        return Located(place: place, content: .map(entries))
    }

    /// The tree without the keys whose value is `null`; what is blank stays, to be reported.
    func withoutNulls() -> Located {
        guard case .map(let entries) = content else { return self }
        let kept = entries.compactMap { entry -> Entry? in
            if case .null = entry.value.content { return nil }
            return Entry(key: entry.key, place: entry.place, value: entry.value.withoutNulls())
        }
        return Located(place: place, content: .map(kept))
    }
}

extension Located {
    /// More values than any policy needs; aliases of aliases cannot grow past it.
    private static let mostValues = 10_000

    /// The one document in a YAML text; its root is a map.
    static func read(_ text: String, file: String) throws(PolicyRejected) -> Located {
        let start = Place(file: file, line: 1, column: 1)
        let root: Node?
        do {
            root = try Parser(yaml: text, encoding: .utf8).singleRoot()
        } catch {
            throw PolicyRejected(mistakes: [mistake(for: error, file: file)])
        }
        guard let root, case .mapping = root else {
            let message = root == nil ? "the file is empty" : "a policy must be a map of keys"
            throw PolicyRejected(mistakes: [
                PolicyMistake(start, "", message, hint: "begin with the line `service: NAME`")
            ])
        }
        var left = mostValues
        do {
            return try located(root, file: file, left: &left)
        } catch {
            throw PolicyRejected(mistakes: [error])
        }
    }

    private static func located(_ node: Node, file: String, left: inout Int) throws(PolicyMistake) -> Located {
        let place = Place(file: file, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
        left -= 1
        guard left >= 0 else {
            throw PolicyMistake(place, "", "the file holds more than \(mostValues) values")
        }
        switch node {
        case .scalar(let scalar):
            return Located(place: place, content: content(of: scalar))
        case .sequence(let items):
            var list: [Located] = []
            for item in items { list.append(try located(item, file: file, left: &left)) }
            return Located(place: place, content: .list(list))
        case .mapping(let pairs):
            var entries: [Entry] = []
            for (key, value) in pairs {
                guard case .scalar(let name) = key else {
                    throw PolicyMistake(place, "", "a key must be a word, not a list or a map", hint: quoteBraces)
                }
                let keyPlace = Place(file: file, line: key.mark?.line ?? 1, column: key.mark?.column ?? 1)
                entries.append(
                    Entry(key: name.string, place: keyPlace, value: try located(value, file: file, left: &left)))
            }
            return Located(place: place, content: .map(entries))
        case .alias:
            // The parser puts the value itself where an alias is used.
            throw PolicyMistake(place, "", "an alias that names nothing")
        }
    }

    private static func content(of scalar: Node.Scalar) -> Content {
        guard scalar.style == .plain else { return .text(scalar.string) }
        switch scalar.string {
        case "": return .blank
        case "~", "null", "Null", "NULL": return .null
        default: return .text(scalar.string)
        }
    }

    private static let quoteBraces = "text with braces goes in quotes: \"{port}\""

    private static func mistake(for error: any Error, file: String) -> PolicyMistake {
        func at(_ mark: Mark, _ problem: String, hint: String? = nil) -> PolicyMistake {
            let place = Place(file: file, line: max(1, mark.line), column: max(1, mark.column))
            return PolicyMistake(place, "", problem, hint: hint)
        }
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _)?:
            let hint =
                problem.contains("cannot start any token")
                ? "indent with spaces, and quote text that begins with a sign such as @ or `" : nil
            return at(mark, "not valid YAML: \(problem)", hint: hint)
        case .parser(_, let problem, let mark, _)?:
            let hint = problem.contains("',' or") ? quoteBraces : nil
            return at(mark, "not valid YAML: \(problem)", hint: hint)
        case .composer(_, let problem, let mark, _)?:
            return at(mark, "not valid YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context)?:
            let names = duplicates.sorted().map { "'\($0)'" }.joined(separator: ", ")
            return at(context.mark, "\(names) is written more than once in the same map", hint: "keep one of them")
        case .reader(let problem, let offset, _, let yaml)?:
            let before = yaml.prefix(offset ?? 0)
            let line = 1 + before.count(where: \.isNewline)
            let column = 1 + before.reversed().prefix { !$0.isNewline }.count
            return PolicyMistake(Place(file: file, line: line, column: column), "", "not valid YAML: \(problem)")
        case .no?, .memory?, .writer?, .emitter?, .representer?, .dataCouldNotBeDecoded?, nil:
            return PolicyMistake(Place(file: file, line: 1, column: 1), "", "not valid YAML")
        }
    }
}
