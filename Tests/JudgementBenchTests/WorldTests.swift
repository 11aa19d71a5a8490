// Goal: simulated traffic is what it says. Method: moments of what was drawn, within bounds that a right generator leaves in
// fewer than 1 of 10^5 runs; seeds are fixed.

import Analysis
import Glibc
import Testing

@testable import JudgementBench

@Suite struct WorldTests {
    /// Mean and variance of so many draws.
    private func moments(_ count: Int, _ draw: () -> UInt64) -> (mean: Double, variance: Double) {
        var sum = 0.0, squares = 0.0
        for _ in 0..<count {
            let value = Double(draw())
            sum += value
            squares += value * value
        }
        let mean = sum / Double(count)
        return (mean, squares / Double(count) - mean * mean)
    }

    @Test func `Poisson and binomial counts have their means and variances`() {
        var random = SeededRandom(seed: 11)
        let count = 10_000
        for mean in [0.3, 3, 9.9, 10, 47.5, 950] {
            let drawn = moments(count) { random.poisson(mean) }
            let error = (mean / Double(count)).squareRoot()
            #expect(abs(drawn.mean - mean) < 5 * error, "\(mean): \(drawn)")
            // The variance of a sample's variance is (mu4 - sigma^4)/n, mu4 = mean + 3 mean^2.
            #expect(
                abs(drawn.variance - mean) < 5 * ((mean + 2 * mean * mean) / Double(count)).squareRoot(), "\(drawn)")
        }
        for (trials, probability) in [(475, 0.001), (100, 0.3), (40, 0.999), (7, 0.5)] as [(UInt64, Double)] {
            let drawn = moments(count) { random.binomial(trials, probability) }
            let variance = Double(trials) * probability * (1 - probability)
            #expect(abs(drawn.mean - Double(trials) * probability) < 5 * (variance / Double(count)).squareRoot())
            #expect(abs(drawn.variance / variance - 1) < 0.16, "\(trials) \(probability): \(drawn)")
        }
    }

    @Test func `latencies are drawn into the buckets of their distribution`() {
        var random = SeededRandom(seed: 12)
        let shape = LatencyShape(factor: 1.5, delayedShare: 0.05, extraMicroseconds: 500_000)
        var histogram = LatencyHistogram()
        LatencySampler(shape).record(50_000, in: &histogram, &random)
        #expect(histogram.total == 50_000)
        for bucket in stride(from: 100, to: 180, by: 4) {
            let expected = 1 - shape.probability(upTo: LatencyHistogram.upperEdgeMicroseconds(bucket))
            let error = (expected * (1 - expected) / 50_000).squareRoot()
            #expect(abs(Double(histogram.above(bucket)) / 50_000 - expected) < 5 * error + 1e-6, "\(bucket)")
        }
    }

    @Test func `the coin gives the canary its share, and the router's counts are the sums of what settled`() throws {
        var world = RequestWorld(seed: 13)
        var canary = Tally(), stable = Tally(), baseline = Tally()
        for second in 0..<500 {
            let news = world.pass(Int64(second) * 1_000..<Int64(second + 1) * 1_000, Conditions())
            canary.add(news.canary)
            stable.add(news.stable)
            baseline.add(news.baseline)
        }
        let shareCounts = world.counts(at: 500_000, overdueAfterMilliseconds: 250)
        let share = try #require(shareCounts.shares.first)
        #expect(share.canary.settled.requests == canary.requests && share.canary.settled.failures == canary.failed)
        #expect(share.stable.settled.requests + share.stable.inFlight == stable.requests)
        #expect(share.stable.settled.failures == stable.failed && share.stable.overdue == 0)
        #expect(share.canary.settled.latency.total == canary.requests - canary.failed)
        #expect(abs(Double(canary.requests) - 2_500) < 250)
        #expect(abs(Double(baseline.requests) - 2_500) < 250)
        #expect(abs(Double(stable.requests) - 47_500) < 1_100)
    }

    @Test func `as many answers are under way as stable's rate and mean latency say`() throws {
        var world = RequestWorld(seed: 17)
        var inFlight = 0.0
        let ticks = 2_000
        for tick in 0..<ticks {
            let start = Int64(tick) * 250
            _ = world.pass(start..<start + 250, Conditions())
            let counts = world.counts(at: start + 250, overdueAfterMilliseconds: 250)
            inFlight += Double(try #require(counts.shares.first).stable.inFlight)
        }
        // 95 requests a second of 50 ms exp(0.5^2 / 2) each; a Poisson number in each tick.
        let expected = 95 * 0.05 * exp(0.125)
        #expect(abs(inFlight / Double(ticks) - expected) < 5 * (expected / Double(ticks)).squareRoot())
    }

    @Test func `what is under way when the share changes is settled where it was given out`() throws {
        var world = RequestWorld(seed: 18)
        let news = world.pass(0..<250, Conditions())
        _ = world.pass(250..<500, Conditions(share: 1_000))
        let counts = world.counts(at: 500, overdueAfterMilliseconds: 250)
        let first = try #require(counts.shares.first { $0.share == 500 })
        #expect(first.stable.inFlight == 0 && first.stable.settled.requests == news.stable.requests)
        #expect(first.stable.settled.latency.total + first.stable.settled.failures == news.stable.requests)
    }

    @Test func `in an outage stable's requests are overdue first and time out later`() throws {
        var world = RequestWorld(seed: 14)
        let failing = Conduct(failureRate: 1, failsAfterMilliseconds: 30_000)
        let outage = Conditions(canary: Conduct(failureRate: 1), stable: failing)
        let first = world.pass(0..<1_000, outage)
        #expect(first.canary.failed > 0 && first.stable.requests == 0)
        let earlyCounts = world.counts(at: 1_000, overdueAfterMilliseconds: 1_000)
        let early = try #require(earlyCounts.shares.first)
        #expect(early.stable.overdue == 0 && early.stable.inFlight > 50)
        let halfCounts = world.counts(at: 1_000, overdueAfterMilliseconds: 500)
        let half = try #require(halfCounts.shares.first)
        #expect(half.stable.overdue == early.stable.inFlight / 2)
        let late = world.pass(1_000..<31_000, Conditions())
        let afterCounts = world.counts(at: 31_000, overdueAfterMilliseconds: 250)
        let after = try #require(afterCounts.shares.first)
        #expect(after.stable.settled.timeouts == early.stable.inFlight && after.stable.overdue == 0)
        #expect(late.stable.failed >= early.stable.inFlight)
    }

    @Test func `a user who fails again and again is counted once, one who is never broken seldom`() throws {
        var world = UserWorld(UserWorld.Habits(brokenShare: 0.05), seed: 15)
        var settled = Settled(share: 500)
        settled.add(world.pass(0..<600_000))
        let share = try #require(world.trafficCounts.shares.first)
        let users = try #require(share.stable.users)
        #expect(users.seen > 4_600 && users.seen < 4_900)
        // Broken users, and one of a hundred of the others, who made six requests each.
        #expect(users.failed > 220 && users.failed < 320, "\(users)")
        #expect(settled.stable.failed > 4 * users.failed)
    }

    @Test func `what is tried again comes at once, and half of it fails`() {
        var conditions = Conditions(canary: Conduct(failureRate: 0.5), stable: Conduct(failureRate: 0.5))
        conditions.retries = Retries()
        var world = RequestWorld(seed: 16)
        let news = world.pass(0..<100_000, conditions)
        // Of 10,000 requests 5,000 fail, then 2,500 of 5,000, then 1,250 of 2,500.
        let all = Double(news.canary.requests + news.stable.requests)
        let failed = Double(news.canary.failed + news.stable.failed)
        #expect(abs(all - 17_500) < 900 && abs(failed - 8_750) < 600, "\(all) \(failed)")
    }
}
