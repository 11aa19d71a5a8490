// What happened in a release, append-only. The state of a release is the fold of its facts and nothing else.

package struct Fact: Hashable, Sendable, Codable {
    /// From 1 within a release, without gaps.
    package var sequence: Int
    package var at: Instant
    package var body: Body

    package init(sequence: Int, at: Instant, body: Body) {
        self.sequence = sequence
        self.at = at
        self.body = body
    }

    package enum Body: Hashable, Sendable, Codable {
        case accepted(Acceptance)
        /// What serves everybody as this release's turn comes; nil: it is the service's first.
        case baselineChosen(CommitID?)
        /// `deadline` nil only for terminal phases.
        case phaseEntered(Phase, deadline: Instant?)
        case preflightPassed(warnings: [String])
        case snapshotTaken(SnapshotSummary)
        case instancesReady(Arm, names: [String])
        /// The router confirmed that it serves this share.
        case shareConfirmed(Share)
        case verdictReached(Verdict)
        /// An old stable instance is about to be stopped: from here the old version is not whole.
        case stableLeaving
        /// The stable instances now run this release's commit.
        case stableReplaced
        case operatorAsked(OperatorRequest)
        case rollbackBegun(RollbackCause)
        /// The old version's instances are whole and ready again.
        case stableRestored
        case canaryStopped
        case dataRewound(RewindSummary)
        /// When the canary's first failure settled, as the router saw it.
        case firstFailureSeen(Instant)
        case halted(reason: String, advice: [String])
        case noted(String)
    }
}

/// Everything a release starts from; pinned, so that a change of policy never changes a running release.
package struct Acceptance: Hashable, Sendable, Codable {
    package var release: ReleaseID
    package var commit: CommitID
    package var policy: Policy
    package var request: ReleaseRequest
    /// The whole release, waiting for people not counted.
    package var deadline: Instant

    package init(
        release: ReleaseID, commit: CommitID, policy: Policy, request: ReleaseRequest, deadline: Instant
    ) {
        self.release = release
        self.commit = commit
        self.policy = policy
        self.request = request
        self.deadline = deadline
    }
}

/// What watching one step found. `fail` is absorbing: nothing that comes later takes it back.
package struct Verdict: Hashable, Sendable, Codable {
    package enum Outcome: String, Hashable, Sendable, Codable { case pass, fail }
    package var phase: Phase
    package var outcome: Outcome
    /// Numbers against limits, a sentence each.
    package var why: [String]
    /// nil: no counts were judged.
    package var inputs: VerdictInputs?

    package init(phase: Phase, outcome: Outcome, why: [String], inputs: VerdictInputs? = nil) {
        self.phase = phase
        self.outcome = outcome
        self.why = why
        self.inputs = inputs
    }
}

/// What a verdict rests on; with the recorded looks up to `look` it can be had again.
package struct VerdictInputs: Hashable, Sendable, Codable {
    /// Number of the look that decided.
    package var look: Int
    /// Requests or users of each version in the release, and how many of them failed.
    package var stable: Trials
    package var canary: Trials
    /// Evidence against the canary, and the evidence that rolls back.
    package var wealth: Double
    package var limit: Double
    /// Of a failure: the evidence with stable's overdue requests taken as failed.
    package var guardedWealth: Double?
    /// The metric that contributes most, its evidence, and its expert with the most at stake (a shift in log odds).
    package var metric: String?
    package var metricWealth: Double?
    package var metricShift: Double?

    package struct Trials: Hashable, Sendable, Codable {
        package var bad: UInt64
        package var total: UInt64

        package init(bad: UInt64, total: UInt64) {
            self.bad = bad
            self.total = total
        }
    }

    package init(
        look: Int, stable: Trials, canary: Trials, wealth: Double, limit: Double, guardedWealth: Double? = nil,
        metric: String? = nil, metricWealth: Double? = nil, metricShift: Double? = nil
    ) {
        self.look = look
        self.stable = stable
        self.canary = canary
        self.wealth = wealth
        self.limit = limit
        self.guardedWealth = guardedWealth
        self.metric = metric
        self.metricWealth = metricWealth
        self.metricShift = metricShift
    }
}

package struct OperatorRequest: Hashable, Sendable, Codable {
    package enum Verb: String, Hashable, Sendable, Codable { case promote, abort, rollback }
    package var verb: Verb
    package var person: String
    package var reason: String?

    package init(verb: Verb, person: String, reason: String?) {
        self.verb = verb
        self.person = person
        self.reason = reason
    }
}

/// Why a release goes back, and whether its data goes back too.
package struct RollbackCause: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        case verdict, instance, deadline, noData, recording, failure, abort, operatorRollback, superseded
    }
    package var kind: Kind
    package var reason: String
    /// Take the release's writes out, if it could write and the recording is whole.
    package var data: Bool

    package init(kind: Kind, reason: String, data: Bool) {
        self.kind = kind
        self.reason = reason
        self.data = data
    }

    /// How a release ends that went back for this cause.
    package var ending: Phase {
        switch kind {
        case .abort: .aborted
        case .superseded: .superseded
        case .verdict, .instance, .deadline, .noData, .recording, .failure, .operatorRollback: .rolledBack
        }
    }
}
