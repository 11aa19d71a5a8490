// Goal: whatever happens in whatever order, the machine keeps its invariants. Method: every short sequence of events, and
// many long random ones from a printed seed, over every policy that changes the way; the laws are checked after each event.

import Foundation
import Releases
import Testing

@Suite struct MachineFuzzTests {
    /// Everything that must hold between two states, whatever the event was.
    private func checkLaws(_ before: ReleaseState, _ walk: Walk, _ event: Event, _ bodies: [Fact.Body]) throws {
        let after = walk.state
        let story = "\(before.phase) --\(event)--> \(after.phase)"
        try #require((0...10_000).contains(after.wantedShare.basisPoints), "\(story)")
        if after.wantedShare > .none { try #require(after.canaryStarted, "a share without a canary: \(story)") }
        if after.wantedShare > before.wantedShare {
            let hasReason: Bool =
                switch event {
                case .judged(let verdict): verdict.outcome == .pass
                case .operatorAsked(let request, _): request.verb == .promote
                case .dataMissing: after.policy.watch.noDataThen == .promote
                case .instancesReady: before.phase == .starting
                default: false
                }
            try #require(hasReason, "share rose without a pass: \(story)")
        }
        if after.rollback != nil {
            try #require(after.wantedShare == .none, "\(story)")
            if case .setShare(let share) = after.dueEffect { try #require(share == .none, "\(story)") }
        }
        if before.rollback != nil {
            try #require(after.rollback == before.rollback, "a rollback changed its cause: \(story)")
        }
        if before.hasFailed {
            try #require(after.hasFailed, "\(story)")
            if before.policy.rollBack.automatic {
                try #require(after.phase != .promoted && after.phase != .undoable, "a failure was forgotten: \(story)")
            }
        }
        if before.phase.isTerminal { try #require(bodies.isEmpty && after == before, "\(story)") }
        try #require(after.phase.isTerminal == (after.phaseDeadline == nil), "\(story)")
        try #require((after.dueEffect == nil) == (after.phase.isTerminal || after.phase == .accepted), "\(story)")
        if !after.isStableWhole {
            try #require(after.phase != .rollingBack(.traffic), "back onto a stable that is not whole: \(story)")
        }
        if case .rewind = after.dueEffect {
            try #require(after.snapshot != nil && after.canaryStarted, "\(story)")
        }
        try #require(ReleaseState.replay(walk.facts) == after, "replay differs: \(story)")
    }

    private func step(_ walk: inout Walk, _ event: Event) throws {
        let before = walk.state
        let bodies = walk.take(event)
        try checkLaws(before, walk, event, bodies)
    }

    private static let alphabet: [Event] = [
        .preflightDone(failures: [], warnings: []), .preflightDone(failures: ["no"], warnings: []),
        .snapshotDone(testSnapshot), .instancesReady(.canary, names: ["c"]), .shareConfirmed(.none),
        .stableLeaving, .stableReplaced, .stableRestored, .canaryStopped,
        .dataRewound(RewindSummary(mode: "swap")), .verified, .undoWindowClosed,
        .effectFailed(reason: "broken", hint: nil), .effectDelayed(reason: "away"),
        .instanceLost(name: "c", why: "exit 1"),
        .recordingEndangered(why: "wal"), .newerArrived(ReleaseID(service: testService, number: 8)),
        .operatorAsked(OperatorRequest(verb: .promote, person: "p", reason: nil), data: nil),
        .operatorAsked(OperatorRequest(verb: .abort, person: "p", reason: nil), data: nil),
        .operatorAsked(OperatorRequest(verb: .rollback, person: "p", reason: nil), data: true),
    ]

    /// Events that depend on the state: what is due succeeding, verdicts on the present phase, time.
    private func adaptive(_ state: ReleaseState) -> [Event] {
        [
            .shareConfirmed(state.wantedShare), .judged(Verdict(phase: state.phase, outcome: .pass, why: [])),
            .judged(Verdict(phase: state.phase, outcome: .fail, why: ["bad"])), .dataMissing(state.phase, why: "none"),
            .judged(Verdict(phase: .canary(step: 0), outcome: .pass, why: ["late"])), .clock,
        ]
    }

    @Test("every sequence of four events from every phase keeps the laws", arguments: interestingPolicies.indices)
    func exhaustive(index: Int) throws {
        let policy = interestingPolicies[index]
        // Start where it gets interesting: each phase that the working world reaches.
        var starts: [Walk] = [Walk(policy, starts: false), Walk(policy, stable: nil)]
        var walk = Walk(policy)
        for _ in 0..<40 {
            starts.append(walk)
            guard let effect = walk.state.dueEffect else { break }
            let event = walk.success(of: effect)
            walk.take(event)
        }
        var seen: Set<ReleaseState> = []
        func explore(_ walk: Walk, depth: Int) throws {
            guard depth > 0 else { return }
            for event in Self.alphabet + adaptive(walk.state) {
                var next = walk
                try step(&next, event)
                if next.state.lastSequence != walk.state.lastSequence, seen.insert(next.state).inserted {
                    try explore(next, depth: depth - 1)
                }
            }
        }
        for start in starts { try explore(start, depth: 4) }
        #expect(seen.count > 100)
    }

    @Test("long random lives keep the laws", arguments: 0..<8)
    func random(block: Int) throws {
        let seed = ProcessInfo.processInfo.environment["PERCH_TEST_SEED"].flatMap(UInt64.init) ?? UInt64(1_000 + block)
        var generator = SeededGenerator(seed: seed)
        for life in 0..<400 {
            let policy = interestingPolicies.randomElement(using: &generator)!
            var walk = Walk(policy, stable: Bool.random(using: &generator) ? stableCommit : nil)
            for _ in 0..<60 where !walk.state.phase.isTerminal {
                let roll = Int.random(in: 0..<10, using: &generator)
                if roll == 0 {
                    walk.now = walk.now.advanced(by: .seconds(Int64.random(in: 0..<4_000, using: &generator)))
                }
                if roll < 6, let effect = walk.state.dueEffect {
                    let verdict: Verdict.Outcome = Int.random(in: 0..<6, using: &generator) == 0 ? .fail : .pass
                    let before = walk.state
                    let event = walk.success(of: effect, verdict: verdict)
                    // `success` may itself have reported that old instances leave.
                    if walk.state == before { try step(&walk, event) } else { walk.take(event) }
                } else {
                    let events = Self.alphabet + adaptive(walk.state)
                    do {
                        try step(&walk, events.randomElement(using: &generator)!)
                    } catch {
                        Issue.record("seed \(seed), life \(life)")
                        throw error
                    }
                }
            }
        }
    }

    @Test("with nothing but time, and every effect failing, each release ends", arguments: interestingPolicies.indices)
    func alwaysEnds(index: Int) throws {
        for failsEffects in [false, true] {
            var walk = Walk(interestingPolicies[index])
            for reached in 0..<12 {
                var stuck = walk
                for _ in 0..<30 where !stuck.state.phase.isTerminal {
                    if failsEffects { try step(&stuck, .effectFailed(reason: "broken", hint: nil)) }
                    if let deadline = stuck.state.phaseDeadline { stuck.now = max(stuck.now, deadline) }
                    try step(&stuck, .clock)
                }
                #expect(stuck.state.phase.isTerminal, "stuck in \(stuck.state.phase), \(reached) effects done")
                guard let effect = walk.state.dueEffect else { break }
                let event = walk.success(of: effect)
                walk.take(event)
            }
        }
    }

    @Test("facts survive JSON, and their replay is the state")
    func codable() throws {
        var walk = Walk()
        walk.go(until: { $0.phase == .baking })
        walk.take(.judged(Verdict(phase: .baking, outcome: .fail, why: ["5 of 60 failed"])))
        walk.go(until: { $0.phase.isTerminal })
        let decoded = try walk.facts.map { try JSONDecoder().decode(Fact.self, from: JSONEncoder().encode($0)) }
        #expect(decoded == walk.facts)
        #expect(ReleaseState.replay(decoded) == walk.state)
        #expect(walk.state.phase == .rolledBack)
    }
}
