// Who finds the commit behind a failure.

package import Releases
package import Traffic

/// What a report is made from.
package struct Incident: Sendable {
    package var release: ReleaseID
    package var policy: Policy
    package var stable: CommitID?
    package var canary: CommitID
    package var build: BuildReference?
    package var links: [String: String]
    /// What happened, oldest first: a sentence each with its moment.
    package var timeline: [Moment]
    /// The verdict's numbers against their limits, a sentence each.
    package var why: [String]
    /// What the verdict rests on; nil when the release did not go back for a verdict.
    package var judgement: VerdictInputs?
    package var outcome: String
    package var firstBadResponse: Instant?
    package var shareZeroAt: Instant?
    package var samples: SampleReport
    /// Instance name -> last lines of its output.
    package var output: [String: [String]]
    package var rewind: RewindSummary?
    package var recording: RecordingStatus?
    package var quarantine: [QuarantinedChange]
    /// When halted: what a person can do.
    package var advice: [String]

    package struct Moment: Hashable, Sendable, Codable {
        package var at: Instant
        package var text: String
        package init(at: Instant, text: String) {
            self.at = at
            self.text = text
        }
    }

    package init(
        release: ReleaseID, policy: Policy, stable: CommitID?, canary: CommitID, build: BuildReference?,
        links: [String: String], timeline: [Moment], why: [String], judgement: VerdictInputs? = nil, outcome: String,
        firstBadResponse: Instant?,
        shareZeroAt: Instant?, samples: SampleReport, output: [String: [String]], rewind: RewindSummary?,
        recording: RecordingStatus?, quarantine: [QuarantinedChange], advice: [String]
    ) {
        self.release = release
        self.policy = policy
        self.stable = stable
        self.canary = canary
        self.build = build
        self.links = links
        self.timeline = timeline
        self.why = why
        self.judgement = judgement
        self.outcome = outcome
        self.firstBadResponse = firstBadResponse
        self.shareZeroAt = shareZeroAt
        self.samples = samples
        self.output = output
        self.rewind = rewind
        self.recording = recording
        self.quarantine = quarantine
        self.advice = advice
    }
}

package protocol EvidencePort: Sendable {
    /// Both forms of the report. Never throws: what could not be found out is said in the report.
    func report(on incident: Incident) async -> ReportDocuments
}

package struct ReportDocuments: Hashable, Sendable, Codable {
    package var json: String
    package var markdown: String
    package init(json: String, markdown: String) {
        self.json = json
        self.markdown = markdown
    }
}
