// Whose commit it was, as far as that can be known. Pure values.

import Ports
import Releases

/// How near a commit is to where it broke, the nearest first.
enum Nearness: Int, Hashable, Sendable, Comparable, CaseIterable {
    /// It last changed the very line.
    case line
    /// It changed something in the function around.
    case function
    /// It changed the file.
    case file
    /// It changed a file whose path the failures name without a line.
    case named

    static func < (left: Nearness, right: Nearness) -> Bool { left.rawValue < right.rawValue }

    /// As in the report's JSON.
    var word: String {
        switch self {
        case .line: "line"
        case .function: "function"
        case .file: "file"
        case .named: "named"
        }
    }
}

/// Why a commit is suspected.
struct Clue: Hashable, Sendable {
    var commit: CommitID
    var nearness: Nearness
    /// nil when only a path was named.
    var frame: FoundFrame?
    var file: String
    /// The line's text at the new version.
    var text: String?
    /// What the commit changed there, as a diff.
    var hunk: String?
    /// What is special: that only white space was changed.
    var note: String?
}

struct Suspect: Hashable, Sendable {
    var commit: CommitSummary
    /// Nearest first; empty for the only commit of a range, which needs none.
    var clues: [Clue]
}

enum Certainty: String, Hashable, Sendable, Codable { case certain, suspected, unknown }

/// What became of the search for the commit.
struct Attribution: Hashable, Sendable {
    var certainty: Certainty
    /// Why, as a sentence part: `it is the only commit between ... and ...`.
    var reason: String
    /// Most suspected first.
    var suspects: [Suspect]
    /// Everything the new version brought, newest first.
    var commits: [CommitSummary]
    /// What stable has and the new version lacks, newest first.
    var missing: [CommitSummary]
    var frames: [FoundFrame]

    static func unknown(_ reason: String, commits: [CommitSummary] = [], frames: [FoundFrame] = []) -> Attribution {
        Attribution(
            certainty: .unknown, reason: reason, suspects: [], commits: commits, missing: [], frames: frames)
    }
}
