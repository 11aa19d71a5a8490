// Who wrote which line, from git blame and git log.

package import Ports
package import Releases

extension GitSource: HistoryPort {
    package func files(at commit: CommitID, repository: String) async throws(Failure) -> [String] {
        let mirror = try await mirror(of: repository, having: [commit])
        return try await mirror.git(["ls-tree", "-r", "-z", "--name-only", "--full-tree", "\(commit)"]).output()
            .split(separator: "\0").map(String.init)
    }

    package func text(of file: String, at commit: CommitID, repository: String) async throws(Failure) -> String? {
        let mirror = try await mirror(of: repository, having: [commit])
        let size = try await mirror.git(["cat-file", "-s", "--end-of-options", "\(commit):\(file)"]).answer()
        guard size.isSuccess, let bytes = Int(size.output.prefix { $0.isNumber }), bytes <= 2 << 20 else { return nil }
        let answer = try await mirror.git(["cat-file", "blob", "\(commit):\(file)"]).answer()
        return answer.isSuccess ? answer.output : nil
    }

    package func blame(
        _ range: LineRange, from: CommitID, to: CommitID, repository: String
    ) async throws(Failure) -> [BlamedLine] {
        let mirror = try await mirror(of: repository, having: [from, to])
        let formatting = try await formattingCommits(at: to, repository: repository)
        let arguments = [
            "blame", "--porcelain", "--root", "-L", "\(range.lines.lowerBound),\(range.lines.upperBound)",
        ]
        let end = ["\(from)..\(to)", "--", range.file]
        let plain = try await mirror.git(arguments + end).output()
        let content = try await mirror.git(
            arguments + ["-w", "-M"] + formatting.map { "--ignore-rev=\($0)" } + end
        ).output()
        return zip(BlamePorcelain.lines(plain), BlamePorcelain.lines(content)).map { plain, content in
            BlamedLine(
                number: plain.number, text: plain.text, commit: plain.commit, contentCommit: content.commit)
        }
    }

    package func touches(
        _ range: LineRange, from: CommitID, to: CommitID, repository: String
    ) async throws(Failure) -> [LineTouch] {
        let mirror = try await mirror(of: repository, having: [from, to])
        let lines = "\(range.lines.lowerBound),\(range.lines.upperBound):\(range.file)"
        let output = try await mirror.git([
            "log", "--no-ext-diff", "--no-textconv", "--format=%x00%H", "-L", lines, "\(from)..\(to)",
        ]).output()
        return output.split(separator: "\0").compactMap { entry in
            let id = entry.prefix { !$0.isNewline }
            guard let commit = CommitID(rawValue: String(id)) else { return nil }
            let hunk = entry[id.endIndex...].drop { $0.isNewline }
            return LineTouch(commit: commit, hunk: String(hunk))
        }
    }

    package func changes(
        from: CommitID, to: CommitID, repository: String
    ) async throws(Failure) -> [CommitChange] {
        let mirror = try await mirror(of: repository, having: [from, to])
        let output = try await mirror.git([
            "log", "-c", "-z", "--name-status", "-M", "--no-ext-diff", "--max-count=10000", "--format=%x01%H %P",
            "\(from)..\(to)",
        ]).output()
        return NameStatus.changes(output)
    }

    /// Commits that `.git-blame-ignore-revs` says only changed the format; git's own name for the file.
    private func formattingCommits(
        at commit: CommitID, repository: String
    ) async throws(Failure) -> [CommitID] {
        guard let text = try await text(of: ".git-blame-ignore-revs", at: commit, repository: repository) else {
            return []
        }
        let listed = text.split(whereSeparator: \.isNewline).compactMap { line in
            CommitID(rawValue: String(line.prefix { $0 != "#" && !$0.isWhitespace }))
        }
        let mirror = try await mirror(of: repository)
        var known: [CommitID] = []
        for commit in listed.suffix(100) where try await mirror.has(commit) { known.append(commit) }
        return known
    }
}

/// Output of `git blame --porcelain`. Pure.
enum BlamePorcelain {
    struct Line: Hashable {
        var number: Int
        var text: String
        /// nil: the boundary of the range.
        var commit: CommitID?
    }

    /// Groups of `<id> <original line> <line> [count]`, headers (at a commit's first appearance), a tab and the text.
    static func lines(_ output: String) -> [Line] {
        var boundary: Set<Substring> = []
        var lines: [Line] = []
        var id: Substring = ""
        var number = 0
        // By bytes: as characters, the line end of a Windows file is another one than git's own.
        for bytes in output.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            let line = Substring(bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes)
            if line.hasPrefix("\t") {
                let commit = boundary.contains(id) ? nil : CommitID(rawValue: String(id))
                lines.append(Line(number: number, text: String(line.dropFirst()), commit: commit))
                id = ""
            } else if id.isEmpty {
                let fields = line.split(separator: " ")
                guard fields.count >= 3, let final = Int(fields[2]) else { continue }
                id = fields[0]
                number = final
            } else if line == "boundary" {
                boundary.insert(id)
            }
        }
        return lines
    }
}

/// Output of `git log -c -z --name-status --format=%x01%H %P`. Pure.
enum NameStatus {
    static func changes(_ output: String) -> [CommitChange] {
        var changes: [CommitChange] = []
        var tokens = output.split(separator: "\0").makeIterator()
        while let token = tokens.next() {
            if token.hasPrefix("\u{1}") {
                let ids = token.dropFirst().split(separator: " ")
                guard let first = ids.first, let commit = CommitID(rawValue: String(first)) else { continue }
                changes.append(CommitChange(commit: commit, isMerge: ids.count > 2, files: [:]))
                continue
            }
            let status = token.drop { $0.isNewline }
            guard !changes.isEmpty, let kind = status.first, let path = tokens.next() else { continue }
            let last = changes.endIndex - 1
            switch kind {
            case "A": changes[last].files[String(path)] = .added
            case "D": changes[last].files[String(path)] = .deleted
            case "R", "C":
                if kind == "R" { changes[last].files[String(path)] = .deleted }
                if let target = tokens.next() { changes[last].files[String(target)] = .added }
            default: changes[last].files[String(path)] = .modified
            }
        }
        return changes
    }
}
