// Which commits a release brings, and whose they are.

package import Releases

/// A commit as a report shows it.
package struct CommitSummary: Hashable, Sendable, Codable {
    package var id: CommitID
    package var author: String
    package var subject: String
    /// Milliseconds since 1970.
    package var committedAt: Int64

    package init(id: CommitID, author: String, subject: String, committedAt: Int64) {
        self.id = id
        self.author = author
        self.subject = subject
        self.committedAt = committedAt
    }
}

package protocol SourcePort: Sendable {
    /// Resolves a full id, an abbreviation, a tag or a branch to a commit, fetching when it is not known yet.
    func resolve(_ name: String, repository: String) async throws(Failure) -> CommitID
    /// Commits reachable from `to` and not from `from`, newest first.
    func commits(from: CommitID, to: CommitID, repository: String) async throws(Failure) -> [CommitSummary]
}
