// Goal: inputs on which other judges gave the wrong answer are judged rightly here. Method: the inputs of their issue
// threads, told to the whole judge.

import Testing

@testable import Analysis

@Suite struct NeighbourTests {
    private func past() -> VersionCounts {
        var counts = VersionCounts()
        counts.settle(Answers(answered: 950))
        counts.settle(Answers(answered: 50, microseconds: 40_000))
        return counts
    }

    /// Errors a minute of canary and baseline, each with 60 requests a minute of the canary.
    private func minutes(_ canary: [UInt64], stable: [UInt64], share: Int) -> (Judgement, Rehearsal) {
        var release = Rehearsal()
        release.beginStep()
        var judgement = release.look()
        let stableRequests = 60 * UInt64(10_000 - share) / UInt64(share)
        for (canary, stable) in zip(canary, stable) where judgement.verdict == nil {
            release.now += 59_000
            judgement = release.tick(
                share: share, stable: Answers(answered: stableRequests - stable, failed: stable),
                canary: Answers(answered: 60 - canary, failed: canary))
        }
        return (judgement, release)
    }

    @Test func `sparse errors against none: no pass, and a verdict where the split allows one (kayenta 426)`() {
        let canary: [UInt64] = [0, 1, 2, 1, 0, 0]
        let none: [UInt64] = [0, 0, 0, 0, 0, 0]
        #expect(minutes(canary, stable: none, share: 500).0.verdict?.canary.bad == 4)
        // Against a baseline of the same size, four failures all on one side come up in 1 of 16 releases by chance.
        let (judgement, release) = minutes(canary, stable: none, share: 5_000)
        #expect(judgement.missing?.metric == .errors && release.test.advance.errors < 1)
    }

    @Test func `a baseline without errors is not a missing value (kayenta 377)`() {
        #expect(
            minutes([3, 3, 3, 3], stable: [0, 0, 0, 0], share: 5_000).0.verdict?.stable.bad == 0)
    }

    @Test func `650 % more errors do not pass (kayenta 633)`() {
        let verdict = minutes([15, 15, 15], stable: [2, 2, 2], share: 5_000).0.verdict
        #expect(verdict != nil)
    }

    @Test func `seven of ten requests a hundred times as slow (kayenta 780, spinnaker 6278)`() throws {
        var release = Rehearsal(JudgingSettings(), past: past())
        release.router.settle(share: 500, stable: Answers(answered: 180), canary: Answers(answered: 3))
        release.router.settle(
            share: 500, stable: Answers(answered: 10, microseconds: 40_000),
            canary: Answers(answered: 7, microseconds: 2_000_000))
        let verdict = try #require(release.look().verdict)
        #expect(verdict.leading != .errors && verdict.canary == .init(bad: 7, total: 10))
    }

    @Test func `the same median with more spread is seen (spinnaker 6278)`() {
        var release = Rehearsal(JudgingSettings(), past: past())
        var judgement = release.look()
        var seconds = 0
        while judgement.verdict == nil, seconds < 60 {
            seconds += 1
            release.router.settle(
                share: 500, stable: Answers(answered: 90),
                canary: Answers(answered: 3, microseconds: 5_000))
            release.router.settle(
                share: 500, stable: Answers(answered: 5, microseconds: 40_000),
                canary: Answers(answered: 2, microseconds: 80_000))
            judgement = release.look()
        }
        #expect(judgement.verdict?.leading != .errors)
        #expect(seconds < 20, "\(seconds)")
    }

    @Test func `the same counts give the same judgement`() {
        let first = minutes([0, 1, 0, 1, 0, 1], stable: [1, 0, 1, 0, 1, 0], share: 5_000)
        let second = minutes([0, 1, 0, 1, 0, 1], stable: [1, 0, 1, 0, 1, 0], share: 5_000)
        #expect(first.0 == second.0 && first.1.test == second.1.test)
    }
}
