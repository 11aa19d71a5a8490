// What the commits of a release changed, down to the line.

package import Releases

/// Lines of one file, counted from 1.
package struct LineRange: Hashable, Sendable {
    package var file: String
    package var lines: ClosedRange<Int>

    package init(file: String, lines: ClosedRange<Int>) {
        self.file = file
        self.lines = lines
    }
}

/// A line and the commit of a range that last changed it; nil: older than the range.
package struct BlamedLine: Hashable, Sendable {
    package var number: Int
    package var text: String
    package var commit: CommitID?
    /// The same when changes of white space alone do not count, and moved lines belong to who wrote them.
    package var contentCommit: CommitID?

    package init(number: Int, text: String, commit: CommitID?, contentCommit: CommitID?) {
        self.number = number
        self.text = text
        self.commit = commit
        self.contentCommit = contentCommit
    }
}

/// A commit that changed, added or removed something within lines that were followed through history.
package struct LineTouch: Hashable, Sendable {
    package var commit: CommitID
    /// What it changed there, as a unified diff.
    package var hunk: String

    package init(commit: CommitID, hunk: String) {
        self.commit = commit
        self.hunk = hunk
    }
}

/// The files a commit changed. Of a merge: only those it changed against all of its parents.
package struct CommitChange: Hashable, Sendable {
    package enum Kind: Hashable, Sendable { case added, modified, deleted }
    package var commit: CommitID
    package var isMerge: Bool
    /// Path -> what happened to it; of a rename both paths.
    package var files: [String: Kind]

    package init(commit: CommitID, isMerge: Bool, files: [String: Kind]) {
        self.commit = commit
        self.isMerge = isMerge
        self.files = files
    }
}

package protocol HistoryPort: Sendable {
    /// The paths of all files of the commit.
    func files(at commit: CommitID, repository: String) async throws(Failure) -> [String]
    /// nil when the commit has no such file, or one too large to be source.
    func text(of file: String, at commit: CommitID, repository: String) async throws(Failure) -> String?
    /// Whose the lines are at `to`, as far as commits after `from` go.
    func blame(
        _ range: LineRange, from: CommitID, to: CommitID, repository: String
    ) async throws(Failure) -> [BlamedLine]
    /// Commits after `from` that changed something within these lines of `to`, newest first; deletions count.
    func touches(
        _ range: LineRange, from: CommitID, to: CommitID, repository: String
    ) async throws(Failure) -> [LineTouch]
    /// What each commit reachable from `to` and not from `from` changed, newest first.
    func changes(from: CommitID, to: CommitID, repository: String) async throws(Failure) -> [CommitChange]
}
