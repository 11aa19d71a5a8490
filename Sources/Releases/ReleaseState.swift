// The fold of a release's facts.

/// What is known of a release. Built by `apply` alone: `replay(facts) == state`.
package struct ReleaseState: Hashable, Sendable {
    package private(set) var acceptance: Acceptance
    package private(set) var acceptedAt: Instant
    package private(set) var updatedAt: Instant
    package private(set) var lastSequence: Int

    /// What served everybody when this release's turn came.
    package private(set) var stable: CommitID?

    package private(set) var phase = Phase.accepted
    package private(set) var phaseSince: Instant
    package private(set) var phaseDeadline: Instant?
    /// Moves back while a person is waited for.
    package private(set) var releaseDeadline: Instant

    /// What the router last confirmed, and when.
    package private(set) var share = Share.none
    package private(set) var shareSince: Instant?
    /// The canary's instances became ready at some time: from then on it may have written data.
    package private(set) var canaryStarted = false
    package private(set) var snapshot: SnapshotSummary?
    package private(set) var isStableWhole = true
    /// All stable instances run the new version.
    package private(set) var isStableReplaced = false
    package private(set) var verdicts: [Verdict] = []
    package private(set) var rollback: RollbackCause?
    package private(set) var rewind: RewindSummary?
    package private(set) var firstFailureAt: Instant?
    /// When the router confirmed share 0 after a rollback began.
    package private(set) var shareZeroAt: Instant?
    package private(set) var haltReason: String?
    package private(set) var advice: [String] = []

    package var id: ReleaseID { acceptance.release }
    package var policy: Policy { acceptance.policy }
    /// The service had no version before this one.
    package var isFirst: Bool { stable == nil }
    package var hasFailed: Bool { verdicts.contains { $0.outcome == .fail } }

    /// - Precondition: `first` is the release's acceptance.
    package init(first: Fact) {
        guard case .accepted(let acceptance) = first.body else {
            preconditionFailure("the first fact of a release is its acceptance, not \(first.body)")
        }
        self.acceptance = acceptance
        acceptedAt = first.at
        updatedAt = first.at
        lastSequence = first.sequence
        phaseSince = first.at
        phaseDeadline = first.at.advanced(by: Deadlines.queued)
        releaseDeadline = acceptance.deadline
    }

    /// - Precondition: not empty, in order, from the acceptance on.
    package static func replay(_ facts: [Fact]) -> ReleaseState {
        var state = ReleaseState(first: facts[0])
        for fact in facts.dropFirst() { state.apply(fact) }
        return state
    }

    package mutating func apply(_ fact: Fact) {
        precondition(fact.sequence == lastSequence + 1, "\(id): fact \(fact.sequence) after \(lastSequence)")
        lastSequence = fact.sequence
        updatedAt = fact.at
        switch fact.body {
        case .accepted: preconditionFailure("\(id) was accepted twice")
        case .phaseEntered(let next, let deadline): enter(next, deadline: deadline, at: fact.at)
        case .baselineChosen(let commit): stable = commit
        case .preflightPassed, .noted, .operatorAsked: break
        case .snapshotTaken(let summary): snapshot = summary
        case .instancesReady(let arm, _): if arm == .canary { canaryStarted = true }
        case .shareConfirmed(let confirmed): confirm(confirmed, at: fact.at)
        case .verdictReached(let verdict): verdicts.append(verdict)
        case .stableLeaving: isStableWhole = false
        case .stableReplaced: isStableReplaced = true
        case .rollbackBegun(let cause): rollback = cause
        case .stableRestored:
            isStableWhole = true
            isStableReplaced = false
        case .canaryStopped: break
        case .dataRewound(let summary): rewind = summary
        case .firstFailureSeen(let moment): firstFailureAt = firstFailureAt ?? moment
        case .halted(let reason, let advice):
            haltReason = reason
            self.advice = advice
        }
    }

    private mutating func enter(_ next: Phase, deadline: Instant?, at moment: Instant) {
        if case .waiting = phase { releaseDeadline = releaseDeadline.advanced(by: moment.since(phaseSince)) }
        phase = next
        phaseSince = moment
        phaseDeadline = deadline
    }

    private mutating func confirm(_ confirmed: Share, at moment: Instant) {
        share = confirmed
        shareSince = moment
        if confirmed == .none, rollback != nil { shareZeroAt = shareZeroAt ?? moment }
    }

    /// The share this state asks the router for. Never positive once a rollback has begun.
    package var wantedShare: Share {
        switch phase {
        case .canary(let step): stepShare(upTo: step)
        case .waiting(let step, .approval): stepShare(upTo: step)
        case .promoting: isFirst ? .none : stepShare(upTo: policy.cohort.steps.count - 1)
        case .accepted, .preflight, .snapshotting, .starting, .waiting(_, .failure), .baking, .undoable, .promoted,
            .rollingBack, .rolledBack, .halted, .aborted, .superseded:
            .none
        }
    }

    /// The share of the last share step at or before `step`.
    private func stepShare(upTo step: Int) -> Share {
        for case .share(let share, _) in policy.cohort.steps.prefix(step + 1).reversed() { return share }
        return .none
    }
}

/// How long a phase may take, where the policy does not say.
package enum Deadlines {
    /// A release that waits for others longer than this is aborted.
    package static let queued = Span.hours(24)
    package static let preflight = Span.minutes(2)
    /// A person is waited for this long.
    package static let approval = Span.hours(24 * 7)
    /// Added to what the policy allows for builds, probes and drains.
    package static let margin = Span.minutes(2)
}
