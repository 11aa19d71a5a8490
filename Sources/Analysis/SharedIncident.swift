// Do both versions break the same limit at the same time? Pure: no clock, no I/O.

/// An incident that hits both versions: it says nothing about the canary, and nothing can be learned while it lasts.
package struct SharedIncident: Hashable, Sendable, Codable {
    package var limit: AbsoluteLimits.Bound
    /// Of the last minute.
    package var rates: ArmRates

    /// The first limit that both break: more bad requests than its share, and at least so many in each version.
    ///
    /// - Parameters:
    ///   - rates: of the last minute, in the order of ``AbsoluteLimits/bounds``.
    ///   - isDrained: the canary has no traffic because of it; it lasts as long as stable breaks the limit.
    static func first(
        in rates: [ArmRates], limits: AbsoluteLimits, minimumFailures: UInt64, isDrained: Bool = false
    ) -> SharedIncident? {
        for (limit, rates) in zip(limits.bounds, rates) {
            let judged = isDrained ? [rates.stable] : [rates.stable, rates.canary]
            let breaks = judged.allSatisfy {
                $0.bad >= minimumFailures && Double($0.bad) > limit.rate * Double($0.total)
            }
            if breaks { return SharedIncident(limit: limit, rates: rates) }
        }
        return nil
    }
}
