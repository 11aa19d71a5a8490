// Random counts from a seed, and how far those of an experiment may stray.

import Glibc

@testable import Analysis

extension SeededGenerator {
    mutating func pick(_ values: [Double]) -> Double { values[Int(next() % UInt64(values.count))] }

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
