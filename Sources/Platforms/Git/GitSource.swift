// Commits by name and by range, from mirrors in the data folder.

package import Logging
package import Ports
package import Releases

/// A repository's commits as git knows them.
package struct GitSource: SourcePort {
    let dataFolder: String
    private let logger: Logger

    package init(dataFolder: String, logger: Logger) {
        self.dataFolder = FileSystem.absolute(dataFolder)
        self.logger = logger
    }

    package func resolve(_ name: String, repository: String) async throws(Failure) -> CommitID {
        guard Self.canBeName(name) else {
            throw Failure(
                "'\(name.prefix(100))' is not the name of a commit",
                hint: "use a commit id, an abbreviation of one, a tag or a branch")
        }
        let mirror = try await mirror(of: repository)
        // Digits that lead somewhere always lead there; a branch or tag may have moved.
        let isID = name.utf8.count >= 7 && name.allSatisfy { $0.isASCII && $0.isHexDigit }
        if isID, let known = try await lookUp(name, in: mirror) { return known }
        if let commit = CommitID(rawValue: name) {
            try await mirror.ensure(commit)
        } else {
            try await mirror.fetch()
        }
        guard let commit = try await lookUp(name, in: mirror) else {
            throw Failure(
                "\(name) is neither a commit, a tag nor a branch of \(mirror.shownName)",
                hint: "push it there first, or use more digits of its id")
        }
        logger.debug("commit resolved", metadata: ["name": "\(name)", "commit": "\(commit)"])
        return commit
    }

    package func commits(
        from: CommitID, to: CommitID, repository: String
    ) async throws(Failure) -> [CommitSummary] {
        let mirror = try await mirror(of: repository, having: [from, to])
        let output = try await mirror.git([
            "log", "-z", "--max-count=10000", "--format=%H%x1f%an <%ae>%x1f%ct%x1f%s", "\(from)..\(to)",
        ]).output()
        return output.split(separator: "\0").compactMap(Self.summary)
    }

    private func lookUp(_ name: String, in mirror: GitMirror) async throws(Failure) -> CommitID? {
        let answer = try await mirror.git([
            "rev-parse", "--verify", "--quiet", "--end-of-options", "\(name)^{commit}",
        ]).answer()
        guard answer.isSuccess else { return nil }
        return CommitID(rawValue: String(answer.output.prefix { !$0.isNewline }))
    }

    func mirror(of repository: String, having commits: [CommitID] = []) async throws(Failure) -> GitMirror {
        let mirror = try GitMirror(of: repository, in: dataFolder)
        try await mirror.ensure()
        for commit in commits { try await mirror.ensure(commit) }
        return mirror
    }

    /// `<id>\x1f<author>\x1f<seconds>\x1f<subject>`; the subject comes last as it may hold anything.
    private static func summary(_ line: Substring) -> CommitSummary? {
        let fields = line.split(separator: "\u{1F}", maxSplits: 3, omittingEmptySubsequences: false)
        guard fields.count == 4, let id = CommitID(rawValue: String(fields[0])), let seconds = Int64(fields[2]) else {
            return nil
        }
        return CommitSummary(
            id: id, author: String(fields[1]), subject: String(fields[3]), committedAt: seconds * 1_000)
    }

    /// Only names, none of git's expressions: git-check-ref-format(1), and no leading `-`.
    static func canBeName(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= 250, !name.hasPrefix("-"), !name.hasSuffix("."), !name.hasSuffix("/"),
            !name.contains(".."), !name.contains("@{"), !name.contains("//"), name != "@"
        else { return false }
        return name.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && !"~^:?*[\\".utf8.contains($0) }
    }
}
