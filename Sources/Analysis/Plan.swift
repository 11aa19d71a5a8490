// How long a release is likely to take, step by step, before it begins. Pure: no clock, no I/O.

/// What each step of a release needs at a service's present traffic.
///
/// It is computed by playing some hundred releases from a fixed seed with the bets of ``ErrorTest`` and ``AdvanceTest`` themselves
/// (``PlannedRelease``). A canary that fails does so from the beginning of the step and was as good as stable in the steps
/// before; failures come at once: one that hangs is noticed a request timeout later.
package struct Plan: Hashable, Sendable, Codable {
    /// One share of the canary.
    package struct Step: Hashable, Sendable, Codable {
        /// In basis points.
        package var share: Int
        package var shortestMilliseconds: Int64

        package init(share: Int, shortestMilliseconds: Int64) {
            self.share = share
            self.shortestMilliseconds = shortestMilliseconds
        }
    }

    /// Both versions' traffic together.
    package struct Traffic: Hashable, Sendable, Codable {
        /// Requests a second; where users are given to the versions, users a second that were not seen in the step before.
        package var unitsPerSecond: Double
        /// Users there are at all; nil: no bound.
        package var knownUsers: UInt64?

        package init(unitsPerSecond: Double, knownUsers: UInt64? = nil) {
            self.unitsPerSecond = unitsPerSecond
            self.knownUsers = knownUsers
        }
    }

    /// How long something takes in half of all releases, and in 19 of 20; nil: not within the longest release, or with the
    /// users there are.
    package struct Wait: Hashable, Sendable, Codable {
        package var medianMilliseconds: Int64?
        package var p95Milliseconds: Int64?

        /// - Parameter milliseconds: of each played release.
        init(_ milliseconds: [Double?]) {
            let sorted = milliseconds.map { $0 ?? .infinity }.sorted()
            func quantile(_ share: Double) -> Int64? {
                guard !sorted.isEmpty else { return nil }
                let value = sorted[max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
                return value.isFinite ? Int64(value.rounded(.up)) : nil
            }
            medianMilliseconds = quantile(0.5)
            p95Milliseconds = quantile(0.95)
        }
    }

    package struct PlannedStep: Hashable, Sendable, Codable {
        package var step: Step
        /// With what the judge adds to the policy's.
        package var shortestMilliseconds: Int64
        package var canaryUnitsPerSecond: Double
        /// Until a canary that fails at each of ``Plan/rates`` is rolled back.
        package var caught: [Wait]
        /// Until one that is as good as stable is shown to be by every metric that gates.
        package var proven: Wait
        /// What a person should know before the release starts.
        package var warnings: [String]

        /// A step that is good may end no sooner than it is shown to be: in 1 of 20 releases at least, that is later.
        package var isTooShort: Bool { proven.p95Milliseconds.map { $0 > shortestMilliseconds } ?? true }
    }

    /// Failure rates of a bad canary.
    package let rates: [Double]
    package private(set) var steps: [PlannedStep] = []

    /// - Parameters:
    ///   - stable: its failures and units so far; without any it is taken to fail 0.1 %.
    ///   - rates: in (0, 1].
    ///   - runs: releases that are played.
    package init(
        settings: JudgingSettings, steps: [Step], stable: ContingencyTable.Trials, traffic: Traffic,
        rates: [Double] = [1, 0.5, 0.05, 0.01], runs: Int = 200, seed: UInt64 = 1
    ) {
        self.rates = rates
        let stages = steps.map { PlannedStage($0, settings: settings, stable: stable, traffic: traffic, rates: rates) }
        var caught = [[[Double?]]](repeating: rates.map { _ in [] }, count: steps.count)
        var proven = [[Double?]](repeating: [], count: steps.count)
        for run in 0..<max(1, runs) {
            var release = PlannedRelease(
                settings: settings, stable: stable, generator: SeededGenerator(seed: seed << 32 | UInt64(run)))
            for (index, stage) in stages.enumerated() {
                for rate in rates.indices { caught[index][rate].append(release.caught(in: stage, rate: rate)) }
                proven[index].append(release.pass(stage))
            }
        }
        for (index, stage) in stages.enumerated() {
            var planned = PlannedStep(
                step: steps[index], shortestMilliseconds: stage.shortestMilliseconds,
                canaryUnitsPerSecond: stage.canaryUnitsPerSecond, caught: caught[index].map(Wait.init),
                proven: Wait(proven[index]), warnings: [])
            planned.warnings = warnings(of: planned, settings, stage, number: index + 1)
            self.steps.append(planned)
        }
    }
}
