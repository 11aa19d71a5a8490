// One release as it may go, played with the real bets. Pure: no clock, no I/O, randomness from a seed.

import Glibc

/// A step and the constants of its bets.
struct PlannedStage {
    let weight: Double
    let shortestMilliseconds: Int64
    let canaryUnitsPerSecond: Double
    /// Canary units that there can be in a step.
    let mostUnits: Double
    let stableRate: Double
    let rates: [Double]
    let errors: ErrorFactors
    /// Of each quantile that gates, widest tail first.
    let quantiles: [(tail: Double, factors: LatencyAdvanceFactors)]
    /// Canary failures between two looks, for each rate; nil: the evidence does not grow.
    let failuresPerLook: [UInt64?]
    /// Canary units between two looks at what is proven; nil: it does not grow, or nothing is there to compare.
    let unitsPerLook: UInt64?

    init(
        _ step: Plan.Step, settings: JudgingSettings, stable: ContingencyTable.Trials, traffic: Plan.Traffic,
        rates: [Double]
    ) {
        let share = Double(min(max(step.share, 0), 10_000)) / 10_000
        weight = share
        shortestMilliseconds = max(step.shortestMilliseconds, settings.settleMilliseconds)
        canaryUnitsPerSecond = share * min(max(0, traffic.unitsPerSecond), 1e9)
        let users = settings.unit == .user ? traffic.knownUsers.map { share * Double($0) } : nil
        mostUnits = min(users ?? .infinity, canaryUnitsPerSecond * Double(settings.longestReleaseMinutes) * 60)
        stableRate = (Double(stable.bad) + 0.5) / (Double(stable.total) + 500)
        self.rates = rates
        let isComparison = weight > 0 && weight < 1
        errors = ErrorFactors(weight: isComparison ? share : 0.5, null: settings.errorNull)
        // As exact counts of stable as a forecast can want.
        let known = ContingencyTable.Trials(bad: UInt64(stableRate * 1e9), total: 1_000_000_000)
        let forecast = Forecast(settings: settings, weight: isComparison ? share : 0.5, stable: known)
        failuresPerLook = rates.map { rate in
            guard isComparison, rate > 0, let units = forecast.canaryUnits(toRollBackAt: rate) else { return nil }
            return max(1, UInt64(Double(units) * rate / 64))
        }
        let gating = settings.judgedLatency.map { $0.dryRun ? [] : $0.quantiles } ?? []
        quantiles = gating.sorted { $0.perMille < $1.perMille }.map { quantile in
            let tail = QuantileTest.tail(perMille: quantile.perMille)
            return (
                tail,
                LatencyAdvanceFactors(tail: tail, excess: quantile.provenExcess, weight: isComparison ? share : 0.5)
            )
        }
        let gates = [Metric.errors].filter(settings.gatesAdvance) + gating.map { .latency(perMille: $0.perMille) }
        let needed = gates.map { forecast.canaryUnits(toShow: $0) }
        unitsPerLook =
            isComparison && !needed.contains(nil) ? max(1, (needed.compactMap(\.self).max() ?? 1) / 40) : nil
    }

    /// Stable units for each canary unit.
    var stableUnits: Double { (1 - weight) / weight }
}

/// A canary that is as good as stable so far.
///
/// Wealth against a canary rises only when it fails, so the rollback is looked for at its failures and nowhere else. Latency and
/// routes are taken to add nothing to W: what they have left is below one hundredth of what rolls back.
struct PlannedRelease {
    private let settings: JudgingSettings
    private let share: Double
    private var generator: SeededGenerator
    private var bets = Experts()
    private var failures: UInt64 = 0
    private var proof: ErrorProof
    private var stableSeen: UInt64
    private var drip: Drip
    /// Milliseconds since the release began.
    private var now = 0.0

    init(settings: JudgingSettings, stable: ContingencyTable.Trials, generator: SeededGenerator) {
        self.settings = settings
        self.generator = generator
        share = WealthShares(settings).errors
        stableSeen = stable.total
        drip = Drip(startedAt: 0, minutes: settings.longestReleaseMinutes)
        proof = ErrorProof(excess: settings.provenExcess)
        proof.settle([ContingencyTable(weight: 0, stable: stable)])
    }

    /// Milliseconds until a canary is rolled back that fails from now on; nil: it is not.
    mutating func caught(in stage: PlannedStage, rate index: Int) -> Double? {
        guard share > 0, let perLook = stage.failuresPerLook[index], stage.canaryUnitsPerSecond > 0 else { return nil }
        var bets = bets, drip = drip, failures = failures
        var units = 0.0, milliseconds = 0.0
        var risk = RiskSet()
        for _ in 0..<512 {
            let more = generator.trials(until: perLook, stage.rates[index])
            units += more
            guard units <= stage.mostUnits else { return nil }
            milliseconds += generator.duration(of: more) * 1_000 / stage.canaryUnitsPerSecond
            let table = drawn(stage, canary: UInt64(more), failed: perLook)
            if settings.unit == .user {
                settle(&bets, risk.next(table))
            } else {
                settle(&bets, table, stage.errors)
            }
            failures += perLook
            if share * bets.wealth >= settings.rollbackEvidence, failures >= settings.minimumFailures {
                return milliseconds
            }
            bets.drip(drip.due(at: Int64(now + milliseconds)))
        }
        return nil
    }

    /// Goes through the step as good as stable.
    ///
    /// - Returns: milliseconds until it is shown to be; nil: it is not.
    mutating func pass(_ stage: PlannedStage) -> Double? {
        proof.beginStep()
        let proven = prove(stage)
        let shortest = Double(stage.shortestMilliseconds)
        let most = shortest + Double(settings.patienceMilliseconds)
        let length = min(max(proven ?? most, shortest), most, Double(settings.longestReleaseMinutes) * 60_000)
        let slices = 24
        for _ in 0..<slices where stage.weight > 0 && stage.weight < 1 {
            let units = stage.canaryUnitsPerSecond * length / 1_000 / Double(slices)
            let canary = UInt64(min(units, stage.mostUnits / Double(slices)).rounded())
            let table = drawn(stage, canary: canary, failed: generator.quickBinomial(canary, stage.stableRate))
            settle(&bets, table, stage.errors)
            failures += table.canary.bad
            now += length / Double(slices)
            bets.drip(drip.due(at: Int64(now)))
        }
        return proven
    }

    private mutating func prove(_ stage: PlannedStage) -> Double? {
        guard let perLook = stage.unitsPerLook, stage.canaryUnitsPerSecond > 0 else { return nil }
        let needed = log(settings.advanceEvidence)
        var units = 0.0, milliseconds = 0.0
        var slow = stage.quantiles.map { _ in 0.0 }
        for _ in 0..<600 {
            if settings.errorsDryRun || proof.evidence >= settings.advanceEvidence,
                slow.allSatisfy({ $0 >= needed })
            {
                return milliseconds
            }
            units += Double(perLook)
            guard units <= stage.mostUnits else { return nil }
            milliseconds += generator.duration(of: Double(perLook)) * 1_000 / stage.canaryUnitsPerSecond
            let table = drawn(stage, canary: perLook, failed: generator.quickBinomial(perLook, stage.stableRate))
            proof.settle([table])
            if stableSeen >= settings.judgedLatency?.minimumSamples ?? 0 { addSlow(of: table, stage, to: &slow) }
            stableSeen += table.stable.total
        }
        return nil
    }

    /// Requests above each quantile, where both versions are equally fast: of those above p50 some are above p95.
    private mutating func addSlow(of table: ContingencyTable, _ stage: PlannedStage, to exponents: inout [Double]) {
        var table = table
        var canary = table.canary.total, stable = table.stable.total, above = 1.0
        for (index, quantile) in stage.quantiles.enumerated() {
            canary = generator.quickBinomial(canary, quantile.tail / above)
            stable = generator.quickBinomial(stable, quantile.tail / above)
            above = quantile.tail
            table.canary.bad = canary
            table.stable.bad = stable
            exponents[index] += quantile.factors.exponent(table)
        }
    }

    private mutating func drawn(_ stage: PlannedStage, canary: UInt64, failed: UInt64) -> ContingencyTable {
        let stable = UInt64(min(Double(canary) * stage.stableUnits, 1e15).rounded())
        return ContingencyTable(
            weight: stage.weight, canary: .init(bad: failed, total: canary),
            stable: .init(bad: generator.quickBinomial(stable, stage.stableRate), total: stable))
    }

    private func settle(_ bets: inout Experts, _ table: ContingencyTable, _ factors: ErrorFactors) {
        var exponents = Array(repeating: 0.0, count: Experts.shifts.count)
        factors.add(table, to: &exponents)
        bets.settle(exponents)
    }

    private func settle(_ bets: inout Experts, _ table: ContingencyTable) {
        guard table.isComparison else { return }
        settle(&bets, table, ErrorFactors(weight: table.weight, null: settings.errorNull))
    }
}

/// Users of a step who can still fail, as ``UnitTables`` has them.
private struct RiskSet {
    private var seen = ContingencyTable(weight: 0)

    /// The same counts with the risk set's share as the weight.
    mutating func next(_ table: ContingencyTable) -> ContingencyTable {
        let canary = Double(seen.canary.total + table.canary.total) - Double(seen.canary.bad)
        let stable = Double(seen.stable.total + table.stable.total) - Double(seen.stable.bad)
        seen.canary.add(table.canary)
        seen.stable.add(table.stable)
        var table = table
        table.weight = canary / max(1, canary + stable)
        return table
    }
}
