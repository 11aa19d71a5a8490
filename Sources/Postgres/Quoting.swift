// Names and values as parts of SQL text, where a parameter is not allowed. Pure: no clock, no I/O.

/// A name as PostgreSQL reads it literally: `"Order""s"`. Always quoted, so keywords and capitals are safe.
///
/// - Precondition: the name has no zero byte, which no name in PostgreSQL can have.
package func quoteIdentifier(_ name: String) -> String { quote(name, with: "\"") }

/// A string literal: `'it''s'`. With a backslash in it an `E''` string, which means the same whatever
/// `standard_conforming_strings` says.
///
/// - Precondition: the value has no zero byte, which no text in PostgreSQL can have.
package func quoteLiteral(_ value: String) -> String {
    guard value.utf8.contains(UInt8(ascii: "\\")) else { return quote(value, with: "'") }
    // A leading space keeps the E apart from a word before it, as libpq's own PQescapeLiteral does.
    return " E"
        + quote(value.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\\\"), with: "'")
}

/// A string as the replication grammar takes it: there, a backslash is always just a backslash.
func quoteReplicationLiteral(_ value: String) -> String { quote(value, with: "'") }

private func quote(_ text: String, with mark: Character) -> String {
    precondition(!text.utf8.contains(0), "a zero byte cannot be part of SQL")
    var quoted = String(mark)
    quoted.reserveCapacity(text.utf8.count + 2)
    for scalar in text.unicodeScalars {
        if scalar == mark.unicodeScalars.first { quoted.unicodeScalars.append(scalar) }
        quoted.unicodeScalars.append(scalar)
    }
    quoted.append(mark)
    return quoted
}
