// Who touched the places that the failures name: asks the history, keeps what each answer shows.

import Ports
import Releases

struct ClueSearch: Sendable {
    let history: any HistoryPort
    let repository: String
    let stable: CommitID
    let canary: CommitID
    /// Commits that stable lacks: only they can be suspected.
    let range: Set<CommitID>
    let changes: [CommitChange]

    private static let longestHunk = 40

    /// Clues from one frame. Every commit of the range that touched its file gives at least the weakest.
    func clues(from frame: FoundFrame) async throws(Failure) -> [Clue] {
        let touching = changes.filter { $0.files[frame.file] != nil }
        // Nobody of the range: nothing to ask git about.
        guard !touching.isEmpty else { return [] }
        var clues: [CommitID: Clue] = [:]
        for change in touching {
            clues[change.commit] = Clue(commit: change.commit, nearness: .file, frame: frame, file: frame.file)
        }
        let text = try await history.text(of: frame.file, at: canary, repository: repository)
        if let text, let extent = FunctionExtent.lines(around: frame.line, function: frame.function, in: text) {
            let lines = LineRange(file: frame.file, lines: extent)
            for touch in try await history.touches(lines, from: stable, to: canary, repository: repository) {
                guard range.contains(touch.commit) else { continue }
                clues[touch.commit] = Clue(
                    commit: touch.commit, nearness: .function, frame: frame, file: frame.file,
                    text: line(frame.line, of: text), hunk: Self.shortened(touch.hunk))
            }
            try await blame(frame, into: &clues)
        }
        return Array(clues.values)
    }

    private func blame(_ frame: FoundFrame, into clues: inout [CommitID: Clue]) async throws(Failure) {
        let one = LineRange(file: frame.file, lines: frame.line...frame.line)
        let blamed = try await history.blame(one, from: stable, to: canary, repository: repository).first
        guard let blamed else { return }
        func note(_ commit: CommitID, _ nearness: Nearness, _ note: String?) {
            guard range.contains(commit) else { return }
            let hunk = clues[commit]?.hunk
            clues[commit] = Clue(
                commit: commit, nearness: nearness, frame: frame, file: frame.file, text: blamed.text, hunk: hunk,
                note: note)
        }
        switch (blamed.commit, blamed.contentCommit) {
        case (let plain?, let content?) where plain == content:
            note(plain, .line, nil)
        case (let plain, let content):
            if let content { note(content, .line, nil) }
            // Where white space means something, as in Python, it can still be the culprit.
            if let plain { note(plain, .function, "it changed only the line's white space, or formatted it") }
        }
    }

    /// Commits that changed a file whose path stands in the text without a line: a missing template, a deleted module.
    func clues(named text: String) -> [Clue] {
        changes.flatMap { change in
            change.files.keys.sorted().compactMap { file -> Clue? in
                // A bare name is a word like any other.
                guard file.contains("/") || file.contains("."), file.utf8.count >= 6, text.contains(file) else {
                    return nil
                }
                let note: String? =
                    switch change.files[file] {
                    case .deleted: "it deleted \(file)"
                    case .added: "it added \(file)"
                    case .modified, nil: nil
                    }
                return Clue(commit: change.commit, nearness: .named, file: file, note: note)
            }
        }
    }

    private func line(_ number: Int, of text: String) -> String? {
        let lines = TraceReader.lines(of: text)
        return lines.indices.contains(number - 1) ? String(lines[number - 1]) : nil
    }

    private static func shortened(_ hunk: String) -> String {
        let lines = TraceReader.lines(of: hunk)
        guard lines.count > longestHunk else { return hunk }
        return (lines.prefix(longestHunk) + ["(\(lines.count - longestHunk) lines more)"]).joined(separator: "\n")
    }
}
