// Rules that hold the canary's rate against a fixed limit: Argo Rollouts and Flagger.

/// Argo Rollouts: an analysis that measures every 60 s the last minute's failure rate, `successCondition: rate <= 0.01`,
/// `failureLimit: 3`. The metric fails when more measurements than the limit have failed, however far apart. Without a
/// request the rate is NaN, for which the condition is false. (argo-rollouts, analysis/analysis.go, `assessMetricStatus`)
package struct ArgoRule: ReleaseRule {
    package static let name = "Argo Rollouts"
    static let highestRate = 0.01
    static let failureLimit = 3

    private var minute = MinuteSum()
    private var failed = 0

    package init() {}

    package mutating func rollsBack(after news: Settled, at milliseconds: Int64) -> Bool {
        guard let measured = minute.close(news, at: milliseconds) else { return false }
        if (measured.canary.rate ?? .nan) <= Self.highestRate { return false }
        failed += 1
        return failed > Self.failureLimit
    }
}

/// Flagger: every 60 s the last minute's success rate has to be at least 99 %, `threshold: 5`. A check without data has
/// failed; failed checks add up, and are compared with the threshold at the beginning of the next tick. (flagger,
/// pkg/controller/scheduler.go, `advanceCanary`)
package struct FlaggerRule: ReleaseRule {
    package static let name = "Flagger"
    static let highestRate = 0.01
    static let threshold = 5

    private var minute = MinuteSum()
    private var failed = 0

    package init() {}

    package mutating func rollsBack(after news: Settled, at milliseconds: Int64) -> Bool {
        guard let measured = minute.close(news, at: milliseconds) else { return false }
        if failed >= Self.threshold { return true }
        if (measured.canary.rate ?? .nan) <= Self.highestRate { return false }
        failed += 1
        return false
    }
}
