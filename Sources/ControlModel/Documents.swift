// What the API answers and the CLI shows: the JSON documents of /api/v1. Names and meanings are stable; fields are only added.
// Encoded with snake_case keys; moments are ISO 8601 strings in UTC.

package import Analysis
package import Releases

/// One release as lists show it.
package struct ReleaseSummary: Hashable, Sendable, Codable {
    package var id: ReleaseID
    package var service: ServiceName
    package var commit: CommitID
    package var stable: CommitID?
    /// `accepted`, `preflight`, `snapshotting`, `starting`, `canary`, `waiting`, `promoting`, `baking`, `promoted`,
    /// `rolling-back`, `rolled-back`, `halted`, `aborted`, `superseded`.
    package var phase: String
    /// One sentence: what is going on, or how it ended and why.
    package var message: String
    /// No fact will follow.
    package var isTerminal: Bool
    package var share: Share
    package var acceptedAt: String
    package var updatedAt: String
    /// Until when the current phase may last.
    package var deadline: String?

    package init(
        id: ReleaseID, service: ServiceName, commit: CommitID, stable: CommitID?, phase: String, message: String,
        isTerminal: Bool, share: Share, acceptedAt: String, updatedAt: String, deadline: String?
    ) {
        self.id = id
        self.service = service
        self.commit = commit
        self.stable = stable
        self.phase = phase
        self.message = message
        self.isTerminal = isTerminal
        self.share = share
        self.acceptedAt = acceptedAt
        self.updatedAt = updatedAt
        self.deadline = deadline
    }
}

/// One release with everything known about it.
package struct ReleaseDetail: Hashable, Sendable, Codable {
    package var summary: ReleaseSummary
    /// Each step of the policy: `5% for 2m`, `approve`; and which one is current (0-based; nil before and after).
    package var steps: [String]
    package var currentStep: Int?
    package var build: BuildReference?
    package var links: [String: String]
    package var requestedBy: String
    package var comparison: Comparison?
    package var data: DataLine?
    package var instances: [InstanceLine]
    package var events: [EventLine]
    package var hasReport: Bool
    /// What a person can do now: `promote`, `abort`, `rollback`.
    package var allowed: [String]

    package init(
        summary: ReleaseSummary, steps: [String], currentStep: Int?, build: BuildReference?, links: [String: String],
        requestedBy: String, comparison: Comparison?, data: DataLine?, instances: [InstanceLine],
        events: [EventLine], hasReport: Bool, allowed: [String]
    ) {
        self.summary = summary
        self.steps = steps
        self.currentStep = currentStep
        self.build = build
        self.links = links
        self.requestedBy = requestedBy
        self.comparison = comparison
        self.data = data
        self.instances = instances
        self.events = events
        self.hasReport = hasReport
        self.allowed = allowed
    }
}

/// Canary against stable over the current step's window.
package struct Comparison: Hashable, Sendable, Codable {
    package var stable: VersionLine
    package var canary: VersionLine
    /// `pass`, `fail` or `hold`, and the sentence that says why.
    package var verdict: String
    package var why: [String]
    /// Evidence of the whole release against the canary, and the evidence that rolls back; nil where nothing is compared.
    package var wealth: Double?
    package var limit: Double?
    /// The same metric by metric.
    package var evidence: [EvidenceLine]?

    package init(
        stable: VersionLine, canary: VersionLine, verdict: String, why: [String], wealth: Double? = nil,
        limit: Double? = nil, evidence: [EvidenceLine]? = nil
    ) {
        self.stable = stable
        self.canary = canary
        self.verdict = verdict
        self.why = why
        self.wealth = wealth
        self.limit = limit
        self.evidence = evidence
    }
}

/// One metric of the comparison.
package struct EvidenceLine: Hashable, Sendable, Codable {
    /// `errors`, `p95`, `errors of /checkout`, or a metric's name.
    package var metric: String
    /// Judged and shown, and nothing follows from it.
    package var isDryRun: Bool
    /// Bad and all requests or users of each version in the release.
    package var stableBad: UInt64
    package var stableTotal: UInt64
    package var canaryBad: UInt64
    package var canaryTotal: UInt64
    /// Evidence that the canary is worse; 1 at the start.
    package var wealth: Double
    /// Evidence in this step that the canary is good, and how much of it passes the step; nil where none is collected.
    package var proof: Double?
    package var proofLimit: Double?
    /// About how many more requests or users of the canary that takes; nil where it cannot be said.
    package var needed: UInt64?

    package init(_ evidence: MetricEvidence) {
        metric = "\(evidence.metric)"
        isDryRun = evidence.isDryRun
        stableBad = evidence.stable.bad
        stableTotal = evidence.stable.total
        canaryBad = evidence.canary.bad
        canaryTotal = evidence.canary.total
        wealth = evidence.wealth
        proof = evidence.proof?.evidence
        proofLimit = evidence.proof.flatMap { $0.isGating ? $0.limit : nil }
        needed = evidence.proof?.needed
    }
}

package struct VersionLine: Hashable, Sendable, Codable {
    package var requests: UInt64
    package var failures: UInt64
    package var status5xx: UInt64
    /// Milliseconds; nil without answered requests.
    package var p50: Double?
    package var p95: Double?
    package var p99: Double?

    package init(_ counts: VersionCounts) {
        requests = counts.judged
        failures = counts.failures
        status5xx = counts.statusClasses[4]
        p50 = counts.latency.quantile(perMille: 500).map { $0 / 1_000 }
        p95 = counts.latency.quantile(perMille: 950).map { $0 / 1_000 }
        p99 = counts.latency.quantile(perMille: 990).map { $0 / 1_000 }
    }
}

/// Snapshot and recording in a line.
package struct DataLine: Hashable, Sendable, Codable {
    package var snapshotLSN: String?
    package var recording: String
    package var durableLSN: String?
    package var stableTransactions: Int
    package var canaryTransactions: Int
    package var canaryRows: Int
    package var heldWALBytes: Int64
    package var reason: String?
    /// The clone that is kept beside live; nil where the policy keeps none.
    package var clone: CloneLine?
    /// Entries of the quarantine that a person has to decide; of a release that ended with a rollback.
    package var decisionsOpen: Int?

    package init(
        snapshotLSN: String?, recording: String, durableLSN: String?, stableTransactions: Int,
        canaryTransactions: Int, canaryRows: Int, heldWALBytes: Int64, reason: String?, clone: CloneLine? = nil,
        decisionsOpen: Int? = nil
    ) {
        self.decisionsOpen = decisionsOpen
        self.snapshotLSN = snapshotLSN
        self.recording = recording
        self.durableLSN = durableLSN
        self.stableTransactions = stableTransactions
        self.canaryTransactions = canaryTransactions
        self.canaryRows = canaryRows
        self.heldWALBytes = heldWALBytes
        self.reason = reason
        self.clone = clone
    }
}

/// A clone that is kept ready for a rollback.
package struct CloneLine: Hashable, Sendable, Codable {
    /// `building`, `following`, `interrupted` or `failed`
    package var state: String
    package var reason: String?
    /// From the commit of a transaction of stable's until the clone had it, at most, in the last round.
    package var lagMilliseconds: Int64
    /// Rows that are not as in live, because of the canary.
    package var taintedRows: Int
    /// Lines of the report that want a decision.
    package var decisionsOpen: Int

    package init(state: String, reason: String?, lagMilliseconds: Int64, taintedRows: Int, decisionsOpen: Int) {
        self.state = state
        self.reason = reason
        self.lagMilliseconds = lagMilliseconds
        self.taintedRows = taintedRows
        self.decisionsOpen = decisionsOpen
    }
}

package struct InstanceLine: Hashable, Sendable, Codable {
    package var name: String
    package var arm: Arm
    package var commit: CommitID
    package var address: String

    package init(name: String, arm: Arm, commit: CommitID, address: String) {
        self.name = name
        self.arm = arm
        self.commit = commit
        self.address = address
    }
}

/// One fact as people read it.
package struct EventLine: Hashable, Sendable, Codable {
    package var sequence: Int
    package var at: String
    package var text: String

    package init(sequence: Int, at: String, text: String) {
        self.sequence = sequence
        self.at = at
        self.text = text
    }
}

/// A service with what runs and what is going on.
package struct ServiceStatus: Hashable, Sendable, Codable {
    package var service: ServiceName
    package var stable: CommitID?
    package var listen: String
    package var active: ReleaseSummary?
    package var queued: [ReleaseSummary]
    package var last: ReleaseSummary?

    package init(
        service: ServiceName, stable: CommitID?, listen: String, active: ReleaseSummary?, queued: [ReleaseSummary],
        last: ReleaseSummary?
    ) {
        self.service = service
        self.stable = stable
        self.listen = listen
        self.active = active
        self.queued = queued
        self.last = last
    }
}

/// The answer to a trigger.
package struct Accepted: Hashable, Sendable, Codable {
    package var release: ReleaseID
    package var url: String
    /// This delivery had been accepted before; `release` is the one it made then.
    package var duplicate: Bool
    /// What the caller should know besides: `the trigger was not signed`.
    package var notice: String?

    package init(release: ReleaseID, url: String, duplicate: Bool, notice: String? = nil) {
        self.release = release
        self.url = url
        self.duplicate = duplicate
        self.notice = notice
    }
}

/// How a rollback is asked for.
package struct RollbackRequest: Hashable, Sendable, Codable {
    /// Also take the release's writes out of the data. nil: as the policy says.
    package var data: Bool?
    package var reason: String?

    package init(data: Bool?, reason: String?) {
        self.data = data
        self.reason = reason
    }
}
