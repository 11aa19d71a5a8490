// Is the canary shown to be good enough for the next step? Pure: no clock, no I/O.

import Glibc

/// ln of what each event multiplies the evidence "good enough" with, at one weight.
///
/// The null: the canary fails at least d more often than stable. With q stable's rate so far, a = q/(q + d) for a canary
/// failure, g = 1 + d (1 - a)/(1 - d) for a canary answer, u = 1 + w (g - a)/(1 - w) for a stable failure, 1 for a stable
/// answer: the mean is 1 + w (g - a)(d - (p_c - p_s)), <= 1 under the null whatever q is.
struct AdvanceFactors: Hashable, Sendable {
    let canaryFailed: Double
    let canaryAnswered: Double
    let stableFailed: Double

    /// - Parameters:
    ///   - past: stable's failures and requests before those that are judged.
    ///   - excess: d, in (0, 1).
    ///   - weight: in [0, 1).
    init(past: ContingencyTable.Trials, excess: Double, weight: Double) {
        let excess = min(max(excess, 1e-9), 1 - 1e-9)
        let rate = (Double(past.bad) + 0.5) / (Double(past.total) + 500)
        let failed = rate / (rate + excess)
        let gain = excess * (1 - failed) / (1 - excess)
        canaryFailed = log(failed)
        canaryAnswered = log1p(gain)
        stableFailed = log1p(weight * (1 + gain - failed) / (1 - weight))
    }

    func exponent(_ table: ContingencyTable) -> Double {
        // A user who was counted as good and fails now takes his gain along: the difference may be negative.
        power(canaryFailed, table.canary.bad)
            + canaryAnswered * (Double(table.canary.total) - Double(table.canary.bad))
            + power(stableFailed, table.stable.bad)
    }
}

/// The same for one quantile of latency.
///
/// The null: the canary is slow at least d more often than stable. With m = 1 - tau, the bet
/// r = (1 - w) d/((m + d)(1 - m - d)), at most 0.9 (1 - w)/(w m): canary slow 1 - r (1 - m - d), fast 1 + r (m + d); stable
/// slow 1 + r (1 - m) w/(1 - w), fast 1 - r m w/(1 - w). The mean is 1 + w r (d - (p_c - p_s)).
struct LatencyAdvanceFactors: Hashable, Sendable {
    let canarySlow: Double
    let canaryFast: Double
    let stableSlow: Double
    let stableFast: Double

    /// - Parameter weight: in (0, 1).
    init(tail m: Double, excess d: Double, weight w: Double) {
        let odds = w / (1 - w)
        // m + d, where a quantile leaves room for it.
        let worse = min(m + d, (1 + m) / 2)
        let bet = min((1 - w) * (worse - m) / (worse * (1 - worse)), 0.9 / (odds * m))
        canarySlow = log1p(-bet * (1 - worse))
        canaryFast = log1p(bet * worse)
        stableSlow = log1p(bet * (1 - m) * odds)
        stableFast = log1p(-bet * m * odds)
    }

    func exponent(_ table: ContingencyTable) -> Double {
        power(canarySlow, table.canary.bad) + power(canaryFast, table.canary.good)
            + power(stableSlow, table.stable.bad) + power(stableFast, table.stable.good)
    }
}

/// Evidence that the canary fails often enough no more than stable; starts afresh with each step.
struct ErrorProof: Hashable, Sendable, Codable {
    let excess: Double
    /// E: 1 at the start of a step.
    private(set) var evidence = 1.0
    /// Stable's failures before the units that are judged next; kept from step to step.
    private(set) var past = ContingencyTable.Trials()

    init(excess: Double) { self.excess = excess }

    mutating func beginStep() { evidence = 1 }

    mutating func settle(_ tables: [ContingencyTable]) {
        evidence = evidence(with: tables)
        for table in tables { past.add(table.stable) }
    }

    /// E if these units settled as well.
    func evidence(with pending: [ContingencyTable]) -> Double {
        Experts.bounded(
            evidence,
            ContingencyTable.merged(pending).reduce(0) { sum, table in
                guard table.isComparison else { return sum }
                return sum + AdvanceFactors(past: past, excess: excess, weight: table.weight).exponent(table)
            })
    }
}

/// Evidence that every metric of a step is good enough; starts afresh with each step.
struct AdvanceTest: Hashable, Sendable, Codable {
    let quantiles: [JudgingSettings.Quantile]
    private(set) var proof: ErrorProof
    /// E for each quantile.
    private(set) var latency: [Double]

    init(settings: JudgingSettings) {
        proof = ErrorProof(excess: settings.provenExcess)
        quantiles = settings.judgedLatency?.quantiles ?? []
        latency = quantiles.map { _ in 1 }
    }

    /// E for failures.
    var errors: Double { proof.evidence }
    /// Stable's failures so far.
    var past: ContingencyTable.Trials { proof.past }

    mutating func beginStep() {
        proof.beginStep()
        latency = quantiles.map { _ in 1 }
    }

    mutating func settle(errors tables: [ContingencyTable]) { proof.settle(tables) }

    /// - Parameter tables: those of each quantile, in their order.
    mutating func settle(latency tables: [[ContingencyTable]]) {
        for (index, tables) in zip(latency.indices, tables) {
            latency[index] = Experts.bounded(latency[index], exponent(tables, quantile: quantiles[index]))
        }
    }

    /// E of each metric if these units settled as well: failures first, then each quantile.
    ///
    /// - Parameter pending: canary units that are overdue, as failed or slow.
    func evidence(with pending: [ContingencyTable]) -> [(metric: Metric, evidence: Double)] {
        [(.errors, proof.evidence(with: pending))]
            + zip(quantiles, latency).map { quantile, evidence in
                (
                    .latency(perMille: quantile.perMille),
                    Experts.bounded(evidence, exponent(pending, quantile: quantile))
                )
            }
    }

    private func exponent(_ tables: [ContingencyTable], quantile: JudgingSettings.Quantile) -> Double {
        let tail = QuantileTest.tail(perMille: quantile.perMille)
        return ContingencyTable.merged(tables).reduce(0) { sum, table in
            guard table.isComparison else { return sum }
            return sum
                + LatencyAdvanceFactors(tail: tail, excess: quantile.provenExcess, weight: table.weight).exponent(table)
        }
    }
}
