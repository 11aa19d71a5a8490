// Is the canary slower than stable? Pure: no clock, no I/O.

import Glibc

/// ln of what each event multiplies each expert's stake with, for one quantile at one weight.
///
/// The null: a canary request is above the canary's edge no more often than a stable one above stable's. Of stable's, q is
/// expected there; expert k bets that it is q_k = expit(logit(q) + shift_k) of the canary's. With p_k = w q_k + (1 - w) q, a
/// slow canary request multiplies with q_k/p_k, a fast one with (1 - q_k)/(1 - p_k), a slow stable one with q/p_k, a fast one
/// with (1 - q)/(1 - p_k). If both are slow equally often, the mean is 1 however often that is.
struct LatencyFactors: Hashable, Sendable {
    private(set) var canarySlow: [Double] = []
    private(set) var canaryFast: [Double] = []
    private(set) var stableSlow: [Double] = []
    private(set) var stableFast: [Double] = []

    /// - Parameters:
    ///   - tail: q, 1 minus the quantile; in (0, 1).
    ///   - weight: in (0, 1).
    init(tail: Double, weight: Double) {
        for shift in Experts.shifts {
            let expected = expit(logit(tail) + shift)
            let both = weight * expected + (1 - weight) * tail
            canarySlow.append(log(expected / both))
            canaryFast.append(log((1 - expected) / (1 - both)))
            stableSlow.append(log(tail / both))
            stableFast.append(log((1 - tail) / (1 - both)))
        }
    }
}

/// Wealth against "not slower", for one quantile.
struct QuantileTest: Hashable, Sendable, Codable {
    let perMille: Int
    private(set) var experts = Experts()
    private(set) var canary = ContingencyTable.Trials()
    private(set) var stable = ContingencyTable.Trials()

    init(perMille: Int) { self.perMille = perMille }

    /// q: the share of stable's requests above its quantile.
    static func tail(perMille: Int) -> Double { min(max(1 - Double(perMille) / 1_000, 1e-6), 1 - 1e-6) }

    mutating func settle(_ tables: [ContingencyTable]) {
        experts.settle(exponents(tables))
        for table in tables where table.isComparison {
            canary.add(table.canary)
            stable.add(table.stable)
        }
    }

    func wealth(with pending: [ContingencyTable]) -> Double {
        pending.isEmpty ? experts.wealth : experts.wealth(after: exponents(pending))
    }

    mutating func drip(_ amount: Double) { experts.drip(amount) }

    private func exponents(_ tables: [ContingencyTable]) -> [Double] {
        var exponents = Array(repeating: 0.0, count: Experts.shifts.count)
        for table in ContingencyTable.merged(tables) where table.isComparison {
            let factors = LatencyFactors(tail: Self.tail(perMille: perMille), weight: table.weight)
            for expert in exponents.indices {
                exponents[expert] +=
                    power(factors.canarySlow[expert], table.canary.bad)
                    + power(factors.canaryFast[expert], table.canary.good)
                    + power(factors.stableSlow[expert], table.stable.bad)
                    + power(factors.stableFast[expert], table.stable.good)
            }
        }
        return exponents
    }
}

/// The quantiles together: the average of e-processes over the same events is one, so none of them pays for the others.
struct LatencyTest: Hashable, Sendable, Codable {
    private(set) var quantiles: [QuantileTest]

    init(settings: JudgingSettings.Latency) {
        quantiles = settings.quantiles.map { QuantileTest(perMille: $0.perMille) }
    }

    var wealth: Double { mean { $0.experts.wealth } }

    /// - Parameter tables: those of each quantile, in their order.
    mutating func settle(_ tables: [[ContingencyTable]]) {
        for (index, tables) in zip(quantiles.indices, tables) { quantiles[index].settle(tables) }
    }

    /// The wealth if these stable requests were slow as well.
    func wealth(withSlow pending: [ContingencyTable]) -> Double { mean { $0.wealth(with: pending) } }

    mutating func drip(_ amount: Double) {
        for index in quantiles.indices { quantiles[index].drip(amount) }
    }

    /// The quantile with the most wealth.
    var leading: QuantileTest? { quantiles.max { $0.experts.wealth < $1.experts.wealth } }

    private func mean(_ wealth: (QuantileTest) -> Double) -> Double {
        quantiles.isEmpty ? 1 : quantiles.map(wealth).reduce(0, +) / Double(quantiles.count)
    }
}
