// A service's policy as the judge's settings.

import Analysis
import Releases

extension JudgingSettings {
    init(_ policy: Policy) {
        self.init()
        let watch = policy.watch
        unit = policy.cohort.by == [.request] ? .request : .user
        falseAlarmRate = Double(watch.falseAlarmsBasisPoints) / 10_000
        errors.excess = Double(watch.errors.worseByBasisPoints) / 10_000
        provenExcess = Double(watch.errors.provenBasisPoints) / 10_000
        minimumFailures = UInt64(watch.minimumFailures)
        if let worseBy = watch.latency.worseByBasisPoints {
            latency?.margin = Double(worseBy) / 10_000
        } else {
            latency = nil
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
