// What is wrong with a policy file, and where.

/// Where something was written.
struct Place: Hashable, Sendable {
    var file: String
    /// From 1.
    var line: Int
    /// From 1, in Unicode scalars.
    var column: Int
}

/// One mistake in one policy file.
package struct PolicyMistake: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    package var file: String
    /// From 1.
    package var line: Int
    /// From 1, in Unicode scalars.
    package var column: Int
    /// `cohort.steps[2].share`, list items counted from 0; empty when the file as a whole is meant.
    package var path: String
    /// Lower case, no full stop. Never holds what was written where a secret belongs.
    package var message: String
    package var hint: String?

    init(_ place: Place, _ path: String, _ message: String, hint: String? = nil) {
        self.file = place.file
        self.line = place.line
        self.column = place.column
        self.path = path
        self.message = message
        self.hint = hint
    }

    package var description: String {
        let line = "\(file):\(line):\(column): \(message)"
        guard let hint else { return line }
        return "\(line)\nhint: \(hint)"
    }
}

/// A policy that cannot be used, with everything that is wrong with it.
package struct PolicyRejected: Error, Hashable, Sendable, CustomStringConvertible {
    /// Never empty; the service's own file first, then by line and column.
    package let mistakes: [PolicyMistake]

    package var description: String { mistakes.map(\.description).joined(separator: "\n") }
}
