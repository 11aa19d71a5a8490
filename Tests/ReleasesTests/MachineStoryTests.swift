// Goal: each story a release can tell ends as the issue and the neighbours' failures demand. Method: directed walks.

import Releases
import Testing

@Suite struct MachineStoryTests {
    private func ask(_ verb: OperatorRequest.Verb, data: Bool? = nil) -> Event {
        .operatorAsked(OperatorRequest(verb: verb, person: "ada", reason: nil), data: data)
    }

    @Test("a good release goes through every phase and ends promoted")
    func promoted() {
        var walk = Walk()
        var phases: [String] = []
        for _ in 0..<60 {
            if phases.last != walk.state.phase.name { phases.append(walk.state.phase.name) }
            guard let effect = walk.state.dueEffect else { break }
            let event = walk.success(of: effect)
            walk.take(event)
        }
        #expect(
            phases == ["preflight", "snapshotting", "starting", "canary", "promoting", "baking", "promoted"])
        #expect(walk.state.phase == .promoted)
    }

    @Test("a bad canary loses its users first, then stops, then its data is rewound, then all is verified")
    func rolledBack() {
        var walk = Walk()
        walk.go(until: { $0.phase == .canary(step: 0) })
        walk.go(until: { if case .watch = $0.dueEffect { true } else { false } })
        walk.take(.judged(Verdict(phase: .canary(step: 0), outcome: .fail, why: ["5 of 60 failed"])))
        var stages: [Phase] = []
        while let effect = walk.state.dueEffect {
            stages.append(walk.state.phase)
            let event = walk.success(of: effect)
            walk.take(event)
        }
        #expect(stages == [.traffic, .canary, .data, .verification].map { Phase.rollingBack($0) })
        #expect(walk.state.phase == .rolledBack)
        #expect(walk.state.shareZeroAt != nil)
    }

    @Test("the first release of a service starts it without a canary")
    func first() {
        var walk = Walk(stable: nil)
        walk.go(until: { $0.phase.isTerminal })
        #expect(walk.state.phase == .promoted)
        #expect(!walk.state.canaryStarted)
    }

    @Test("aborting what is over is refused with a hint")
    func abortIdle() {
        var walk = Walk()
        walk.go(until: { $0.phase.isTerminal })
        #expect(throws: EventRefused.self) { try walk.state.decide(ask(.abort), at: walk.now) }
    }

    @Test("a failed step is never passed by a later success")
    func absorbing() {
        var walk = Walk()
        walk.go(until: { if case .watch = $0.dueEffect { true } else { false } })
        let phase = walk.state.phase
        walk.take(.judged(Verdict(phase: phase, outcome: .fail, why: ["bad"])))
        #expect(walk.take(.judged(Verdict(phase: phase, outcome: .pass, why: ["good again"]))).isEmpty)
        #expect(walk.state.wantedShare == .none)
    }

    @Test("a pass before the step's time is not yet a pass")
    func tooEarly() {
        var walk = Walk()
        walk.go(until: { if case .watch = $0.dueEffect { true } else { false } })
        #expect(walk.take(.judged(Verdict(phase: walk.state.phase, outcome: .pass, why: []))).isEmpty)
    }

    @Test("waiting for a person does not use up the release's time")
    func waitingIsFree() {
        var walk = Walk(interestingPolicies[3])
        walk.go(until: { if case .waiting = $0.phase { true } else { false } })
        let deadline = walk.state.releaseDeadline
        walk.now = walk.now.advanced(by: .hours(20))
        walk.take(.clock)
        walk.take(ask(.promote))
        #expect(walk.state.phase == .promoting)
        #expect(walk.state.releaseDeadline == deadline.advanced(by: .hours(20)))
    }

    @Test("every phase ends at its deadline: snapshotting rolls back, promoting halts once stable is not whole")
    func deadlines() {
        var slow = Walk()
        slow.go(until: { $0.phase == .snapshotting })
        slow.now = slow.state.phaseDeadline!
        slow.take(.clock)
        #expect(slow.state.phase == .rollingBack(.traffic))
        var half = Walk()
        half.go(until: { $0.phase == .promoting })
        half.take(.stableLeaving)
        half.now = half.state.phaseDeadline!
        half.take(.clock)
        #expect(half.state.phase == .halted)
        #expect(!half.state.advice.isEmpty)
    }

    @Test("a promotion that fails before any old instance left rolls back")
    func promotingWhole() {
        var walk = Walk()
        walk.go(until: { $0.phase == .promoting })
        walk.take(.effectFailed(reason: "never ready", hint: nil))
        #expect(walk.state.phase == .rollingBack(.traffic))
    }

    @Test("a rollback whose data step fails halts and says that live data is untouched")
    func rollbackFails() {
        var walk = Walk()
        walk.go(until: { if case .watch = $0.dueEffect { true } else { false } })
        walk.take(.instanceLost(name: "c", why: "exit 1"))
        walk.go(until: { $0.phase == .rollingBack(.data) })
        walk.take(.effectFailed(reason: "disk full", hint: "free some"))
        #expect(walk.state.phase == .halted)
        #expect(walk.state.advice.contains { $0.contains("live data is untouched") })
    }

    @Test("undoing a promotion makes the old version whole before users move")
    func undo() {
        var walk = Walk()
        walk.go(until: { $0.phase == .undoable })
        walk.take(ask(.rollback, data: true))
        #expect(walk.state.phase == .rollingBack(.stable))
        walk.go(until: { $0.phase.isTerminal })
        #expect(walk.state.phase == .rolledBack)
        #expect(walk.state.rewind != nil)
    }

    @Test("a newer release supersedes a canary and closes an undo window")
    func superseded() {
        let newer = Event.newerArrived(ReleaseID(service: testService, number: 8))
        var canary = Walk()
        canary.go(until: { if case .watch = $0.dueEffect { true } else { false } })
        canary.take(newer)
        canary.go(until: { $0.phase.isTerminal })
        #expect(canary.state.phase == .superseded)
        var undoable = Walk()
        undoable.go(until: { $0.phase == .undoable })
        undoable.take(newer)
        #expect(undoable.state.phase == .promoted)
    }

    @Test("without automatic rollback a failed step waits for a person at share 0")
    func manual() {
        var walk = Walk(interestingPolicies[2])
        walk.go(until: { if case .watch = $0.dueEffect { true } else { false } })
        walk.take(.judged(Verdict(phase: walk.state.phase, outcome: .fail, why: ["bad"])))
        #expect(walk.state.phase == .waiting(step: 0, for: .failure))
        #expect(walk.state.dueEffect == .setShare(.none))
        walk.take(ask(.abort))
        walk.go(until: { $0.phase.isTerminal })
        #expect(walk.state.phase == .aborted)
    }

    @Test("lacking data neither passes nor fails: it holds until the policy's word")
    func noData() {
        var hold = Walk()
        hold.go(until: { if case .watch = $0.dueEffect { true } else { false } })
        let phase = hold.state.phase
        hold.take(.dataMissing(phase, why: "3 of 50 requests"))
        #expect(hold.state.phase == phase)
        var back = Walk(interestingPolicies[5])
        back.go(until: { if case .watch = $0.dueEffect { true } else { false } })
        back.take(.dataMissing(back.state.phase, why: "3 of 50 requests"))
        #expect(back.state.phase == .rollingBack(.traffic))
    }
}
