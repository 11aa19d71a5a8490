// How many canary units an outcome takes, before it is there. Pure: no clock, no I/O.

import Glibc

/// What a release would need at one weight, from what stable has done so far.
///
/// Evidence grows by the mean of ln(factor) for each unit, so a level is reached after about ln(level)/mean units of the
/// canary. It is the median or a little more; one release in twenty takes about three times as many.
package struct Forecast: Hashable, Sendable {
    private let settings: JudgingSettings
    /// In (0, 1).
    private let weight: Double
    private let past: ContingencyTable.Trials

    /// - Parameters:
    ///   - weight: the canary's share, in (0, 1).
    ///   - stable: stable's failures and units so far; on the route, where one is asked about.
    package init(settings: JudgingSettings, weight: Double, stable: ContingencyTable.Trials) {
        self.settings = settings
        self.weight = weight
        past = stable
    }

    /// Stable units for each canary unit.
    private var stableUnits: Double { (1 - weight) / weight }

    private var stableRate: Double { past.total > 0 ? Double(past.bad) / Double(past.total) : 0 }

    /// Canary units until a canary that fails at this rate is rolled back; nil: the evidence does not grow.
    package func canaryUnits(toRollBackAt rate: Double) -> UInt64? {
        let factors = ErrorFactors(weight: weight, null: settings.errorNull)
        let growth =
            Experts.shifts.indices.map { expert in
                rate * factors.canaryFailed[expert] + (1 - rate) * factors.canaryAnswered[expert]
                    + stableUnits * (stableRate > 0 ? stableRate * factors.stableFailed[expert] : 0)
            }.max() ?? 0
        // Cash and the other metrics stay about 0.5 and 1; one expert of eight has to bring the rest.
        let share = WealthShares(settings).errors
        guard share > 0 else { return nil }
        let errorsNeeded = (settings.rollbackEvidence - (1 - share)) / share
        let level = (errorsNeeded - 0.5) * Double(Experts.shifts.count) / 0.5
        return units(log(level) / growth).map { max($0, settings.minimumFailures) }
    }

    /// Canary units until a canary that is as good as stable is shown to be, for one metric; nil where it need not be.
    ///
    /// - Parameter evidence: E so far.
    package func canaryUnits(toShow metric: Metric, from evidence: Double = 1) -> UInt64? {
        let growth: Double
        switch metric {
        case .errors, .route:
            let factors = AdvanceFactors(past: past, excess: settings.provenExcess, weight: weight)
            growth =
                stableRate * factors.canaryFailed + (1 - stableRate) * factors.canaryAnswered
                + stableUnits * stableRate * factors.stableFailed
        case .external: return nil
        case .latency(let perMille):
            guard let quantile = settings.judgedLatency?.quantiles.first(where: { $0.perMille == perMille }) else {
                return nil
            }
            let tail = QuantileTest.tail(perMille: perMille)
            let factors = LatencyAdvanceFactors(tail: tail, excess: quantile.provenExcess, weight: weight)
            growth =
                tail * factors.canarySlow + (1 - tail) * factors.canaryFast
                + stableUnits * (tail * factors.stableSlow + (1 - tail) * factors.stableFast)
        }
        return units(log(settings.advanceEvidence / evidence) / growth)
    }

    private func units(_ count: Double) -> UInt64? {
        count.isFinite && count >= 0 && count < 1e15 ? UInt64(count.rounded(.up)) : nil
    }
}
