// Goal: how often the judge is wrong and how soon it is right, against the goals that stand beside each. Method: simulated
// releases from a fixed seed; each bound is the exact binomial one, so that a judge which just reaches its goal fails a
// test with probability <= 1e-4.

import Glibc
import Testing

@testable import Analysis

@Suite struct MonteCarloTests {
    /// Traffic of independent requests at one share, told to the errors' wealth in ticks.
    private struct Traffic {
        var generator: SeededGenerator
        var test = ErrorTest(null: ErrorNull())
        var drip = Drip(startedAt: 0, minutes: 1_440)
        var milliseconds: Int64 = 0

        /// - Parameter canaryRequests: mean of a tick.
        mutating func tick(weight: Double, canaryRequests: Double, canary: Double, stable: Double, milliseconds: Int64)
        {
            let onCanary = generator.arrivals(canaryRequests)
            let onStable = generator.arrivals(canaryRequests * (1 - weight) / weight)
            test.settle([
                ContingencyTable(
                    weight, generator.binomial(onCanary, canary), onCanary, generator.binomial(onStable, stable),
                    onStable)
            ])
            self.milliseconds += milliseconds
            test.drip(drip.due(at: self.milliseconds))
        }

        /// As the whole judge sees it when latency has nothing to say.
        var isRolledBack: Bool { 0.6 * test.wealth + 0.4 >= 100 && test.canary.bad >= 3 }
    }

    private func expect(_ count: Int, of trials: Int, atMost probability: Double, _ what: Comment) {
        let ceiling = binomialCeiling(trials: trials, probability: probability)
        #expect(
            count <= ceiling, "\(what): \(count) of \(trials), at most \(ceiling) of which \(probability) is the goal")
    }

    @Test func `a canary that is no worse is rolled back in at most 1 of 100 releases, whatever happens to both`() {
        let releases = 400
        var rolledBack = 0
        for seed in 0..<releases {
            var traffic = Traffic(generator: SeededGenerator(seed: 41 << 32 | UInt64(seed)))
            // Two hours in ticks of 10 s: the share climbs, the base rate rises with it, and every 20 minutes 30 % of
            // both versions' requests fail for a minute. The canary uses up its excess.
            for tick in 0..<720 {
                let weight = [0.01, 0.1, 0.25, 0.5][tick / 180]
                let isIncident = tick % 120 >= 60 && tick % 120 < 66
                let stable = isIncident ? 0.3 : 0.001 + 0.004 * Double(tick) / 720
                traffic.tick(
                    weight: weight, canaryRequests: 10, canary: stable + 0.001, stable: stable, milliseconds: 10_000)
                if traffic.isRolledBack {
                    rolledBack += 1
                    break
                }
            }
        }
        expect(rolledBack, of: releases, atMost: 0.01, "rolled back")
    }

    private struct Detection {
        var weight: Double
        var rate: Double
        /// Canary requests that half of the releases and all but 1 in 20 may take.
        var median: UInt64
        var most: UInt64
        /// Users who meet a failure, in all but 1 in 20.
        var failures: UInt64
    }

    @Test func `a bad canary is rolled back as soon as the goals say`() {
        let goals = [
            Detection(weight: 0.01, rate: 0.05, median: 90, most: 220, failures: 8),
            Detection(weight: 0.05, rate: 0.05, median: 90, most: 220, failures: 8),
            Detection(weight: 0.1, rate: 0.05, median: 90, most: 220, failures: 8),
            Detection(weight: 0.05, rate: 0.5, median: 13, most: 13, failures: 8),
        ]
        for (index, goal) in goals.enumerated() {
            let releases = 300
            var late = 0, tooLate = 0, tooMany = 0
            for seed in 0..<releases {
                var traffic = Traffic(generator: SeededGenerator(seed: UInt64(42 + index) << 32 | UInt64(seed)))
                while !traffic.isRolledBack, traffic.test.canary.total < 1_000 {
                    traffic.tick(
                        weight: goal.weight, canaryRequests: 1.25, canary: goal.rate, stable: 0.001, milliseconds: 250)
                }
                if traffic.test.canary.total > goal.median { late += 1 }
                if traffic.test.canary.total > goal.most { tooLate += 1 }
                if traffic.test.canary.bad > goal.failures { tooMany += 1 }
            }
            expect(late, of: releases, atMost: 0.5, "\(goal): over the median's goal")
            expect(tooLate, of: releases, atMost: 0.05, "\(goal): over the most")
            expect(tooMany, of: releases, atMost: 0.05, "\(goal): more failures")
        }
    }

    @Test func `six healthy hours do not make it blind`() {
        let releases = 150
        var late = 0, tooLate = 0
        for seed in 0..<releases {
            var traffic = Traffic(generator: SeededGenerator(seed: 51 << 32 | UInt64(seed)))
            for _ in 0..<360 {
                traffic.tick(weight: 0.05, canaryRequests: 300, canary: 0.001, stable: 0.001, milliseconds: 60_000)
            }
            let before = traffic.test.canary.total
            while !traffic.isRolledBack, traffic.test.canary.total - before < 2_000 {
                traffic.tick(weight: 0.05, canaryRequests: 1.25, canary: 0.05, stable: 0.001, milliseconds: 250)
            }
            if traffic.test.canary.total - before > 160 { late += 1 }
            if traffic.test.canary.total - before > 320 { tooLate += 1 }
        }
        expect(late, of: releases, atMost: 0.5, "over 160 requests")
        expect(tooLate, of: releases, atMost: 0.05, "over 320 requests")
    }

    @Test func `a step of a canary that is worse by the excess passes in at most 1 of 20, a good one soon`() {
        func requests(excess: Double, seed: UInt64, atMost most: UInt64) -> UInt64? {
            var generator = SeededGenerator(seed: seed)
            var test = AdvanceTest(settings: .errorsOnly)
            var requests: UInt64 = 0
            while requests < most {
                let onCanary = generator.arrivals(5), onStable = generator.arrivals(95)
                test.settle(errors: [
                    ContingencyTable(
                        0.05, generator.binomial(onCanary, 0.001 + excess), onCanary,
                        generator.binomial(onStable, 0.001), onStable)
                ])
                requests += onCanary
                if test.errors >= 20 { return requests }
            }
            return nil
        }
        let wrong = (0..<300 as Range<UInt64>).count {
            requests(excess: 0.005, seed: 61 << 32 | $0, atMost: 3_000) != nil
        }
        expect(wrong, of: 300, atMost: 0.05, "passed though worse")
        let late = (0..<300 as Range<UInt64>).count { requests(excess: 0, seed: 62 << 32 | $0, atMost: 700) == nil }
        expect(late, of: 300, atMost: 0.5, "not shown good within 700 requests")
    }

    @Test func `a slow canary is rolled back as soon as the goals say, one as fast as stable in at most 1 of 100`() {
        func latency(_ generator: inout SeededGenerator) -> Double { 50_000 * exp(0.5 * generator.normal()) }
        func story(seed: UInt64, requests most: UInt64, slowed: (Double) -> Double) -> UInt64? {
            var generator = SeededGenerator(seed: seed)
            var past = LatencyHistogram()
            for _ in 0..<1_000 { past.record(microseconds: UInt64(latency(&generator))) }
            var edges = LatencyEdges(settings: JudgingSettings.Latency())
            edges.add(past, at: 0)
            var test = LatencyTest(settings: JudgingSettings.Latency())
            var requests: UInt64 = 0
            while requests < most {
                let onCanary = generator.arrivals(1.25), onStable = generator.arrivals(11.25)
                var canary = LatencyHistogram(), stable = LatencyHistogram()
                for _ in 0..<onCanary { canary.record(microseconds: UInt64(slowed(latency(&generator)))) }
                for _ in 0..<onStable { stable.record(microseconds: UInt64(latency(&generator))) }
                requests += onCanary
                test.settle(edges.edges.map { [$0.table(weight: 0.1, canary: canary, stable: stable)] })
                if 0.6 + 0.4 * test.wealth >= 100, (test.leading?.canary.bad ?? 0) >= 3 { return requests }
            }
            return nil
        }
        let needed = (0..<100 as Range<UInt64>).map { story(seed: 71 << 32 | $0, requests: 51) { 2 * $0 } ?? .max }
        expect(needed.count { $0 > 25 }, of: 100, atMost: 0.5, "twice as slow, not within 25 requests")
        expect(needed.count { $0 > 50 }, of: 100, atMost: 0.05, "twice as slow, not within 50 requests")
        let wrong = (0..<60 as Range<UInt64>).count { story(seed: 73 << 32 | $0, requests: 200) { $0 } != nil }
        expect(wrong, of: 60, atMost: 0.01, "rolled back though as fast")
    }

    @Test func `the forecast is near the median of what it takes`() throws {
        let forecast = Forecast(settings: JudgingSettings(), weight: 0.05, stable: .init(bad: 100, total: 100_000))
        let median = try #require(forecast.canaryUnits(toRollBackAt: 0.05))
        #expect((60...100).contains(median), "simulated: 68 to 72")
        #expect(try #require(forecast.canaryUnits(toRollBackAt: 0.5)) <= 8)
        let slight = try #require(forecast.canaryUnits(toRollBackAt: 0.01))
        #expect((600...1_200).contains(slight), "simulated: 800")
        #expect(forecast.canaryUnits(toRollBackAt: 0.001) == nil, "no worse: never")
        let proven = try #require(forecast.canaryUnits(toShow: .errors))
        #expect((550...1_000).contains(proven))
        #expect(forecast.canaryUnits(toShow: .latency(perMille: 950)) != nil)
        #expect(forecast.canaryUnits(toShow: .latency(perMille: 123)) == nil)
    }
}
