// Reads members of a JSON document, remembering where each one is.

struct Member {
    let value: JSON
    /// JSON pointer; empty for the whole document.
    let place: String

    init(_ value: JSON, place: String = "") {
        self.value = value
        self.place = place
    }

    private func place(of name: String) -> String {
        let escaped = name.map { character -> String in
            switch character {
            case "~": "~0"
            case "/": "~1"
            default: String(character)
            }
        }
        return "\(place)/\(escaped.joined())"
    }

    /// All members of an object.
    func members() throws(TriggerRejection) -> [String: JSON] {
        guard case .object(let members) = value else {
            throw TriggerRejection(422, "\(name) must be an object", at: place)
        }
        return members
    }

    /// A member that may be absent; `null` is absent too.
    func optional(_ name: String) throws(TriggerRejection) -> Member? {
        guard let value = try members()[name], value != .null else { return nil }
        return Member(value, place: place(of: name))
    }

    func required(_ name: String, hint: String? = nil) throws(TriggerRejection) -> Member {
        guard let member = try optional(name) else {
            throw TriggerRejection(422, "member \(quoted(name)) is missing", at: place(of: name), hint: hint)
        }
        return member
    }

    func text() throws(TriggerRejection) -> String {
        guard case .string(let text) = value else {
            var hint: String?
            if case .number(let digits) = value { hint = "write \"\(digits)\"" }
            throw TriggerRejection(422, "\(name) must be a string", at: place, hint: hint)
        }
        return text
    }

    func integer() throws(TriggerRejection) -> Int64 {
        guard case .number(let text) = value, let number = Int64(text) else {
            throw TriggerRejection(422, "\(name) must be a whole number", at: place)
        }
        return number
    }

    func refused(_ message: String, hint: String? = nil) -> TriggerRejection {
        TriggerRejection(422, "\(name) \(message)", at: place, hint: hint)
    }

    /// Refuses members nobody reads: a misspelled one would otherwise be lost in silence.
    func allow(only known: [String]) throws(TriggerRejection) {
        let unknown = try members().keys.filter { !known.contains($0) }.sorted()
        guard let name = unknown.first else { return }
        throw TriggerRejection(
            422, "unknown member \(quoted(name))", at: place(of: name),
            hint: "known here: \(known.joined(separator: ", "))")
    }

    /// What a message calls it: the last part of its place.
    private var name: String {
        place.isEmpty ? "the body" : quoted(place.split(separator: "/", omittingEmptySubsequences: false).last ?? "")
    }
}
