// Randomness from a seed, and the distributions that simulated traffic is drawn from.

import Glibc

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same story.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Uniform in (0, 1).
    mutating func unit() -> Double { (Double(next() >> 11) + 0.5) / 9_007_199_254_740_992 }

    /// Uniform in `0..<count`; off by less than count/2^32.
    mutating func index(below count: Int) -> Int { Int(((next() >> 32) &* UInt64(count)) >> 32) }

    /// Successes of `trials`, by the geometric distances between the rarer outcomes.
    mutating func binomial(_ trials: UInt64, _ probability: Double) -> UInt64 {
        guard probability > 0, trials > 0 else { return 0 }
        guard probability < 1 else { return trials }
        guard probability <= 0.5 else { return trials - binomial(trials, 1 - probability) }
        let scale = 1 / log1p(-probability)
        var successes: UInt64 = 0
        var place = 0.0
        while true {
            place += (log(unit()) * scale).rounded(.down) + 1
            guard place <= Double(trials) else { return successes }
            successes += 1
        }
    }

    /// Arrivals of a Poisson stream: products of uniforms below a mean of 10, above it transformed rejection with squeeze
    /// (Hörmann 1993, PTRS). Both are exact.
    mutating func poisson(_ mean: Double) -> UInt64 {
        guard mean > 0 else { return 0 }
        guard mean >= 10 else {
            let limit = exp(-mean)
            var product = unit()
            var count: UInt64 = 0
            while product > limit {
                count += 1
                product *= unit()
            }
            return count
        }
        let b = 0.931 + 2.53 * mean.squareRoot()
        let a = -0.059 + 0.02483 * b
        let inverseAlpha = 1.1239 + 1.1328 / (b - 3.4)
        let accepted = 0.9277 - 3.6224 / (b - 2)
        while true {
            let u = unit() - 0.5
            let v = unit()
            let us = 0.5 - abs(u)
            let k = ((2 * a / us + b) * u + mean + 0.43).rounded(.down)
            if us >= 0.07, v <= accepted { return UInt64(k) }
            guard k >= 0, us >= 0.013 || v <= us else { continue }
            if log(v * inverseAlpha / (a / (us * us) + b)) <= k * log(mean) - mean - lgamma(k + 1) { return UInt64(k) }
        }
    }
}
