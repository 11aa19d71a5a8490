// Goal: a canary that only fails sooner than stable is not blamed, and a bad one loses hardly any time. Method: stories in looks
// of 250 ms in which stable's requests take a while, and laws over random ones from fixed seeds.

import Foundation
import Testing

@testable import Analysis

@Suite struct SuspicionTests {
    /// Stable and canary as the router sees them every 250 ms.
    private struct Quarters {
        var release: Rehearsal
        /// Requests of stable that hang, by the look at which they were first in flight.
        var hanging: [UInt64] = []

        init(_ settings: JudgingSettings = .errorsOnly) { release = Rehearsal(settings) }

        /// - Parameters:
        ///   - inFlight: of stable, that will be answered.
        ///   - hang: of stable, that will not.
        mutating func look(
            share: Int = 500, stable: Answers = Answers(), canary: Answers = Answers(), inFlight: UInt64 = 0,
            hang: UInt64 = 0, afterMilliseconds elapsed: Int64 = 250
        ) -> Judgement {
            let overdue = hanging.reduce(0, +)
            hanging.append(hang)
            release.router.settle(share: share, stable: stable, canary: canary)
            release.router.change(share) { counts in
                counts.stable.inFlight = overdue + hang + inFlight
                counts.stable.overdue = overdue
            }
            return release.look(afterMilliseconds: elapsed)
        }

        mutating func timeOut(share: Int = 500) -> Judgement {
            let all = hanging.reduce(0, +)
            hanging = []
            return look(share: share, stable: Answers(timeouts: all))
        }

        mutating func healthy(looks: Int) {
            for _ in 0..<looks { _ = look(stable: Answers(answered: 24), canary: Answers(answered: 1), inFlight: 6) }
        }
    }

    @Test(arguments: [(100, 12, 1_188), (500, 12, 228), (500, 3, 57), (1_000, 5, 45), (5_000, 12, 12)])
    func `while both fail and stable's requests hang, nobody is blamed`(
        _ share: Int, _ canary: UInt64, _ stable: UInt64
    ) {
        var story = Quarters()
        story.healthy(looks: 40)
        _ = story.look(share: share, canary: Answers(failed: canary), hang: stable)
        if share < 5_000 {
            #expect(story.release.test.reachedVerdict() != nil, "no request of stable is overdue yet")
        }
        for look in 0..<120 {
            let judgement = story.look(share: share, canary: Answers(failed: canary), hang: stable)
            #expect(judgement.verdict == nil, "look \(look)")
        }
        #expect(story.timeOut(share: share).verdict == nil)
        #expect(story.release.test.suspicion == nil)
    }

    @Test func `evidence that all of stable's requests in flight could not undo is a verdict at once`() throws {
        var story = Quarters()
        story.healthy(looks: 4)
        let verdict = try #require(
            story.look(stable: Answers(answered: 24), canary: Answers(failed: 8), inFlight: 5).verdict)
        #expect(verdict.at == story.release.now && verdict.guardedWealth == verdict.wealth)
        #expect(verdict.canary == .init(bad: 8, total: 12))
    }

    @Test func `a canary that is suspected before its evidence suffices goes back at the look at which it does`() throws
    {
        var story = Quarters()
        story.healthy(looks: 4)
        let stable = Answers(answered: 24)
        #expect(story.look(stable: stable, canary: Answers(failed: 2), inFlight: 6).verdict == nil)
        #expect(story.release.test.suspicion?.isFounded == false)
        #expect(story.release.test.wealth < 100, "\(story.release.test.wealth)")
        #expect(story.look(stable: stable, inFlight: 6).verdict == nil)
        #expect(story.release.test.suspicion?.isFounded == true)
        let verdict = try #require(story.look(stable: stable, canary: Answers(failed: 1), inFlight: 6).verdict)
        #expect(verdict.wealth >= 100 && verdict.canary.bad == 3)
        #expect(story.release.test.suspicion == nil)
    }

    @Test func `evidence that comes all at once waits until stable's requests of that time are overdue or answered`() {
        var story = Quarters()
        story.healthy(looks: 4)
        let stable = Answers(answered: 24)
        #expect(story.look(stable: stable, canary: Answers(failed: 3), inFlight: 6).verdict == nil)
        #expect(story.release.test.reachedVerdict() != nil)
        #expect(story.look(stable: stable, inFlight: 6, afterMilliseconds: 249).verdict == nil)
        #expect(story.look(stable: stable, inFlight: 6, afterMilliseconds: 1).verdict != nil)
    }

    @Test func `it waits as long as stable's p99 says`() {
        var past = VersionCounts()
        past.settle(Answers(answered: 2_000, microseconds: 700_000))
        var story = Quarters()
        story.release = Rehearsal(JudgingSettings(), past: past)
        let overdueAfter = Int64(story.release.test.overdueAfterMicroseconds / 1_000)
        #expect(overdueAfter >= 700)
        let stable = Answers(answered: 24, microseconds: 700_000)
        #expect(story.look(stable: stable, canary: Answers(failed: 3), inFlight: 70).verdict == nil)
        #expect(story.look(stable: stable, inFlight: 70, afterMilliseconds: overdueAfter - 1).verdict == nil)
        #expect(story.look(stable: stable, inFlight: 70, afterMilliseconds: 2).verdict != nil)
    }

    @Test func `what was in flight in a router that is silent since may have failed`() {
        var story = Quarters()
        story.healthy(looks: 4)
        #expect(story.look(canary: Answers(failed: 3), inFlight: 57).verdict == nil)
        for _ in 0..<8 {
            story.release.now += 250
            #expect(story.release.test.judge(Tick(at: story.release.now, counts: [])).verdict == nil)
            #expect(story.release.test.suspicion?.isFounded == false)
        }
        #expect(story.look(stable: Answers(answered: 57)).verdict != nil)
    }

    @Test func `what stable had in flight and failed since takes it back, whatever the canary did meanwhile`() {
        var story = Quarters()
        story.healthy(looks: 4)
        #expect(story.look(canary: Answers(failed: 3), inFlight: 19).verdict == nil)
        #expect(story.look(stable: Answers(failed: 19), canary: Answers(failed: 12), inFlight: 228).verdict == nil)
        #expect(story.release.test.reachedVerdict() != nil)
        #expect(story.release.test.suspicion?.isFounded == false)
        #expect(story.look(stable: Answers(failed: 228)).verdict == nil)
        #expect(story.release.test.suspicion == nil)
    }

    @Test func `no step passes while a verdict waits`() {
        var settings = JudgingSettings.errorsOnly
        settings.falseAlarmRate = 0.3
        settings.advanceEvidence = 0
        settings.advanceWealthMax = 1e6
        settings.settleMilliseconds = 0
        settings.minimumFailures = 1
        var story = Quarters(settings)
        story.release.beginStep(seconds: 0)
        #expect(story.look(stable: Answers(answered: 24), canary: Answers(answered: 1), inFlight: 6) == .advance)
        let judgement = story.look(stable: Answers(answered: 24), canary: Answers(failed: 1), inFlight: 57)
        #expect(judgement.missing?.wealth == story.release.test.wealth)
    }

    // MARK: Laws

    /// Looks at both versions, at two shares of two routers, while now and then one of them or both fail and stable's hang.
    private func tick(_ routers: inout [FakeRouter], _ generator: inout SeededGenerator, at now: Int64) -> Tick {
        let trouble = generator.next() % 4
        for index in routers.indices {
            for share in [500, 1_000] {
                let canary = generator.arrivals(1), stable = generator.arrivals(12)
                let canaryFailed = trouble == 0 ? 0 : generator.binomial(canary, 0.4)
                let stableHangs = trouble == 2
                routers[index].settle(
                    share: share, stable: stableHangs ? Answers() : Answers(answered: stable),
                    canary: Answers(answered: canary - canaryFailed, failed: canaryFailed))
                routers[index].change(share) { counts in
                    counts.stable.overdue = counts.stable.inFlight / 3
                    counts.stable.inFlight = stableHangs ? stable : generator.binomial(8, 0.2)
                    counts.routes = [
                        RouteCounts(
                            route: "/a",
                            canary: RouteArm(
                                requests: counts.canary.settled.requests, failures: counts.canary.settled.failures))
                    ]
                }
            }
        }
        let table = ContingencyTable(0.05, generator.binomial(3, 0.1), 3, generator.binomial(57, 0.1), 57)
        return Tick(at: now, counts: routers.map(\.counts), external: [.init(metric: "x", table: table)])
    }

    private var everything: JudgingSettings {
        var settings = JudgingSettings()
        settings.routes = ["/a"]
        settings.external = [.init(name: "x", weight: 0.3)]
        return settings
    }

    @Test func `it may be written down while it waits, and told of its routers in any order`() throws {
        var waited = 0, decided = 0
        for seed in 0..<40 as Range<UInt64> {
            var generator = SeededGenerator(seed: 201 << 32 | seed)
            var routers = ["a", "b"].map { FakeRouter(boot: $0) }
            var kept = ReleaseTest(settings: everything, at: 0)
            var restored = kept, shuffled = kept
            for look in 1...40 as ClosedRange<Int64> {
                let tick = tick(&routers, &generator, at: look * 250)
                var other = tick
                other.counts = other.counts.reversed().map { counts in
                    TrafficCounts(boot: counts.boot, shares: counts.shares.reversed())
                }
                restored = try JSONDecoder().decode(ReleaseTest.self, from: JSONEncoder().encode(restored))
                let judgement = kept.judge(tick)
                #expect(restored.judge(tick) == judgement && shuffled.judge(other) == judgement)
                try #require(restored == kept, "seed \(seed), look \(look)")
                #expect(shuffled.suspicion == kept.suspicion)
                waited += kept.suspicion?.isFounded == false ? 1 : 0
                guard judgement.verdict == nil else {
                    decided += 1
                    break
                }
            }
        }
        #expect(waited >= 20 && decided >= 20, "\(waited) \(decided)")
    }

    @Test func `every verdict is one that W and the guard allow without it, and none comes sooner`() throws {
        var later = 0
        for seed in 0..<200 as Range<UInt64> {
            var generator = SeededGenerator(seed: 202 << 32 | seed)
            var routers = ["a"].map { FakeRouter(boot: $0) }
            var test = ReleaseTest(settings: everything, at: 0)
            var firstReached: Int64?
            for look in 1...40 as ClosedRange<Int64> {
                let judgement = test.judge(tick(&routers, &generator, at: look * 250))
                if test.reachedVerdict() != nil { firstReached = firstReached ?? look }
                guard let verdict = judgement.verdict else { continue }
                #expect(verdict.wealth >= 100 && verdict.guardedWealth >= 100 && verdict.canary.bad >= 3)
                later += look > (try #require(firstReached)) ? 1 : 0
                break
            }
        }
        #expect(later >= 10, "\(later)")
    }
}
