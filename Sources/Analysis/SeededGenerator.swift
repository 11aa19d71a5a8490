// Randomness from a seed, for plans that say the same whenever they are asked. Pure.

import Glibc

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same story.
package struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
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
    package mutating func unit() -> Double { (Double(next() >> 11) + 0.5) / 9_007_199_254_740_992 }

    package mutating func normal() -> Double { (-2 * log(unit())).squareRoot() * cos(2 * .pi * unit()) }

    /// Successes of `trials`, by the distances between them: exact, in time that grows with the successes.
    package mutating func binomial(_ trials: UInt64, _ probability: Double) -> UInt64 {
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

    /// The same in bounded time: as a normal variable where its variance is above 25.
    mutating func quickBinomial(_ trials: UInt64, _ probability: Double) -> UInt64 {
        let mean = Double(trials) * probability
        let variance = mean * (1 - probability)
        guard variance > 25 else {
            return probability > 0.5
                ? trials - binomial(trials, 1 - probability) : binomial(trials, probability)
        }
        return UInt64(min(max((mean + variance.squareRoot() * normal()).rounded(), 0), Double(trials)))
    }

    /// How many trials it takes until so many have succeeded, `probability` in (0, 1].
    mutating func trials(until successes: UInt64, _ probability: Double) -> Double {
        guard probability < 1 else { return Double(successes) }
        guard successes <= 30 else {
            let mean = Double(successes) / probability
            let variance = mean * (1 - probability) / probability
            return max(Double(successes), (mean + variance.squareRoot() * normal()).rounded())
        }
        return (0..<successes).reduce(0) { sum, _ in sum + (log(unit()) / log1p(-probability)).rounded(.down) + 1 }
    }

    /// How long so many arrivals of a Poisson stream take, in mean distances.
    mutating func duration(of arrivals: Double) -> Double {
        guard arrivals <= 30 else { return max(0, arrivals + arrivals.squareRoot() * normal()) }
        return (0..<Int(arrivals)).reduce(0) { sum, _ in sum - log(unit()) }
    }
}
