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
        /// Settled since the last reading. Its gauges are 0.
        var counts: ShareCounts
        /// Requests given out since the last reading.
        var dispatchedStable: UInt64
        var dispatchedCanary: UInt64
        /// Users that could still fail when the reading began.
        var atRiskStable: UInt64
        var atRiskCanary: UInt64
    }

    /// Runs that are remembered; the one that has been silent for the longest time is forgotten first.
    private static let mostRuns = 64

    private var accounts: [String: Account] = [:]

    /// What these counts add; nil if they are older than what the same run has reported before.
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
            news.append(Self.news(from: old, to: new))
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
    func overdue(since oldest: Int64) -> [(weight: Double, stable: UInt64, canary: UInt64)] {
        Self.merged(accounts.values.filter { $0.at >= oldest }.flatMap(\.counts.shares)).map {
            ($0.weight, $0.stable.overdue, $0.canary.overdue)
        }
    }

    /// One entry a share, smallest first.
    static func merged(_ shares: [ShareCounts]) -> [ShareCounts] {
        var merged: [ShareCounts] = []
        for counts in shares.sorted(by: { $0.share < $1.share }) {
            if let last = merged.indices.last, merged[last].share == counts.share {
                merged[last].stable.add(counts.stable)
                merged[last].canary.add(counts.canary)
            } else {
                merged.append(counts)
            }
        }
        return merged
    }

    private static func news(from old: ShareCounts, to new: ShareCounts) -> News {
        News(
            counts: ShareCounts(
                share: new.share, stable: settled(from: old.stable, to: new.stable),
                canary: settled(from: old.canary, to: new.canary)),
            dispatchedStable: new.stable.dispatched - min(old.stable.dispatched, new.stable.dispatched),
            dispatchedCanary: new.canary.dispatched - min(old.canary.dispatched, new.canary.dispatched),
            atRiskStable: atRisk(from: old.stable, to: new.stable),
            atRiskCanary: atRisk(from: old.canary, to: new.canary))
    }

    private static func settled(from old: ArmCounts, to new: ArmCounts) -> ArmCounts {
        ArmCounts(
            settled: new.settled.since(old.settled),
            users: new.users.map { users in
                UserCounts(
                    seen: users.seen - min(users.seen, old.users?.seen ?? 0),
                    failed: users.failed - min(users.failed, old.users?.failed ?? 0))
            })
    }

    /// Seen by now, without those that had failed before.
    private static func atRisk(from old: ArmCounts, to new: ArmCounts) -> UInt64 {
        let seen = new.users?.seen ?? 0
        return seen - min(seen, old.users?.failed ?? 0)
    }
}
