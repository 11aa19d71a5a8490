// What a count of a random experiment says about its probability, without approximations.

import Glibc

/// So many of so many, with its exact interval.
package struct Proportion: Hashable, Sendable {
    package let count: Int
    package let trials: Int

    package init(_ count: Int, of trials: Int) {
        self.count = count
        self.trials = trials
    }

    package var rate: Double { trials > 0 ? Double(count) / Double(trials) : .nan }

    /// The 95 % interval of the probability (Clopper, Pearson 1934): 2.5 % outside on either side.
    package var interval: ClosedRange<Double> {
        guard trials > 0 else { return 0...1 }
        let lower =
            count == 0 ? 0 : Self.bisect { Self.probability(ofAtMost: count - 1, of: trials, $0) < 1 - 0.025 }
        let upper = count == trials ? 1 : Self.bisect { Self.probability(ofAtMost: count, of: trials, $0) < 0.025 }
        return lower...upper
    }

    /// The probability of at most `count` successes, by summation.
    package static func probability(ofAtMost count: Int, of trials: Int, _ probability: Double) -> Double {
        guard count >= 0 else { return 0 }
        guard count < trials, probability > 0 else { return 1 }
        guard probability < 1 else { return 0 }
        return min(1, (0...count).reduce(0) { $0 + exp(logMass($1, trials, probability)) })
    }

    /// The smallest count that is not exceeded with probability >= 1 - `tail` where `goal` is just reached: a check that
    /// accepts up to it fails falsely with probability <= `tail`.
    package static func ceiling(goal: Double, trials: Int, tail: Double) -> Int {
        var below = 0.0
        for count in 0..<trials {
            below += exp(logMass(count, trials, goal))
            if 1 - below <= tail { return count }
        }
        return trials
    }

    private static func logMass(_ count: Int, _ trials: Int, _ probability: Double) -> Double {
        lgamma(Double(trials + 1)) - lgamma(Double(count + 1)) - lgamma(Double(trials - count + 1))
            + Double(count) * log(probability) + Double(trials - count) * log1p(-probability)
    }

    /// Where a question that is answered no below and yes above changes its answer, in [0, 1].
    private static func bisect(_ isAbove: (Double) -> Bool) -> Double {
        var low = 0.0, high = 1.0
        for _ in 0..<50 {
            let middle = (low + high) / 2
            if isAbove(middle) { high = middle } else { low = middle }
        }
        return (low + high) / 2
    }
}
