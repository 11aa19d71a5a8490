// The metrics of a policy beside the router's counts, as the judge takes them in. Pure: no clock, no I/O.

package import Analysis
package import Ports
package import Releases

/// One reading of one metric, as it is kept with the look that took it in.
package struct MetricNews: Hashable, Sendable, Codable {
    package enum Content: Hashable, Sendable, Codable {
        case value(Double)
        /// What another process has counted since the reading before; nothing, where there was none.
        case counts(ContingencyTable?)
        /// Why nothing is known.
        case noData(String)
    }

    package var metric: String
    package var beganAt: Instant
    /// The canary had got any share in this release when the metric was asked.
    package var canaryHadTraffic: Bool
    package var content: Content

    package init(metric: String, beganAt: Instant, canaryHadTraffic: Bool, content: Content) {
        self.metric = metric
        self.beganAt = beganAt
        self.canaryHadTraffic = canaryHadTraffic
        self.content = content
    }
}

/// All metrics of a release, with what their readings said so far.
package struct WatchedMetrics: Hashable, Sendable, Codable {
    private struct Watched: Hashable, Sendable, Codable {
        var metric: Policy.Metric
        var watch: MetricWatch
        var isSaid = false
    }

    private var all: [Watched]

    package init(_ metrics: [Policy.Metric]) {
        all = metrics.map { Watched(metric: $0, watch: MetricWatch($0)) }
    }

    /// - Returns: what follows at once; `nothing` for a metric that the policy does not name.
    package mutating func take(_ news: MetricNews) -> MetricWatch.Finding {
        guard let index = all.firstIndex(where: { $0.metric.name == news.metric }) else { return .nothing }
        let reading: MetricReading =
            switch news.content {
            case .value(let value): .value(value)
            case .noData(let why): .noData(why)
            case .counts: .counts(ScrapeReading(scrapes: [], answeredAt: 0))
            }
        return all[index].watch.take(
            reading, beganAt: news.beganAt, canaryHadTraffic: news.canaryHadTraffic)
    }

    /// What the evidence of counters says that may not roll back: their evidence is not part of W.
    package mutating func weigh(_ test: ReleaseTest) -> MetricWatch.Finding {
        let limit = test.settings.rollbackEvidence
        for line in test.evidence {
            guard case .external(let name) = line.metric, line.isDryRun, line.wealth >= limit,
                let index = all.firstIndex(where: { $0.metric.name == name })
            else { continue }
            let sentence =
                "metric \(name): \(line.canary.bad) of \(line.canary.total) failed on the canary, \(line.stable.bad) of "
                + "\(line.stable.total) on stable"
            if all[index].metric.then == .hold, !all[index].metric.isDryRun { return .hold(sentence) }
            guard !all[index].isSaid else { continue }
            all[index].isSaid = true
            return .noted(all[index].metric.isDryRun ? "\(sentence) (dry run)" : sentence)
        }
        return .nothing
    }

    /// Why no step ends at this moment; nil when every metric lets it.
    package func hold(at now: Instant) -> String? {
        all.lazy.compactMap { $0.watch.standingHold(at: now) }.first
    }
}
