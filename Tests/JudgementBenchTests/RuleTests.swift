// Goal: the peers' rules do what their code does. Method: small inputs whose answer is worked out by hand.

import Glibc
import Testing

@testable import JudgementBench

@Suite struct RuleTests {
    /// Tells a rule minute by minute what the canary did; the minute after which it rolls back, from 1 on.
    private func minutes(_ rule: any ReleaseRule, _ canary: [Tally], baseline: [Tally] = []) -> Int? {
        var rule = rule
        for (index, tally) in canary.enumerated() {
            let other = index < baseline.count ? baseline[index] : Tally(requests: tally.requests)
            let news = Settled(share: 500, canary: tally, baseline: other, stable: other)
            if rule.rollsBack(after: news, at: Int64(index + 1) * 60_000) { return index + 1 }
        }
        return nil
    }

    private let good = Tally(failed: 1, requests: 100)
    private let bad = Tally(failed: 2, requests: 100)

    @Test func `Argo: the fourth failed measurement ends it, however far apart they are`() {
        #expect(minutes(ArgoRule(), [good, good, good, good, good, good]) == nil)
        #expect(minutes(ArgoRule(), [bad, good, bad, good, bad, good, good]) == nil)
        #expect(minutes(ArgoRule(), [bad, good, bad, good, bad, good, good, bad]) == 8)
        #expect(minutes(ArgoRule(), [bad, bad, bad, bad]) == 4)
    }

    @Test func `Argo: a minute without requests is a failed measurement`() {
        #expect(minutes(ArgoRule(), [Tally(), Tally(), Tally(), Tally()]) == 4)
    }

    @Test func `Flagger: five failed checks are acted on one tick later`() {
        #expect(minutes(FlaggerRule(), [bad, bad, bad, bad, bad]) == nil)
        #expect(minutes(FlaggerRule(), [bad, bad, bad, bad, bad, good]) == 6)
        #expect(minutes(FlaggerRule(), [bad, good, bad, Tally(), bad, good, bad, good]) == 8)
        #expect(minutes(FlaggerRule(), [bad, good, bad, bad, bad, good, good]) == nil)
    }

    @Test func `a minute is what settled in it, however often the rule is told`() {
        var rule = ArgoRule()
        var stopped: Int64?
        for tick in 1...1_200 where stopped == nil {
            let at = Int64(tick) * 250
            let news = Settled(share: 500, canary: Tally(failed: tick % 80 == 0 ? 1 : 0, requests: 1))
            if rule.rollsBack(after: news, at: at) { stopped = at }
        }
        // 3 of 240 requests a minute are more than 1 %.
        #expect(stopped == 240_000)
    }

    @Test func `naive z: the pooled statistic, from 30 canary requests on`() {
        let z = PooledZRule.z(Tally(failed: 10, requests: 100), Tally(failed: 10, requests: 1_000))
        let pooled = 20.0 / 1_100
        #expect(abs(z - 0.09 / (pooled * (1 - pooled) * 0.011).squareRoot()) < 1e-12)
        #expect(PooledZRule.z(Tally(requests: 100), Tally(requests: 100)) == 0)
        #expect(PooledZRule.z(Tally(), Tally(failed: 1, requests: 100)) == 0)
        let few = Tally(failed: 10, requests: 10)
        let many = [Tally(requests: 1_000), Tally(requests: 1_000), Tally(requests: 1_000)]
        #expect(minutes(PooledZRule(), [few, few, few], baseline: many) == 3)
        #expect(minutes(PooledZRule(), [good, good], baseline: [good, good]) == nil)
    }

    @Test func `Lindon-Malek: three failures of three on a canary with 5 % are enough, two are not`() {
        // B(0.05 + 3, 0.95) / B(0.05, 0.95) / 0.05^3 = 0.05 x 1.05 x 2.05 / 3! / 0.05^3
        #expect(abs(exp(LindonMalekRule.logFactor(canary: 3, of: 3, weight: 0.05)) - 143.5) < 1e-9)
        #expect(abs(exp(LindonMalekRule.logFactor(canary: 2, of: 2, weight: 0.05)) - 10.5) < 1e-9)
        let failure = Tally(failed: 1, requests: 10)
        let none = [Tally(), Tally(), Tally()]
        #expect(minutes(LindonMalekRule(), [failure, failure], baseline: none) == nil)
        #expect(minutes(LindonMalekRule(), [failure, failure, failure], baseline: none) == 3)
    }

    @Test func `Lindon-Malek: the factor has the mean 1 under the null, and a better canary is left alone`() {
        for (n, weight) in [(1, 0.05), (12, 0.05), (20, 0.5), (7, 0.01)] {
            let mean = (0...n).reduce(0.0) { sum, c in
                let mass =
                    lgamma(Double(n + 1)) - lgamma(Double(c + 1)) - lgamma(Double(n - c + 1))
                    + Double(c) * log(weight) + Double(n - c) * log1p(-weight)
                return sum + exp(mass + LindonMalekRule.logFactor(canary: UInt64(c), of: UInt64(n), weight: weight))
            }
            #expect(abs(mean - 1) < 1e-10, "\(n) \(weight): \(mean)")
        }
        var rule = LindonMalekRule()
        let news = Settled(share: 5_000, canary: Tally(requests: 100), stable: Tally(failed: 100, requests: 100))
        #expect(LindonMalekRule.logFactor(canary: 0, of: 100, weight: 0.5) > log(100))
        let rollsBack = rule.rollsBack(after: news, at: 1_000)
        #expect(!rollsBack)
    }
}
