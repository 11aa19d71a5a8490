// Facts and states as people read them: one sentence each, lower case, numbers with their limits.

extension Fact {
    package var sentence: String {
        switch body {
        case .accepted(let acceptance):
            "accepted commit \(acceptance.commit.short), asked by \(acceptance.request.sender)"
        case .baselineChosen(let stable):
            stable.map { "compares with stable \($0.short)" } ?? "no version serves yet: this is the first"
        case .phaseEntered(let phase, _): phase.sentence
        case .preflightPassed(let warnings):
            warnings.isEmpty
                ? "preflight passed" : "preflight passed, with warnings: \(warnings.joined(separator: "; "))"
        case .snapshotTaken(let summary):
            "snapshot at \(summary.lsn): \(summary.tables) tables, \(summary.bytes) bytes in "
                + "\(Span(milliseconds: summary.tookMilliseconds)); recording runs"
        case .instancesReady(let arm, let names): "\(arm.rawValue) ready: \(names.joined(separator: ", "))"
        case .shareConfirmed(let share):
            share == .none
                ? "router sends everybody to stable" : "router sends \(share) of the users to the canary"
        case .verdictReached(let verdict):
            (verdict.outcome == .pass ? "passed: " : "failed: ") + verdict.why.joined(separator: "; ")
        case .stableLeaving: "old stable instances begin to leave"
        case .stableReplaced: "stable instances run the new version"
        case .operatorAsked(let request):
            "\(request.person) asked to \(request.verb.rawValue)" + (request.reason.map { ": \($0)" } ?? "")
        case .rollbackBegun(let cause): "rolling back: \(cause.reason)"
        case .stableRestored: "the old version is whole again"
        case .canaryStopped: "canary stopped"
        case .dataRewound(let summary): summary.sentence
        case .firstFailureSeen: "the canary's first failed response was seen"
        case .halted(let reason, _): "halted: \(reason)"
        case .noted(let text): text
        }
    }
}

extension Phase {
    package var sentence: String {
        switch self {
        case .accepted: "waits for its turn"
        case .preflight: "checks what a way back needs"
        case .snapshotting: "takes a snapshot and starts recording"
        case .starting: "starts the new version beside stable"
        case .canary(let step): "canary step \(step + 1)"
        case .waiting(_, .approval): "waits for a person: `perch promote` or `perch abort`"
        case .waiting(_, .failure): "failed and waits for a person at share 0: `perch promote` or `perch abort`"
        case .promoting: "replaces the stable instances"
        case .baking: "all users are on the new version; it is watched"
        case .undoable: "promoted; `perch rollback` works until the undo window closes"
        case .promoted: "promoted"
        case .rollingBack(.stable): "makes the old version whole again"
        case .rollingBack(.traffic): "sends every user back to stable"
        case .rollingBack(.canary): "stops the canary"
        case .rollingBack(.data): "takes the canary's writes out of the data"
        case .rollingBack(.verification): "verifies the rollback"
        case .rolledBack: "rolled back"
        case .halted: "halted: a person must decide"
        case .aborted: "aborted"
        case .superseded: "superseded"
        }
    }
}

extension RewindSummary {
    package var sentence: String {
        if mode == "keep" { return "data kept as it is" }
        if mode == "none" { return "the canary wrote nothing: data untouched" }
        let how =
            mode == "heal"
            ? "\(rowsHealed) rows healed in place, nobody held" : "requests held \(heldMilliseconds) ms"
        return "data rewound: \(stableTransactionsReplayed) stable transactions replayed, "
            + "\(canaryTransactionsKeptOut) of the canary kept out, \(conflictsQuarantined) conflicts in quarantine, "
            + "\(tablesVerified) tables verified, \(how)"
    }
}

extension ReleaseState {
    /// What is going on, or how it ended and why.
    package var message: String {
        switch phase {
        case .rolledBack, .aborted, .superseded:
            rollback.map { "\(phase.sentence): \($0.reason)" } ?? phase.sentence
        case .rollingBack: rollback.map { "\(phase.sentence): \($0.reason)" } ?? phase.sentence
        case .halted: "halted: \(haltReason ?? "unknown")"
        case .canary: "\(phase.sentence) of \(policy.cohort.steps.count) at \(wantedShare)"
        case .accepted, .preflight, .snapshotting, .starting, .waiting, .promoting, .baking, .undoable, .promoted:
            phase.sentence
        }
    }
}
