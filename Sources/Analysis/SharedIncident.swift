// Do both versions break the same limit at the same time? Pure: no clock, no I/O.

/// An incident that hits both versions: it says nothing about the canary, and nothing can be learned while it lasts.
package struct SharedIncident: Hashable, Sendable, Codable {
    /// What is broken: failures, or the latency limit of a quantile.
    package var metric: Metric
    /// The highest share of bad requests.
    package var limit: Double
    /// Of the last minute.
    package var rates: ArmRates

    /// The first limit that both break: more bad requests than its share, and at least so many in each version.
    ///
    /// - Parameters:
    ///   - rates: of the last minute, in the order of ``AbsoluteLimits/rates``.
    ///   - isDrained: the canary has no traffic because of it; it lasts as long as stable breaks the limit.
    static func first(
        in rates: [ArmRates], limits: AbsoluteLimits, minimumFailures: UInt64, isDrained: Bool = false
    ) -> SharedIncident? {
        let metrics = [Metric.errors] + limits.latency.map { .latency(perMille: $0.perMille) }
        for (index, limit) in limits.rates.enumerated() where index < rates.count {
            let judged = isDrained ? [rates[index].stable] : [rates[index].stable, rates[index].canary]
            let breaks = judged.allSatisfy {
                $0.bad >= minimumFailures && Double($0.bad) > limit * Double($0.total)
            }
            if breaks { return SharedIncident(metric: metrics[index], limit: limit, rates: rates[index]) }
        }
        return nil
    }
}
