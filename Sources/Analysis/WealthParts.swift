// How the wealth of several metrics is one wealth. Pure: no clock, no I/O.

/// What each metric of a policy may contribute to W; the shares of those that are not in a dry run add up to 1.
///
/// W = sum of share * wealth. The average of e-processes over the same events, with weights that are chosen before, is one:
/// so all metrics together have the one alpha, and none pays more for the others than its share. What another process counts
/// is not told at the same moment: such a metric is not added, W is the larger one (``ExternalTest``).
struct WealthShares: Hashable, Sendable {
    /// Of all requests together.
    private(set) var errors = 0.0
    private(set) var eachRoute = 0.0
    private(set) var latency = 0.0
    /// In the settings' order.
    private(set) var external: [Double]

    init(_ settings: JudgingSettings) {
        let errorsWeight = settings.errorsDryRun ? 0 : max(0, settings.errorsWeight)
        let latencyWeight = settings.judgedLatency?.dryRun == false ? max(0, settings.latencyWeight) : 0
        let externalWeights = settings.external.map {
            $0.dryRun || settings.unit == .user ? 0 : max(0, $0.weight)
        }
        let all = externalWeights.reduce(errorsWeight + latencyWeight, +)
        external = externalWeights.map { _ in 0 }
        guard all > 0, all.isFinite else { return }
        errors = errorsWeight / all
        if !settings.routes.isEmpty {
            eachRoute = errors / 2 / Double(settings.routes.count)
            errors /= 2
        }
        latency = latencyWeight / all
        external = externalWeights.map { $0 / all }
    }
}

/// One metric in W.
struct WealthPart: Hashable, Sendable {
    let metric: Metric
    /// 0 in a dry run.
    let share: Double
    let wealth: Double
    /// Bad and all canary units of it.
    let canary: ContingencyTable.Trials

    var contribution: Double { share * wealth }

    /// W. Where every metric is in a dry run nothing is bet: it stays 1.
    static func combined(_ parts: [WealthPart]) -> Double {
        let live = parts.filter { $0.share > 0 }
        guard !live.isEmpty else { return 1 }
        let counted = live.reduce(0) { $1.metric.isExternal ? $0 : $0 + $1.contribution }
        return live.reduce(counted) { $1.metric.isExternal ? max($0, $1.contribution) : $0 }
    }
}
