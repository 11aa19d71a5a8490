// What a release does next. Pure: an event and a state give facts; a state gives the one effect that is due.
//
// An effect is never stored: after a crash the same facts give the same state and the same effect, and every effect is
// "make it so", so asking again is all that recovery is.

/// Something the world reports.
package enum Event: Hashable, Sendable {
    /// The service is free and this release is next; `stable` serves everybody, nil: nothing does yet.
    case turnCame(stable: CommitID?)
    case preflightDone(failures: [String], warnings: [String])
    case snapshotDone(SnapshotSummary)
    case instancesReady(Arm, names: [String])
    case shareConfirmed(Share)
    /// What watching says about the phase it was asked for.
    case judged(Verdict)
    /// The step lacks data for longer than the policy waits.
    case dataMissing(Phase, why: String)
    case firstFailureSeen(Instant)
    /// Watching can neither pass nor fail the step for a reason that is not the canary's.
    case onHold(why: String)
    /// The canary's instances were away for a moment: the release starts again at its first share.
    case canaryIsBack
    /// An instance of the new version ended or stays unready.
    case instanceLost(name: String, why: String)
    /// WAL held for the recording nears the budget, or the recording is broken.
    case recordingEndangered(why: String)
    case stableLeaving
    case stableReplaced
    case stableRestored
    case canaryStopped
    case dataRewound(RewindSummary)
    case verified
    case undoWindowClosed
    /// The due effect cannot be done; trying again would not help.
    case effectFailed(reason: String, hint: String?)
    /// The due effect cannot be done at the moment and is tried again.
    case effectDelayed(reason: String)
    /// Time passes.
    case clock
    case newerArrived(ReleaseID)
    case operatorAsked(OperatorRequest, data: Bool?)
}

/// What is due. The engine makes it so, however often it is asked.
package enum Effect: Hashable, Sendable {
    case preflight
    case snapshot
    case startCanary
    /// The router serves this share.
    case setShare(Share)
    /// Count and judge until `until` at the earliest.
    case watch(Phase, until: Instant)
    /// A person decides; meanwhile a canary with users is watched, and can only fail.
    case awaitPerson
    case replaceStable
    /// Keep the recording until then, or until a newer release waits.
    case keepUndo(until: Instant)
    case restoreStable
    /// Stopped, and its database role fenced when `fence`.
    case stopCanary(fence: Bool)
    case rewind
    case verify
}

extension Effect {
    /// It goes on until the phase is left, and says by itself what it sees.
    package var isWatching: Bool {
        switch self {
        case .watch, .awaitPerson, .keepUndo: true
        case .preflight, .snapshot, .startCanary, .setShare, .replaceStable, .restoreStable, .stopCanary, .rewind,
            .verify:
            false
        }
    }
}

/// The event cannot be taken in this phase.
package struct EventRefused: Error, Hashable, Sendable {
    package let reason: String
    package let hint: String?
}

extension ReleaseState {
    /// The facts that follow from an event; none when it changes nothing.
    ///
    /// - Throws: only for `operatorAsked`, when the phase does not allow it.
    package func decide(_ event: Event, at now: Instant) throws(EventRefused) -> [Fact.Body] {
        guard !phase.isTerminal else {
            if case .operatorAsked(let request, _) = event {
                throw EventRefused(
                    reason: "\(id) is \(phase.name), nothing to \(request.verb.rawValue)",
                    hint: "`perch status \(id.service)` shows what is active")
            }
            return []
        }
        switch event {
        case .clock: return expired(at: now)
        case .newerArrived(let newer): return superseded(by: newer, at: now)
        case .operatorAsked(let request, let data): return try asked(request, data: data, at: now)
        case .effectFailed(let reason, let hint): return failed(reason, hint: hint, at: now)
        case .onHold(let why): return [.noted(why)]
        case .canaryIsBack: return startedAgain(at: now)
        case .effectDelayed(let reason): return [.noted("tries again: \(reason)")]
        case .firstFailureSeen(let moment):
            return firstFailureAt == nil ? [.firstFailureSeen(moment)] : []
        case .instanceLost(_, let why): return lostInstance(why, at: now)
        case .recordingEndangered(let why): return endangered(why, at: now)
        case .shareConfirmed(let confirmed): return shareWasConfirmed(confirmed, at: now)
        case .judged(let verdict): return judged(verdict, at: now)
        case .dataMissing(let judgedPhase, let why): return dataMissing(judgedPhase, why: why, at: now)
        case .turnCame, .preflightDone, .snapshotDone, .instancesReady, .stableLeaving, .stableReplaced,
            .stableRestored, .canaryStopped, .dataRewound, .verified, .undoWindowClosed:
            return progressed(event, at: now)
        }
    }

    // MARK: Going on

    private func progressed(_ event: Event, at now: Instant) -> [Fact.Body] {
        switch (phase, event) {
        case (.accepted, .turnCame(let stable)):
            return [.baselineChosen(stable), entering(.preflight, at: now)]
        case (.preflight, .preflightDone(let failures, let warnings)):
            guard failures.isEmpty else {
                return beginRollback(.failure, "preflight: " + failures.joined(separator: "; "), data: false, at: now)
            }
            let next: Phase = isFirst ? .promoting : (recordsData ? .snapshotting : .starting)
            return [.preflightPassed(warnings: warnings), entering(next, at: now)]
        case (.snapshotting, .snapshotDone(let summary)):
            return [.snapshotTaken(summary), entering(.starting, at: now)]
        case (.starting, .instancesReady(.canary, let names)):
            return [.instancesReady(.canary, names: names)] + enterStep(0, at: now)
        case (.promoting, .stableLeaving):
            return isStableWhole && !isFirst ? [.stableLeaving] : []
        case (.promoting, .stableReplaced):
            return [.stableReplaced] + (isFirst ? [entering(.promoted, at: now)] : [entering(.baking, at: now)])
        case (.undoable, .undoWindowClosed):
            return [entering(.promoted, at: now)]
        case (.rollingBack(.stable), .stableRestored):
            return [.stableRestored, entering(.rollingBack(.traffic), at: now)]
        case (.rollingBack(.canary), .canaryStopped):
            return [.canaryStopped, entering(.rollingBack(mustRewind ? .data : .verification), at: now)]
        case (.rollingBack(.data), .dataRewound(let summary)):
            return [.dataRewound(summary), entering(.rollingBack(.verification), at: now)]
        case (.rollingBack(.verification), .verified):
            return [entering(rollback?.ending ?? .rolledBack, at: now)]
        default:
            return []  // late news of a phase already left
        }
    }

    private func shareWasConfirmed(_ confirmed: Share, at now: Instant) -> [Fact.Body] {
        var facts: [Fact.Body] = []
        let isNews = !(share == confirmed && isShareCurrent)
        if isNews, confirmed == wantedShare { facts.append(.shareConfirmed(confirmed)) }
        if phase == .rollingBack(.traffic), confirmed == .none {
            facts.append(entering(.rollingBack(.canary), at: now))
        }
        return facts
    }

    private func judged(_ verdict: Verdict, at now: Instant) -> [Fact.Body] {
        guard verdict.phase == phase else { return [] }
        switch (verdict.outcome, phase) {
        case (.fail, .canary(let step)) where !policy.rollBack.automatic:
            return [.verdictReached(verdict), entering(.waiting(step: step, for: .failure), at: now)]
        case (.fail, .waiting(let step, .approval)) where !policy.rollBack.automatic:
            return [.verdictReached(verdict), entering(.waiting(step: step, for: .failure), at: now)]
        case (.fail, .canary), (.fail, .baking), (.fail, .waiting(_, .approval)):
            return [.verdictReached(verdict)]
                + beginRollback(.verdict, verdict.why.joined(separator: "; "), data: true, at: now)
        case (.pass, .canary(let step)):
            guard now >= watchEnd else { return [] }
            return [.verdictReached(verdict)] + enterStep(step + 1, at: now)
        case (.pass, .baking):
            guard now >= watchEnd else { return [] }
            return [.verdictReached(verdict)] + finishBaking(at: now)
        default:
            return []
        }
    }

    private func enterStep(_ step: Int, at now: Instant) -> [Fact.Body] {
        guard step < policy.cohort.steps.count else { return [entering(.promoting, at: now)] }
        switch policy.cohort.steps[step] {
        case .share: return [entering(.canary(step: step), at: now)]
        case .approve: return [entering(.waiting(step: step, for: .approval), at: now)]
        }
    }

    private func startedAgain(at now: Instant) -> [Fact.Body] {
        guard case .canary = phase,
            let first = policy.cohort.steps.firstIndex(where: { if case .share = $0 { true } else { false } })
        else { return [] }
        return [.noted("the canary's instances are back"), entering(.canary(step: first), at: now)]
    }

    private func finishBaking(at now: Instant) -> [Fact.Body] { [entering(.undoable, at: now)] }

    private func dataMissing(_ judgedPhase: Phase, why: String, at now: Instant) -> [Fact.Body] {
        guard judgedPhase == phase else { return [] }
        switch (policy.watch.noDataThen, phase) {
        case (.hold, _): return []
        case (.rollBack, .canary), (.rollBack, .baking): return beginRollback(.noData, why, data: true, at: now)
        case (.promote, .canary(let step)):
            return [.noted("goes on without data: \(why)")] + enterStep(step + 1, at: now)
        case (.promote, .baking): return [.noted("promoted without data: \(why)")] + finishBaking(at: now)
        default: return []
        }
    }

    // MARK: Going back

    private func beginRollback(
        _ kind: RollbackCause.Kind, _ reason: String, data: Bool, at now: Instant
    ) -> [Fact.Body] {
        let takesData = data && policy.database.map { $0.rollback.mode != .keep } ?? false
        let cause = RollbackCause(kind: kind, reason: reason, data: takesData)
        let first: Phase = .rollingBack(isStableReplaced ? .stable : .traffic)
        return [.rollbackBegun(cause), entering(first, at: now)]
    }

    /// The release's writes must be taken out: asked for, and there are a snapshot and a canary that could write.
    package var mustRewind: Bool { rollback?.data == true && snapshot != nil && canaryStarted }

    private func halt(_ reason: String, advice: [String], at now: Instant) -> [Fact.Body] {
        [.halted(reason: reason, advice: advice), entering(.halted, at: now)]
    }

    private func failed(_ reason: String, hint: String?, at now: Instant) -> [Fact.Body] {
        let advice = (hint.map { [$0] } ?? [])
        switch phase {
        case .accepted, .preflight, .snapshotting, .starting, .canary, .waiting:
            return beginRollback(.failure, reason, data: true, at: now)
        case .promoting:
            guard isStableWhole else {
                return halt(
                    reason,
                    advice: advice + [
                        "old and new instances serve together: release the same or a fixed commit to finish"
                    ], at: now)
            }
            return beginRollback(.failure, reason, data: true, at: now)
        case .baking, .undoable:
            return [.noted(reason)]
        case .rollingBack(.stable):
            return halt(
                reason, advice: advice + ["the new version goes on serving; release a known good commit"], at: now)
        case .rollingBack(.traffic):
            return halt(reason, advice: advice + ["check the router: the canary may still get traffic"], at: now)
        case .rollingBack(.canary):
            return halt(
                reason,
                advice: advice + [
                    "nobody is routed to the canary; stop its instances by hand, its writes are recorded"
                ], at: now)
        case .rollingBack(.data):
            return halt(
                reason,
                advice: advice + [
                    "live data is untouched and carries the canary's writes: `perch quarantine list \(id)` shows them",
                    "snapshot and recording are kept until the next release of \(id.service)",
                ], at: now)
        case .rollingBack(.verification):
            return halt(reason, advice: advice, at: now)
        case .promoted, .rolledBack, .halted, .aborted, .superseded:
            return []
        }
    }

    private func lostInstance(_ why: String, at now: Instant) -> [Fact.Body] {
        switch phase {
        case .canary(let step) where !policy.rollBack.automatic:
            return [.noted(why), entering(.waiting(step: step, for: .failure), at: now)]
        case .canary, .waiting(_, .approval), .baking: return beginRollback(.instance, why, data: true, at: now)
        default: return []
        }
    }

    private func endangered(_ why: String, at now: Instant) -> [Fact.Body] {
        switch phase {
        case .starting, .canary, .waiting: return beginRollback(.recording, why, data: true, at: now)
        case .promoting, .baking: return [.noted("\(why): data can no longer be rolled back")]
        case .undoable: return [.noted(why), entering(.promoted, at: now)]
        default: return []
        }
    }

    private func expired(at now: Instant) -> [Fact.Body] {
        if let phaseDeadline, now >= phaseDeadline {
            let late = "\(phase.name) took longer than \(phaseDeadline.since(phaseSince))"
            switch phase {
            case .accepted: return [.noted(late), entering(.aborted, at: now)]
            case .undoable: return [entering(.promoted, at: now)]
            case .waiting(_, .approval), .waiting(_, .failure), .preflight, .snapshotting, .starting, .canary, .baking:
                return beginRollback(.deadline, late, data: true, at: now)
            case .promoting, .rollingBack: return failed(late, hint: nil, at: now)
            case .promoted, .rolledBack, .halted, .aborted, .superseded: return []
            }
        }
        switch phase {
        case .preflight, .snapshotting, .starting, .canary, .baking:
            guard now >= releaseDeadline else { return [] }
            return beginRollback(.deadline, "the release took longer than \(policy.deadline)", data: true, at: now)
        default: return []
        }
    }

    private func superseded(by newer: ReleaseID, at now: Instant) -> [Fact.Body] {
        switch phase {
        case .accepted:
            return [.noted("superseded by \(newer)"), entering(.superseded, at: now)]
        case .preflight, .snapshotting, .starting, .canary, .waiting:
            return beginRollback(.superseded, "superseded by \(newer)", data: true, at: now)
        case .undoable: return [entering(.promoted, at: now)]
        default: return []
        }
    }

    // MARK: People

    private func asked(
        _ request: OperatorRequest, data: Bool?, at now: Instant
    ) throws(EventRefused) -> [Fact.Body] {
        let fact = Fact.Body.operatorAsked(request)
        let why = "\(request.verb.rawValue) by \(request.person)" + (request.reason.map { ": \($0)" } ?? "")
        switch (request.verb, phase) {
        case (.promote, .waiting(let step, _)), (.promote, .canary(let step)):
            return [fact] + enterStep(step + 1, at: now)
        case (.promote, .baking):
            return [fact] + finishBaking(at: now)
        case (.promote, _):
            throw EventRefused(
                reason: "\(id) is \(phase.name): nothing waits for a promotion",
                hint: "promote works while a release is in canary, waiting or baking")
        case (.abort, .accepted):
            return [fact, entering(.aborted, at: now)]
        case (.abort, .preflight), (.abort, .snapshotting), (.abort, .starting), (.abort, .canary), (.abort, .waiting):
            return [fact] + beginRollback(.abort, why, data: data ?? true, at: now)
        case (.abort, .promoting) where isStableWhole && !isFirst:
            return [fact] + beginRollback(.abort, why, data: data ?? true, at: now)
        case (.abort, .baking), (.abort, .undoable):
            throw EventRefused(
                reason: "\(id) already serves everybody",
                hint: "`perch rollback \(id.service)` brings the old version back")
        case (.abort, _):
            throw EventRefused(reason: "\(id) is \(phase.name) and can no longer be aborted", hint: nil)
        case (.rollback, .starting), (.rollback, .canary), (.rollback, .waiting), (.rollback, .baking),
            (.rollback, .undoable), (.rollback, .snapshotting), (.rollback, .preflight):
            return [fact] + beginRollback(.operatorRollback, why, data: data ?? true, at: now)
        case (.rollback, .promoting) where isStableWhole && !isFirst:
            return [fact] + beginRollback(.operatorRollback, why, data: data ?? true, at: now)
        case (.rollback, .rollingBack):
            throw EventRefused(reason: "\(id) is rolling back already", hint: "`perch watch \(id)` follows it")
        case (.rollback, _):
            throw EventRefused(
                reason: "\(id) is \(phase.name) and cannot be rolled back now",
                hint: "once it serves everybody, `perch rollback \(id.service)` works again")
        }
    }

    // MARK: What is due

    /// The one thing to make so now; nil when only an event can move the release.
    package var dueEffect: Effect? {
        switch phase {
        case .accepted, .promoted, .rolledBack, .halted, .aborted, .superseded: return nil
        case .preflight: return .preflight
        case .snapshotting: return .snapshot
        case .starting: return .startCanary
        case .canary, .baking:
            return isShareCurrent ? .watch(phase, until: watchEnd) : .setShare(wantedShare)
        case .waiting: return isShareCurrent ? .awaitPerson : .setShare(wantedShare)
        case .promoting: return .replaceStable
        case .undoable: return phaseDeadline.map { .keepUndo(until: $0) }
        case .rollingBack(.stable): return .restoreStable
        case .rollingBack(.traffic): return .setShare(.none)
        case .rollingBack(.canary): return .stopCanary(fence: policy.database != nil && snapshot != nil)
        case .rollingBack(.data): return .rewind
        case .rollingBack(.verification): return .verify
        }
    }

    private var isShareCurrent: Bool {
        guard let shareSince else { return false }
        return share == wantedShare && shareSince >= phaseSince
    }

    /// The earliest end of the current watch; its window begins when the router confirmed the share.
    package var watchEnd: Instant {
        let start = isShareCurrent ? (shareSince ?? phaseSince) : phaseSince
        switch phase {
        case .canary(let step):
            if case .share(_, let span) = policy.cohort.steps[step] { return start.advanced(by: span) }
            return start
        case .baking: return start.advanced(by: policy.promote.bake)
        default: return start
        }
    }

    package var recordsData: Bool { policy.database.map { $0.snapshot != .none } ?? false }

    private func entering(_ next: Phase, at now: Instant) -> Fact.Body {
        .phaseEntered(next, deadline: deadline(of: next, at: now))
    }

    private func deadline(of next: Phase, at now: Instant) -> Instant? {
        let process = policy.platform.process
        switch next {
        case .promoted, .rolledBack, .halted, .aborted, .superseded: return nil
        case .accepted: return now.advanced(by: Deadlines.queued)
        case .preflight: return now.advanced(by: Deadlines.preflight).advanced(by: replacementTime)
        case .snapshotting, .canary, .baking: return releaseDeadline
        case .starting:
            return now.advanced(by: policy.source.buildWithin).advanced(by: process.readyWithin)
                .advanced(by: Deadlines.margin)
        case .waiting: return now.advanced(by: Deadlines.approval)
        case .promoting: return now.advanced(by: replacementTime)
        case .undoable: return now.advanced(by: policy.promote.undoWindow)
        case .rollingBack(.stable): return now.advanced(by: replacementTime)
        case .rollingBack: return now.advanced(by: policy.rollBack.deadline)
        }
    }

    /// Every stable instance started, probed and drained one after the other, and the build before it.
    private var replacementTime: Span {
        let process = policy.platform.process
        let each = process.readyWithin.milliseconds + process.drain.milliseconds
        return Span(
            milliseconds: each * Int64(process.stableInstances) + policy.source.buildWithin.milliseconds
                + Deadlines.margin.milliseconds)
    }
}
