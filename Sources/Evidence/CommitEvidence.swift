// The report on a release that went wrong: failing requests -> stack frames -> lines -> commits.

package import Logging
package import Ports
import Releases
import Traffic

/// Finds the commit behind a failure in the service's repository.
package struct CommitEvidence: EvidencePort {
    private let source: any SourcePort
    private let history: any HistoryPort
    private let logger: Logger

    /// Frames whose lines are asked for; the rest of a long list says the same.
    private static let mostFrames = 30

    package init(source: any SourcePort, history: any HistoryPort, logger: Logger) {
        self.source = source
        self.history = history
        self.logger = logger
    }

    package func report(on incident: Incident) async -> ReportDocuments {
        let attribution: Attribution
        do throws(Failure) {
            attribution = try await attribute(incident)
        } catch {
            logger.warning(
                "commits of a release cannot be looked at",
                metadata: ["release": "\(incident.release)", "error": "\(error.message)"])
            attribution = .unknown("the repository could not be asked: \(error.message)")
        }
        let document = ReportDocument(incident, attribution)
        return ReportDocuments(json: document.json, markdown: ReportMarkdown.text(of: document))
    }

    private func attribute(_ incident: Incident) async throws(Failure) -> Attribution {
        guard let stable = incident.stable else {
            return .unknown("there was no version before this one to compare it with")
        }
        let repository = incident.policy.source.repository
        let canary = incident.canary
        let commits = try await source.commits(from: stable, to: canary, repository: repository)
        let missing = try await source.commits(from: canary, to: stable, repository: repository)
        let changes = try await history.changes(from: stable, to: canary, repository: repository)
        let files = try await history.files(at: canary, repository: repository)

        let sources = Self.traces(of: incident)
        let frames = FrameCount.found(in: sources, mapping: FileMapping(files: files, commit: canary.rawValue))
        let search = ClueSearch(
            history: history, repository: repository, stable: stable, canary: canary, range: Set(commits.map(\.id)),
            changes: changes)
        var clues: [Clue] = []
        for frame in frames.prefix(Self.mostFrames) {
            do throws(Failure) {
                clues += try await search.clues(from: frame)
            } catch {
                // A line that the file does not have: the trace is of another version of it, or lies.
                logger.debug(
                    "no history of a frame", metadata: ["frame": "\(frame.place)", "error": "\(error.message)"])
            }
        }
        if clues.isEmpty { clues = search.clues(named: Self.text(of: incident)) }
        return Ranking.attribution(
            Findings(
                stable: stable, canary: canary, commits: commits, changes: changes, missing: missing, frames: frames,
                clues: clues, requests: incident.samples.samples.count))
    }

    private static func traces(of incident: Incident) -> [TraceSource] {
        let responses = incident.samples.samples.map { sample in
            TraceSource(isResponse: true, traces: TraceReader.traces(in: sample.responseBody))
        }
        let output = incident.output.keys.sorted().map { name in
            TraceSource(
                isResponse: false,
                traces: TraceReader.traces(in: incident.output[name, default: []].joined(separator: "\n")))
        }
        return responses + output
    }

    private static func text(of incident: Incident) -> String {
        (incident.samples.samples.map(\.responseBody) + incident.output.values.map { $0.joined(separator: "\n") })
            .joined(separator: "\n")
    }
}
