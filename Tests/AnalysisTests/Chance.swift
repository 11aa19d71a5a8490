// Randomness from a seed, and how far counts of a random experiment may stray.

import Glibc

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same story.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Uniform in (0, 1).
    mutating func unit() -> Double { (Double(next() >> 11) + 0.5) / 9_007_199_254_740_992 }

    mutating func pick(_ values: [Double]) -> Double { values[Int(next() % UInt64(values.count))] }

    /// Successes of `trials`, by the distances between them.
    mutating func binomial(_ trials: UInt64, _ probability: Double) -> UInt64 {
        guard probability > 0 else { return 0 }
        guard probability < 1 else { return trials }
        var successes: UInt64 = 0
        var place = 0.0
        while true {
            place += (log(unit()) / log1p(-probability)).rounded(.down) + 1
            guard place <= Double(trials) else { return successes }
            successes += 1
        }
    }

    /// Arrivals of a Poisson stream, by the times between them; the mean itself where that is above 100.
    mutating func arrivals(_ mean: Double) -> UInt64 {
        guard mean <= 100 else { return UInt64(mean) }
        var count: UInt64 = 0
        var time = -log(unit())
        while time < mean {
            count += 1
            time -= log(unit())
        }
        return count
    }

    mutating func normal() -> Double { (-2 * log(unit())).squareRoot() * cos(2 * .pi * unit()) }
}

/// The smallest count that a binomial stays at or below with probability >= 1 - `tail`, by exact summation.
///
/// A test that accepts up to it fails falsely with probability <= `tail`.
func binomialCeiling(trials: Int, probability: Double, tail: Double = 1e-4) -> Int {
    var below = 0.0
    for count in 0...trials {
        below += exp(logMass(count, trials, probability))
        if 1 - below <= tail { return count }
    }
    return trials
}

func logMass(_ count: Int, _ trials: Int, _ probability: Double) -> Double {
    logChoose(trials, count) + Double(count) * log(probability) + Double(trials - count) * log1p(-probability)
}

/// ln(n over k).
func logChoose(_ n: Int, _ k: Int) -> Double {
    lgamma(Double(n + 1)) - lgamma(Double(k + 1)) - lgamma(Double(n - k + 1))
}
