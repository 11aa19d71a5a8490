// How documents become JSON: snake_case keys, absent instead of null, keys in order. Both sides of the API use this coder.

import FoundationEssentials

/// The coder of everything under `/api/v1`.
///
/// A property's words are joined by `_` and put in lower case (`heldWALBytes` is `held_wal_bytes`); reading undoes it with
/// the same table of initials. Keys of maps, such as column names, are left as they are. A nil is left out.
package enum ControlJSON {
    package static func encode(_ document: some Encodable, isPretty: Bool = false) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .custom { path in JSONKey(snakeCase(path[path.count - 1].stringValue)) }
        encoder.outputFormatting =
            isPretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(document), as: UTF8.self)
    }

    package static func decode<Document: Decodable>(
        _ type: Document.Type, from bytes: some Sequence<UInt8>
    ) throws -> Document {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .custom { path in JSONKey(camelCase(path[path.count - 1].stringValue)) }
        return try decoder.decode(type, from: Data(bytes))
    }

    /// Words that Swift writes in capitals inside a name.
    private static let initials: Set<String> = ["lsn", "wal", "url", "id"]

    static func snakeCase(_ name: String) -> String {
        var result = ""
        let letters = Array(name)
        for (index, letter) in letters.enumerated() {
            let startsWord =
                letter.isUppercase && index > 0
                && (!letters[index - 1].isUppercase
                    || (index + 1 < letters.count && letters[index + 1].isLowercase))
            if startsWord { result.append("_") }
            result.append(contentsOf: letter.lowercased())
        }
        return result
    }

    static func camelCase(_ name: String) -> String {
        let words = name.split(separator: "_").map(String.init)
        guard let first = words.first else { return name }
        let others = words.dropFirst().map { word in
            initials.contains(word) ? word.uppercased() : word.prefix(1).uppercased() + word.dropFirst()
        }
        return first + others.joined()
    }
}

private struct JSONKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(_ stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init?(stringValue: String) { self.init(stringValue) }

    init?(intValue: Int) {
        stringValue = String(intValue)
        self.intValue = intValue
    }
}
