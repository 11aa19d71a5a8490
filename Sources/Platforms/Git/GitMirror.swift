// A bare copy of one repository, from which checkouts and histories are read. Objects are never dropped, so a commit that
// was released once can be looked at for ever.

import FoundationEssentials
import Glibc
import Ports
import Releases

struct GitMirror: Sendable {
    /// As the policy names it: a path or a URL.
    let repository: String
    /// The bare repository.
    let path: String

    /// - Throws: when the name could be taken for an option.
    init(of repository: String, in dataFolder: String) throws(Failure) {
        guard !repository.isEmpty, !repository.hasPrefix("-"), !repository.utf8.contains(where: { $0 < 0x20 }) else {
            throw Failure(
                "'\(repository)' is not a repository", hint: "set source.repository to a path or a URL git can clone")
        }
        self.repository =
            Self.isRelativePath(repository)
            ? "\(FileManager.default.currentDirectoryPath)/\(repository)" : repository
        path = "\(dataFolder)/repositories/\(Self.folderName(of: self.repository))"
    }

    /// Makes the mirror when there is none yet.
    func ensure() async throws(Failure) {
        guard !FileSystem.exists(path) else { return }
        try await locked { () throws(Failure) in
            guard !FileSystem.exists(path) else { return }
            let temporary = "\(path).new"
            try FileSystem.remove(temporary)
            _ = try await git(["init", "--quiet", "--bare", "--template=", "--", temporary], at: nil).output()
            guard rename(temporary, path) == 0 else {
                throw Failure("cannot rename \(temporary): \(FileSystem.lastError())")
            }
        }
    }

    /// Brings every branch and tag up to date.
    func fetch() async throws(Failure) {
        try await fetch(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
    }

    /// Makes sure that the commit is here, even when no branch leads to it any more.
    func ensure(_ commit: CommitID) async throws(Failure) {
        try await ensure()
        if try await has(commit) { return }
        try await fetch()
        if try await has(commit) { return }
        do throws(Failure) {
            try await fetch([commit.rawValue])
        } catch {
            throw Failure(
                "commit \(commit.short) is not in \(shownName)",
                hint: "push it to a branch there, or correct source.repository")
        }
    }

    func has(_ commit: CommitID) async throws(Failure) -> Bool {
        try await git(["cat-file", "-e", "\(commit)^{commit}"]).answer().isSuccess
    }

    func git(_ arguments: [String], within deadline: Duration = .seconds(60)) -> GitCommand {
        git(arguments, at: path, within: deadline)
    }

    /// For messages and for `remote.origin.url`.
    var shownName: String { Redaction.withoutURLPasswords(repository) }

    private func git(_ arguments: [String], at place: String?, within deadline: Duration = .seconds(60)) -> GitCommand {
        GitCommand(repository: place, arguments: arguments, deadline: deadline)
    }

    private func fetch(_ references: [String]) async throws(Failure) {
        try await locked { () throws(Failure) in
            // upload-pack of a local repository does not see our settings, and refuses one of another user.
            let localServer = isLocal ? ["--upload-pack=git -c 'safe.directory=*' upload-pack"] : []
            let answer = try await git(
                ["fetch", "--quiet", "--force", "--prune", "--no-tags", "--no-write-fetch-head"] + localServer
                    + ["--end-of-options", repository] + references,
                within: .seconds(300)
            ).answer()
            guard answer.isSuccess else {
                throw Failure(
                    "cannot fetch from \(shownName): \(answer.complaint)",
                    hint: "check source.repository, and that the user perchd runs as may read it", isTransient: true)
            }
        }
    }

    private func locked(_ body: () async throws(Failure) -> Void) async throws(Failure) {
        try FileSystem.makeFolder(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
        try await withFileLock("\(path).lock", patience: .seconds(600), body)
    }

    private var isLocal: Bool { repository.hasPrefix("/") || repository.hasPrefix("file://") }

    /// Neither `/srv/shop.git`, `https://host/shop.git` nor `git@host:shop.git`.
    static func isRelativePath(_ repository: String) -> Bool {
        if repository.hasPrefix("/") || repository.contains("://") { return false }
        guard let colon = repository.firstIndex(of: ":") else { return true }
        return repository[..<colon].contains("/")
    }

    /// `shop.git-1f0c…`: the last part for people, FNV-1a (64 bit) of the whole for uniqueness.
    static func folderName(of repository: String) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in repository.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        let last = repository.split { $0 == "/" || $0 == ":" }.last ?? ""
        let readable = last.unicodeScalars.filter { scalar in
            scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil || scalar == "-")
        }
        return "\(String(String.UnicodeScalarView(readable.prefix(40))))-\(String(hash, radix: 16)).git"
    }
}
