// A service's policy as the judge's settings.

import Analysis
import Releases

extension JudgingSettings {
    init(_ policy: Policy) {
        self.init()
        let watch = policy.watch
        unit = policy.cohort.by == [.request] ? .request : .user
        falseAlarmRate = Double(watch.falseAlarmsBasisPoints) / 10_000
        errors = ErrorNull(ratio: watch.errors.times, excess: Double(watch.errors.worseByBasisPoints) / 10_000)
        provenExcess = Double(watch.errors.provenBasisPoints) / 10_000
        errorsWeight = watch.errors.weight
        errorsDryRun = watch.errors.isDryRun
        minimumFailures = UInt64(watch.minimumFailures)
        latency = Latency(watch.latency)
        latencyWeight = watch.latency.weight
        routes = watch.routes
        external = watch.metrics.compactMap { metric in
            guard metric.then == .rollBack, case .counters(let counters) = metric.source else { return nil }
            return External(name: metric.name, weight: counters.weight, dryRun: metric.isDryRun)
        }
        limits = AbsoluteLimits(
            errorsMaxBasisPoints: watch.errors.maxBasisPoints,
            latency: watch.latency.max.map {
                .init(perMille: $0.quantilePerMille, maxMicroseconds: $0.max.milliseconds * 1_000)
            })
        switch watch.sharedIncident {
        case .hold: sharedIncident = .hold
        case .drain: sharedIncident = .drain
        case .rollBack: sharedIncident = .rollBack
        }
        longestReleaseMinutes = Int(max(1, policy.deadline.milliseconds / 60_000))
        requestTimeoutMilliseconds = policy.traffic.timeout.milliseconds
        settleMilliseconds = watch.settle?.milliseconds ?? policy.traffic.timeout.milliseconds + 10_000
        patienceMilliseconds = watch.noDataWait.milliseconds
    }

    /// The same without a limit for failures.
    var latencyLimitsOnly: JudgingSettings {
        var settings = self
        settings.limits.errorsMaxBasisPoints = 10_000
        return settings
    }
}

extension JudgingSettings.Latency {
    /// nil: latencies are not compared.
    init?(_ policy: Policy.Latency) {
        guard let worseBy = policy.worseByBasisPoints else { return nil }
        self.init()
        margin = Double(worseBy) / 10_000
        marginMicroseconds = policy.plus.milliseconds * 1_000
        quantiles = policy.quantilesPerMille.map { .init(perMille: $0, provenExcess: Self.provenExcess(perMille: $0)) }
        dryRun = policy.isDryRun
    }

    /// What a step proves of a quantile: 0.05 for the median, 0.02 for p95, 0.01 for p99. The rarer slow answers are, the
    /// smaller a share of them matters.
    private static func provenExcess(perMille: Int) -> Double {
        switch perMille {
        case ...800: 0.05
        case ...970: 0.02
        case ...995: 0.01
        default: 0.005
        }
    }
}
