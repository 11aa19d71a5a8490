// From clues to suspects, and how sure that is. Pure.

import Ports
import Releases

/// Everything the search found out.
struct Findings: Sendable {
    var stable: CommitID
    var canary: CommitID
    var commits: [CommitSummary]
    var changes: [CommitChange]
    /// Commits of stable that the new version lacks.
    var missing: [CommitSummary]
    var frames: [FoundFrame]
    var clues: [Clue]
    /// Failing requests whose bodies were searched.
    var requests: Int
}

enum Ranking {
    private static let mostSuspects = 10
    private static let mostClues = 4

    static func attribution(_ findings: Findings) -> Attribution {
        var result = Attribution.unknown("", commits: findings.commits, frames: findings.frames)
        result.missing = findings.missing
        let range = "\(findings.stable.short)..\(findings.canary.short)"
        guard !findings.commits.isEmpty else {
            result.reason =
                findings.missing.isEmpty
                ? "the new version brings no commit that stable lacks: look at configuration, data and surroundings"
                : "the new version brings nothing new, but lacks \(counted(findings.missing.count, "commit")) of stable"
            return result
        }
        // A merge that changed nothing by itself did nothing.
        let idle = Set(findings.changes.filter { $0.isMerge && $0.files.isEmpty }.map(\.commit))
        let candidates = findings.commits.filter { !idle.contains($0.id) }
        result.suspects = suspects(among: candidates, findings.clues)

        if let only = candidates.first, candidates.count == 1, findings.missing.isEmpty {
            let clues = result.suspects.first?.clues ?? []
            result.suspects = [Suspect(commit: only, clues: clues)]
            result.certainty = .certain
            result.reason = "it is the only commit in \(range)"
            return result
        }
        guard let first = result.suspects.first else {
            result.reason = unexplained(findings, candidates: candidates.count, range: range)
            return result
        }
        result.certainty = .suspected
        result.reason = reason(first, requests: findings.requests)
        if result.suspects.count > 1, let other = result.suspects.dropFirst().first,
            strength(other.clues[0]) == strength(first.clues[0])
        {
            result.reason += "; \(other.commit.id.short) is as near"
        }
        if !findings.missing.isEmpty {
            result.reason += "; the new version also lacks \(counted(findings.missing.count, "commit")) of stable"
        }
        return result
    }

    private static func suspects(among candidates: [CommitSummary], _ clues: [Clue]) -> [Suspect] {
        let byCommit = Dictionary(grouping: clues, by: \.commit)
        let suspects = candidates.compactMap { commit -> Suspect? in
            guard let clues = byCommit[commit.id] else { return nil }
            return Suspect(commit: commit, clues: Array(clues.sorted { order($0) < order($1) }.prefix(mostClues)))
        }
        // `candidates` are newest first, and sorting keeps that among equals.
        return Array(
            suspects.enumerated().sorted { left, right in
                let (a, b) = (order(left.element.clues[0]), order(right.element.clues[0]))
                return a == b ? left.offset < right.offset : a < b
            }.map(\.element).prefix(mostSuspects))
    }

    /// Nearness; whether the file is sure; how deep; how many failures, the other way round.
    private static func order(_ clue: Clue) -> (Int, Int, Int, Int) {
        let (nearness, doubt, depth) = strength(clue)
        return (nearness, doubt, depth, -((clue.frame?.requests ?? 0) + (clue.frame?.traces ?? 0)))
    }

    private static func strength(_ clue: Clue) -> (Int, Int, Int) {
        (clue.nearness.rawValue, clue.frame?.isAmbiguous == true ? 1 : 0, clue.frame?.depth ?? 0)
    }

    private static func reason(_ suspect: Suspect, requests: Int) -> String {
        let clue = suspect.clues[0]
        guard let frame = clue.frame else { return "it changed \(clue.file), which the failures name" }
        let seen =
            frame.requests > 0
            ? "where \(frame.requests) of \(requests) kept failing requests \(frame.depth == 0 ? "broke" : "passed")"
            : "where a trace in the output \(frame.depth == 0 ? "broke" : "passed")"
        let doubt = frame.isAmbiguous ? " (or \(frame.alternatives.joined(separator: " or ")), the path fits both)" : ""
        switch clue.nearness {
        case .line: return "it last changed \(frame.place)\(doubt), \(seen)"
        case .function:
            let name = frame.function.flatMap(FunctionExtent.simpleName).map { " in \($0)" } ?? ""
            return "it changed lines\(name) around \(frame.place)\(doubt), \(seen)"
        case .file, .named: return "it changed \(frame.file)\(doubt), \(seen) at line \(frame.line)"
        }
    }

    private static func unexplained(_ findings: Findings, candidates: Int, range: String) -> String {
        if candidates == 0 { return "\(range) holds only merges that changed nothing by themselves" }
        if findings.frames.isEmpty {
            return "no stack frame of the repository is in the failing responses or the output, so which of the "
                + "\(candidates) commits in \(range) it was is not known"
        }
        return "none of the \(candidates) commits in \(range) changed a file that the stack frames name"
    }
}
