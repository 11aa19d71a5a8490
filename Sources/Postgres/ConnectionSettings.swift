// How to reach a database: libpq's keywords and values, in and out of the forms in which people write them.

import CLibPQ

/// Where a database is and who we are there.
///
/// `description` shows user, host, port and database and nothing else, so it is safe in a log line.
package struct ConnectionSettings: Hashable, Sendable {
    /// libpq's connection parameters (PostgreSQL: 34.1.2): `host`, `port`, `dbname`, `user`, `password`, `options`, ...
    package var parameters: [String: String]

    package init(parameters: [String: String]) { self.parameters = parameters }

    /// - Parameter url: a `postgres://` URI or a `keyword=value` string, as `psql` takes them.
    /// - Throws: ``PostgresError/usage(_:)`` with libpq's reason; words of the text, which may be a password, are left out.
    package init(url: String) throws(PostgresError) {
        var reason: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(url, &reason) else {
            let text = reason.map { String(cString: $0) } ?? "out of memory"
            PQfreemem(reason)
            throw .usage(
                "connection string not understood: \(Self.withoutQuotedWords(text))\nhint: see 'connection strings' in "
                    + "the documentation of libpq; percent-encode special characters of a password in a URI")
        }
        defer { PQconninfoFree(options) }
        parameters = Self.values(of: options)
    }

    package func with(_ keyword: String, _ value: String) -> ConnectionSettings {
        var copy = self
        copy.parameters[keyword] = value
        return copy
    }

    package func with(database: String) -> ConnectionSettings { with("dbname", database) }

    /// - Parameter password: nil takes the password out: another user's would not fit.
    package func with(user: String, password: String?) -> ConnectionSettings {
        var copy = with("user", user)
        copy.parameters["password"] = password
        return copy
    }

    /// The database libpq will ask for; the user's name when the settings do not say.
    package var database: String { parameters["dbname"] ?? Self.libraryDefault("dbname") ?? user }

    /// The user libpq will log in as; PGUSER or the OS user when the settings do not say.
    package var user: String { parameters["user"] ?? Self.libraryDefault("user") ?? "" }

    private static func libraryDefault(_ keyword: String) -> String? {
        guard let options = PQconndefaults() else { return nil }
        defer { PQconninfoFree(options) }
        return values(of: options)[keyword]
    }

    /// The keywords that have a value, of an array that ends with a keyword of NULL.
    private static func values(of options: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
        var values: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { values[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return values
    }

    /// libpq repeats the offending part of the text between double quotes, and that part may hold the password.
    private static func withoutQuotedWords(_ text: String) -> String {
        let pieces = text.split(separator: "\"", omittingEmptySubsequences: false)
        guard pieces.count > 1 else { return trimmed(text) }
        var safe = ""
        for (index, piece) in pieces.enumerated() {
            let isQuoted = index % 2 == 1
            safe += isQuoted ? (piece.count <= 1 ? "\"\(piece)\"" : "\"...\"") : piece
        }
        return trimmed(safe)
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}
