// Rules that compare counts of the canary with counts of stable: a z test that is looked at again and again, and the
// sequential test of Lindon and Malek.

import Glibc

/// The two-proportion z test on cumulative counts, looked at every 60 s as if each look were the only one.
package struct PooledZRule: ReleaseRule {
    package static let name = "naive z"
    /// The one-sided 1 % point of the normal distribution.
    static let critical = 2.326
    static let fewestCanaryRequests: UInt64 = 30

    private var minute = MinuteSum()
    private var canary = Tally()
    private var stable = Tally()

    package init() {}

    package mutating func rollsBack(after news: Settled, at milliseconds: Int64) -> Bool {
        guard let measured = minute.close(news, at: milliseconds) else { return false }
        canary.add(measured.canary)
        stable.add(measured.stable)
        return canary.requests >= Self.fewestCanaryRequests && Self.z(canary, stable) > Self.critical
    }

    /// (p_c - p_s) / sqrt(p (1 - p) (1/n_c + 1/n_s)) with the pooled p; 0 where that says nothing.
    static func z(_ canary: Tally, _ stable: Tally) -> Double {
        guard let canaryRate = canary.rate, let stableRate = stable.rate else { return 0 }
        let n = Double(canary.requests), m = Double(stable.requests)
        let pooled = Double(canary.failed + stable.failed) / (n + m)
        let variance = pooled * (1 - pooled) * (1 / n + 1 / m)
        return variance > 0 ? (canaryRate - stableRate) / variance.squareRoot() : 0
    }
}

/// Is each failure the canary's with probability w? The sequential multinomial test with two cells and k = 1, looked at
/// whenever something settled; a canary that fails less often than its share is left alone.
///
/// With c of n failures on the canary, the Bayes factor of theta ~ Beta(k w, k (1 - w)) against theta = w is
/// B(k w + c, k (1 - w) + n - c) / (B(k w, k (1 - w)) w^c (1 - w)^(n - c)). Under the null it is a martingale that begins at
/// 1, so it reaches 1/alpha with probability <= alpha. Each share has a factor of its own; their product is one as well.
/// (Lindon, Malek, "Anytime-valid inference for multinomial count data", 2022)
package struct LindonMalekRule: ReleaseRule {
    package static let name = "Lindon-Malek"
    static let concentration = 1.0
    static let alpha = 0.01

    private var failures: [Int: (canary: UInt64, all: UInt64)] = [:]
    private var logFactors: [Int: Double] = [:]

    package init() {}

    package mutating func rollsBack(after news: Settled, at milliseconds: Int64) -> Bool {
        guard news.canary.failed + news.stable.failed > 0, news.share > 0, news.share < 10_000 else { return false }
        var counts = failures[news.share] ?? (0, 0)
        counts.canary += news.canary.failed
        counts.all += news.canary.failed + news.stable.failed
        failures[news.share] = counts
        logFactors[news.share] = Self.logFactor(
            canary: counts.canary, of: counts.all, weight: Double(news.share) / 10_000)
        guard logFactors.values.reduce(0, +) >= -log(Self.alpha) else { return false }
        let onCanary = failures.values.reduce(0) { $0 + Double($1.canary) }
        let expected = failures.reduce(0) { $0 + Double($1.key) / 10_000 * Double($1.value.all) }
        return onCanary > expected
    }

    /// ln of the Bayes factor.
    static func logFactor(canary c: UInt64, of n: UInt64, weight w: Double) -> Double {
        let a = concentration * w, b = concentration * (1 - w)
        let onCanary = Double(c), onStable = Double(n - c)
        return logBeta(a + onCanary, b + onStable) - logBeta(a, b) - onCanary * log(w) - onStable * log1p(-w)
    }

    private static func logBeta(_ a: Double, _ b: Double) -> Double { lgamma(a) + lgamma(b) - lgamma(a + b) }
}
