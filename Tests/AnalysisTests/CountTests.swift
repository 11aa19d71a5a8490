// Goal: counts that are lost, doubled, late or split over routers give the same judgement, and so does a judge that was
// written down and read again. Method: random histories with a fixed seed, told in different ways.

import Foundation
import Testing

@testable import Analysis

@Suite struct CountTests {
    private static func random(_ generator: inout SeededGenerator, failing: Double) -> (
        stable: Answers, canary: Answers
    ) {
        func answers(_ mean: Double) -> Answers {
            let count = generator.arrivals(mean)
            let failed = generator.binomial(count, failing)
            return Answers(
                answered: count - failed, failed: failed, timeouts: generator.binomial(2, 0.01),
                aborted: generator.binomial(3, 0.05),
                microseconds: UInt64(20_000 * (1 + 3 * generator.unit())))
        }
        return (answers(95), answers(5))
    }

    @Test func `a reading twice, an older one, and one of a run that has ended add nothing`() {
        var release = Rehearsal()
        _ = release.healthy(seconds: 10)
        let old = release.router.counts
        _ = release.healthy(seconds: 10)
        let onlyCanaryMissing = release.router.counts
        _ = release.tick(canary: Answers(answered: 3))
        let reference = release.test
        var told = reference
        for counts in [release.router.counts, old, onlyCanaryMissing, release.router.counts] {
            _ = told.judge(Tick(at: release.now, counts: [counts]))
        }
        #expect(told == reference)
        var other = FakeRouter(boot: "b")
        other.settle(share: 500, canary: Answers(answered: 7))
        _ = told.judge(Tick(at: release.now, counts: [other.counts]))
        _ = told.judge(Tick(at: release.now, counts: [old]))
        #expect(told.errors.canary.total == reference.errors.canary.total + 7)
    }

    @Test func `of a router that starts again and again the last 64 runs are remembered, each counted once`() throws {
        var release = Rehearsal()
        var last: TrafficCounts?
        for run in 1...200 {
            release.router = FakeRouter(boot: "run \(run)")
            _ = release.tick(stable: Answers(answered: 19), canary: Answers(answered: 1))
            if run == 190 { last = release.router.counts }
        }
        #expect(release.test.errors.canary.total == 200)
        _ = release.test.judge(Tick(at: release.now, counts: [try #require(last)]))
        #expect(release.test.errors.canary.total == 200, "known still")
        let bytes = try JSONEncoder().encode(release.test)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("run 136\""), "forgotten")
        #expect(String(decoding: bytes, as: UTF8.self).contains("run 137\""))
    }

    @Test func `a lost reading is made up for by the next one`() {
        var each = Rehearsal(), one = Rehearsal()
        for _ in 0..<20 {
            each.router.settle(share: 500, stable: Answers(answered: 94, failed: 1), canary: Answers(answered: 5))
            _ = each.look()
        }
        one.router = each.router
        _ = one.look(afterMilliseconds: 20_000)
        #expect(each.test.errors.canary == one.test.errors.canary && each.test.errors.stable == one.test.errors.stable)
        #expect(distance(each.test.wealth, one.test.wealth) < 1e-12)
        #expect(each.test.shares == one.test.shares)
    }

    @Test func `routers and shares may be told in any order`() {
        var generator = SeededGenerator(seed: 31)
        let start = Rehearsal.start
        var tests = [ReleaseTest](repeating: ReleaseTest(settings: JudgingSettings(), at: start), count: 2)
        var routers = ["a", "b", "c"].map { FakeRouter(boot: $0) }
        for second in 1...120 as ClosedRange<Int64> {
            for index in routers.indices {
                for share in [100, 500, 5_000] {
                    let answers = Self.random(&generator, failing: 0.002)
                    routers[index].settle(share: share, stable: answers.stable, canary: answers.canary)
                }
            }
            let counts = routers.map(\.counts)
            let shuffled = counts.shuffled(using: &generator).map { counts in
                var counts = counts
                counts.shares.shuffle(using: &generator)
                return counts
            }
            let at = start + second * 1_000
            let first = tests[0].judge(Tick(at: at, counts: counts))
            let second = tests[1].judge(Tick(at: at, counts: shuffled))
            #expect(first == second)
        }
        #expect(tests[0] == tests[1])
    }

    @Test(arguments: [JudgingSettings.Unit.request, .user])
    func `a judge that was written down and read again goes on to the last bit`(_ unit: JudgingSettings.Unit) throws {
        for failing in [0.001, 0.02, 0.3] {
            var settings = JudgingSettings()
            settings.unit = unit
            settings.limits.latency = [.init(perMille: 990, maxMicroseconds: 100_000)]
            var generator = SeededGenerator(seed: 32)
            var kept = Rehearsal(settings)
            kept.router.canaryFailures = ["canary-1": 0]
            kept.beginStep()
            var restored = kept.test
            for second in 0..<150 {
                let answers = Self.random(&generator, failing: failing)
                kept.router.settle(share: 500, stable: answers.stable, canary: answers.canary)
                kept.router.change(500) { counts in
                    counts.stable.overdue = generator.binomial(3, 0.2)
                    counts.canary.inFlight = generator.binomial(9, 0.2)
                    for arm in [\ShareCounts.stable, \.canary] {
                        var users = counts[keyPath: arm].users ?? UserCounts()
                        users.seen += generator.binomial(20, 0.5)
                        users.failed += min(generator.binomial(2, failing), users.seen - users.failed)
                        counts[keyPath: arm].users = users
                    }
                }
                let bytes = try JSONEncoder().encode(restored)
                restored = try JSONDecoder().decode(ReleaseTest.self, from: bytes)
                let first = kept.look()
                let second_ = restored.judge(Tick(at: kept.now, counts: [kept.router.counts]))
                #expect(first == second_)
                try #require(restored == kept.test, "second \(second), \(failing)")
                #expect(restored.wealth.bitPattern == kept.test.wealth.bitPattern)
            }
        }
    }

    @Test func `a verdict and a bake survive being written down`() throws {
        var release = Rehearsal()
        let judgement = release.tick(stable: Answers(answered: 1_000), canary: Answers(failed: 9))
        let verdict = try #require(judgement.verdict)
        let copy = try JSONDecoder().decode(RollbackVerdict.self, from: JSONEncoder().encode(verdict))
        #expect(copy == verdict)
        var bake = BakeTest(settings: JudgingSettings(), arm: .stable, at: 0)
        _ = bake.judge(Tick(at: 1, counts: [release.router.counts]))
        #expect(try JSONDecoder().decode(BakeTest.self, from: JSONEncoder().encode(bake)) == bake)
    }
}
