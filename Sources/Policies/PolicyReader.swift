// Walks a tree against the shape of a policy and collects every mistake instead of stopping at the first one.

import Releases

/// One map of a policy, absent or present.
struct Section {
    /// `platform.process`; empty for the whole file.
    var path: String
    /// Where its key stands, or the nearest key above that exists.
    var place: Place
    var isPresent: Bool
    var entries: [String: Located.Entry]

    func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// Where the value of a key stands; the section itself when it has none.
    func place(of key: String) -> Place { entries[key]?.value.place ?? place }
}

struct PolicyReader {
    private(set) var mistakes: [PolicyMistake] = []
    /// Organisation defaults: what a service must say itself may be missing.
    var isPartial = false

    mutating func complain(_ place: Place, _ path: String, _ message: String, hint: String? = nil) {
        mistakes.append(PolicyMistake(place, path, message, hint: hint))
    }

    /// The whole file as a section.
    mutating func topLevel(_ root: Located) -> Section {
        section(of: root, path: "", shape: "", place: root.place)
    }

    /// The section under a key; an absent one reads as empty.
    ///
    /// - Parameter shape: As ``section(of:path:shape:place:)`` has it; nil: the section's path.
    mutating func section(_ parent: Section, _ key: String, shape: String? = nil) -> Section {
        let path = parent.path(of: key)
        guard let entry = parent.entries[key] else {
            return Section(path: path, place: parent.place, isPresent: false, entries: [:])
        }
        return section(of: entry.value, path: path, shape: shape ?? path, place: entry.place)
    }

    /// - Parameter shape: Key of ``Shape/keys`` that lists what is known here.
    mutating func section(of value: Located, path: String, shape: String, place: Place) -> Section {
        var section = Section(path: path, place: place, isPresent: true, entries: [:])
        guard let entries = entries(of: value, path: path) else { return section }
        let known = Shape.keys[shape] ?? []
        for entry in entries where !entry.key.hasPrefix("x-") {
            if known.contains(entry.key) {
                section.entries[entry.key] = entry
            } else {
                let home = path.isEmpty ? "" : " in \(path)"
                complain(
                    entry.place, section.path(of: entry.key), "unknown key \(quoted(entry.key))\(home)",
                    hint: Shape.hint(forUnknown: entry.key, in: shape))
            }
        }
        return section
    }

    /// The entries of a map; nil after complaining when the value is something else.
    mutating func entries(of value: Located, path: String) -> [Located.Entry]? {
        if case .map(let entries) = value.content { return entries }
        complainOfKind(value, path, "a map of keys")
        return nil
    }

    /// The items of a list; nil when the key is absent or, after complaining, when it is something else.
    mutating func items(_ section: Section, _ key: String) -> [Located]? {
        guard let entry = section.entries[key] else { return nil }
        if case .list(let items) = entry.value.content { return items }
        complainOfKind(entry.value, section.path(of: key), "a list", hint: "write [a, b] or one `- item` a line")
        return nil
    }

    /// Reads one scalar; nil after complaining.
    mutating func read<Value>(_ value: Located, path: String, _ reading: Reading<Value>) -> Value? {
        guard case .text(let text) = value.content else {
            complainOfKind(value, path, "one value")
            return nil
        }
        do {
            return try reading(text)
        } catch {
            complain(value.place, path, "\(name(path)) \(error.complaint)", hint: error.hint)
            return nil
        }
    }

    /// Replaces a default with what the file says, if it says anything.
    mutating func set<Value>(_ target: inout Value, _ section: Section, _ key: String, _ reading: Reading<Value>) {
        guard let entry = section.entries[key] else { return }
        if let value = read(entry.value, path: section.path(of: key), reading) { target = value }
    }

    /// What the file must say; nil after complaining.
    mutating func required<Value>(_ section: Section, _ key: String, hint: String, _ reading: Reading<Value>) -> Value?
    {
        guard let entry = section.entries[key] else {
            complainOfMissing(section, key, hint: hint)
            return nil
        }
        return read(entry.value, path: section.path(of: key), reading)
    }

    mutating func complainOfMissing(_ section: Section, _ key: String, hint: String) {
        guard !isPartial else { return }
        complain(section.place, section.path(of: key), "\(section.path(of: key)) is missing", hint: hint)
    }

    /// Replaces a default list of single values with the file's.
    mutating func setList<Value>(_ target: inout [Value], _ section: Section, _ key: String, _ reading: Reading<Value>)
    {
        guard let items = items(section, key) else { return }
        target = self.list(items, path: section.path(of: key), reading)
    }

    /// A list of single values without repetitions.
    mutating func setUniqueList<Value: Hashable>(
        _ target: inout [Value], _ section: Section, _ key: String, _ reading: Reading<Value>
    ) {
        guard let items = items(section, key) else { return }
        let path = section.path(of: key)
        var seen: Set<Value> = []
        target = []
        for (index, item) in items.enumerated() {
            guard let value = read(item, path: "\(path)[\(index)]", reading) else { continue }
            if seen.insert(value).inserted {
                target.append(value)
            } else {
                complain(item.place, "\(path)[\(index)]", "\(name(path))[\(index)] repeats an earlier item")
            }
        }
    }

    private mutating func list<Value>(_ items: [Located], path: String, _ reading: Reading<Value>) -> [Value] {
        var values: [Value] = []
        for (index, item) in items.enumerated() {
            if let value = read(item, path: "\(path)[\(index)]", reading) { values.append(value) }
        }
        return values
    }

    /// A map of free names to single values; names that come out equal are a mistake.
    mutating func setMap(
        _ target: inout [String: String], _ section: Section, _ key: String, name readName: Reading<String>,
        value readValue: Reading<String>
    ) {
        let path = section.path(of: key)
        guard let entry = section.entries[key], let entries = entries(of: entry.value, path: path) else { return }
        target = [:]
        for entry in entries {
            let entryPath = "\(path).\(entry.key)"
            let written = Located(place: entry.place, content: .text(entry.key))
            guard let name = read(written, path: path, readName),
                let value = read(entry.value, path: entryPath, readValue)
            else { continue }
            if target.updateValue(value, forKey: name) != nil {
                complain(entry.place, entryPath, "\(quoted(name)) is written more than once in \(path)")
            }
        }
    }

    private mutating func complainOfKind(_ value: Located, _ path: String, _ wanted: String, hint: String? = nil) {
        let subject = path.isEmpty ? "the file" : name(path)
        switch value.content {
        case .blank:
            complain(
                value.place, path, "\(subject) has no value",
                hint: "remove the key, or write null to drop what the defaults say")
        case .map(let entries) where entries.count == 1 && entries[0].isBlankName:
            complain(
                value.place, path, "\(subject) must be \(wanted), not a map",
                hint: "text with braces goes in quotes: \"{\(entries[0].key)}\"")
        case .null: complain(value.place, path, "\(subject) must be \(wanted), not null", hint: hint)
        case .map: complain(value.place, path, "\(subject) must be \(wanted), not a map", hint: hint)
        case .list: complain(value.place, path, "\(subject) must be \(wanted), not a list", hint: hint)
        case .text: complain(value.place, path, "\(subject) must be \(wanted), not a single value", hint: hint)
        }
    }

    /// What a value is called in a message: `steps[2]`, `share`.
    private func name(_ path: String) -> Substring {
        path.split(separator: ".").last ?? Substring(path)
    }
}

extension Located.Entry {
    /// `{port}` without quotes reads as a map of one key that has no value.
    fileprivate var isBlankName: Bool {
        if case .blank = value.content { return true }
        return false
    }
}
