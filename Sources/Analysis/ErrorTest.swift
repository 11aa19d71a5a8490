// Does the canary fail more often than stable? Pure: no clock, no I/O.

import Glibc

/// The null: at every moment p_canary <= ratio * p_stable + excess.
package struct ErrorNull: Hashable, Sendable, Codable {
    /// rho, >= 0.
    package var ratio: Double
    /// delta, a probability in [0, 1).
    package var excess: Double

    package init(ratio: Double = 1, excess: Double = 0.001) {
        self.ratio = ratio
        self.excess = excess
    }
}

/// ln of what each event multiplies each expert's stake with, at one weight.
///
/// A failure lands on the canary with probability theta0 = rho w / (rho w + 1 - w) if both versions fail alike; expert k
/// bets that it is theta_k = expit(logit(theta0) + shift_k), with r_k = min(theta_k/theta0 - 1, 0.9/delta) a unit on
/// Z = 1{canary}(y - delta) - 1{stable} rho w/(1 - w) y. Z has the mean w (p_c - rho p_s - delta) <= 0 under the null, so
/// 1 + r_k Z has a mean <= 1. (Counts: Lindon, Malek 2022. 2x2 tables: Turner, Grünwald 2022.)
struct ErrorFactors: Hashable, Sendable {
    /// ln(1 + r (1 - delta))
    private(set) var canaryFailed: [Double] = []
    /// ln(1 - r delta)
    private(set) var canaryAnswered: [Double] = []
    /// ln(1 - r rho w/(1 - w)); an answer of stable changes nothing.
    private(set) var stableFailed: [Double] = []

    /// - Parameter weight: in (0, 1).
    init(weight: Double, null: ErrorNull) {
        let whole = null.ratio * weight + 1 - weight
        let balanced = null.ratio * weight / whole
        let ceiling = null.excess > 0 ? 0.9 / null.excess : .infinity
        for shift in Experts.shifts {
            // theta_k/theta0 - 1 without the difference of nearly equal numbers.
            let growth = expm1(shift)
            let bet = min(growth * ((1 - weight) / whole) / (1 + balanced * growth), ceiling)
            canaryFailed.append(log1p(bet * (1 - null.excess)))
            canaryAnswered.append(log1p(-bet * null.excess))
            stableFailed.append(log1p(max(-1, -bet * null.ratio * weight / (1 - weight))))
        }
    }

    /// ln of each expert's product over the table's events, added to what is there.
    func add(_ table: ContingencyTable, to exponents: inout [Double]) {
        for expert in exponents.indices {
            exponents[expert] +=
                power(canaryFailed[expert], table.canary.bad) + power(canaryAnswered[expert], table.canary.good)
                + power(stableFailed[expert], table.stable.bad)
        }
    }
}

/// Wealth against ``ErrorNull``.
struct ErrorTest: Hashable, Sendable, Codable {
    let null: ErrorNull
    private(set) var experts = Experts()
    /// All that settled at a weight between 0 and 1.
    private(set) var canary = ContingencyTable.Trials()
    private(set) var stable = ContingencyTable.Trials()

    init(null: ErrorNull) { self.null = null }

    var wealth: Double { experts.wealth }

    mutating func settle(_ tables: [ContingencyTable]) {
        experts.settle(exponents(tables))
        for table in tables where table.isComparison {
            canary.add(table.canary)
            stable.add(table.stable)
        }
    }

    /// The wealth if these units settled as well.
    func wealth(with pending: [ContingencyTable]) -> Double {
        pending.isEmpty ? experts.wealth : experts.wealth(after: exponents(pending))
    }

    mutating func drip(_ amount: Double) { experts.drip(amount) }

    private func exponents(_ tables: [ContingencyTable]) -> [Double] {
        var exponents = Array(repeating: 0.0, count: Experts.shifts.count)
        for table in ContingencyTable.merged(tables) where table.isComparison {
            ErrorFactors(weight: table.weight, null: null).add(table, to: &exponents)
        }
        return exponents
    }
}
