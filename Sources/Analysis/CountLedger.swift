// From cumulative counts of any number of routers to what is new. Pure: no clock, no I/O.

/// The last counts of every router's run, and what they add up to.
struct CountLedger: Hashable, Sendable, Codable {
    /// One run of a router.
    private struct Account: Hashable, Sendable, Codable {
        var counts: TrafficCounts
        /// When they were taken, milliseconds since 1970.
        var at: Int64
    }

    /// What one reading adds at one share.
    struct News: Hashable, Sendable {
        /// The canary's share in basis points.
        var share: Int
        /// Settled since the last reading.
        var stable: VersionCounts
        var canary: VersionCounts
        var stableUsers: UserNews
        var canaryUsers: UserNews
        /// Requests given out since the last reading.
        var dispatchedStable: UInt64
        var dispatchedCanary: UInt64
        var routes: [RouteNews]

        var weight: Double { Double(share) / 10_000 }
    }

    /// What one reading adds on one route.
    struct RouteNews: Hashable, Sendable {
        var route: String
        var stable: RouteArm
        var canary: RouteArm
        var stableUsers: UserNews
        var canaryUsers: UserNews
    }

    /// Runs that are remembered; the one that has been silent for the longest time is forgotten first.
    private static let mostRuns = 64

    private var accounts: [String: Account] = [:]

    /// What these counts add, of shares where anything changed; nil if they are older than what the same run has reported before.
    mutating func take(_ counts: TrafficCounts, at now: Int64) -> [News]? {
        let counts = TrafficCounts(
            boot: counts.boot, shares: Self.merged(counts.shares), canaryFailures: counts.canaryFailures)
        let last = accounts[counts.boot]?.counts
        var news: [News] = []
        for old in last?.shares ?? [] {
            guard let new = counts.shares.first(where: { $0.share == old.share }),
                new.stable.settled.requests >= old.stable.settled.requests,
                new.canary.settled.requests >= old.canary.settled.requests
            else { return nil }
        }
        for new in counts.shares {
            let old = last?.shares.first { $0.share == new.share } ?? ShareCounts(share: new.share)
            if old != new { news.append(Self.news(from: old, to: new)) }
        }
        accounts[counts.boot] = Account(counts: counts, at: now)
        if accounts.count > Self.mostRuns,
            let oldest = accounts.min(by: { ($0.value.at, $0.key) < ($1.value.at, $1.key) })
        {
            accounts[oldest.key] = nil
        }
        return news
    }

    /// Canary failures of every run, by instance.
    var canaryFailures: [String: UInt64] {
        accounts.values.reduce(into: [:]) { sum, account in
            sum.merge(account.counts.canaryFailures, uniquingKeysWith: +)
        }
    }

    /// Requests that are overdue by the latest counts, share by share; those of a run that fell silent are forgotten.
    ///
    /// - Parameters:
    ///   - oldest: from when on a reading says something, milliseconds since 1970.
    ///   - moment: of a run that was last read before it, all requests in flight count: nobody has seen them end.
    func overdue(since oldest: Int64, readSince moment: Int64 = .min) -> [(
        weight: Double, stable: UInt64, canary: UInt64
    )] {
        let read = accounts.values.filter { $0.at >= oldest }
        let shares = read.flatMap { account in
            account.counts.shares.map { account.at >= moment ? $0 : $0.allOverdue }
        }
        return Self.merged(shares).map { ($0.weight, $0.stable.overdue, $0.canary.overdue) }
    }

    /// One entry a share, smallest first.
    static func merged(_ shares: [ShareCounts]) -> [ShareCounts] {
        var merged: [ShareCounts] = []
        for counts in shares.sorted(by: { $0.share < $1.share }) {
            if let last = merged.indices.last, merged[last].share == counts.share {
                merged[last].add(counts)
            } else {
                merged.append(counts)
            }
        }
        return merged
    }

    private static func news(from old: ShareCounts, to new: ShareCounts) -> News {
        News(
            share: new.share, stable: new.stable.settled.since(old.stable.settled),
            canary: new.canary.settled.since(old.canary.settled),
            stableUsers: UserNews(from: old.stable.users, to: new.stable.users),
            canaryUsers: UserNews(from: old.canary.users, to: new.canary.users),
            dispatchedStable: new.stable.dispatched - min(old.stable.dispatched, new.stable.dispatched),
            dispatchedCanary: new.canary.dispatched - min(old.canary.dispatched, new.canary.dispatched),
            routes: (new.routes ?? []).map { route in
                news(from: old.routes?.first { $0.route == route.route } ?? RouteCounts(route: route.route), to: route)
            })
    }

    private static func news(from old: RouteCounts, to new: RouteCounts) -> RouteNews {
        RouteNews(
            route: new.route, stable: new.stable.since(old.stable), canary: new.canary.since(old.canary),
            stableUsers: UserNews(from: old.stable.users, to: new.stable.users),
            canaryUsers: UserNews(from: old.canary.users, to: new.canary.users))
    }
}
