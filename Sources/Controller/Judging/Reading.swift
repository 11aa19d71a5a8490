// What a look takes from a router's report, and the difference between two of them, which is what is kept of each look.

package import Analysis
package import Traffic

/// Everything one run of the router has counted for a release so far.
package struct Reading: Hashable, Sendable, Codable {
    package private(set) var counts: TrafficCounts
    /// Requests of stable for which no coin was tossed.
    package private(set) var keyless: VersionCounts

    package init(_ report: RouterReport) {
        counts = report.counts
        counts.shares = report.counts.shares.sorted { $0.share < $1.share }
        keyless = report.keyless
    }

    /// Of a router that has counted nothing yet.
    init(boot: String) {
        counts = TrafficCounts(boot: boot, shares: [])
        keyless = VersionCounts()
    }

    /// All settled requests of stable.
    var stable: VersionCounts {
        var sum = keyless
        for share in counts.shares { sum.add(share.stable.settled) }
        return sum
    }

    /// All settled requests of the canary.
    var canary: VersionCounts {
        var sum = VersionCounts()
        for share in counts.shares { sum.add(share.canary.settled) }
        return sum
    }

    subscript(share: Int) -> ShareCounts? { counts.shares.first { $0.share == share } }

    /// The same run of the router, not before `earlier`.
    func follows(_ earlier: Reading) -> Bool {
        counts.boot == earlier.counts.boot && keyless.requests >= earlier.keyless.requests
            && earlier.counts.shares.allSatisfy { old in
                guard let new = self[old.share] else { return false }
                return new.stable.settled.requests >= old.stable.settled.requests
                    && new.canary.settled.requests >= old.canary.settled.requests
            }
    }
}

/// What a reading adds to the one before. Settled requests are differences; what is in flight and users are as they are now.
package struct ReadingNews: Hashable, Sendable {
    package var boot: String
    /// Shares of which something is new.
    package var shares: [ShareCounts]
    package var keyless: VersionCounts
    /// nil: as before.
    package var canaryFailures: [String: UInt64]?

    /// - Parameter earlier: of the same run of the router; nil: it had counted nothing.
    init(of reading: Reading, since earlier: Reading?) {
        boot = reading.counts.boot
        let earlier = earlier ?? Reading(boot: boot)
        shares = reading.counts.shares.compactMap { new in
            guard let old = earlier[new.share] else { return new }
            guard new != old else { return nil }
            var news = new
            news.stable.settled = new.stable.settled.since(old.stable.settled)
            news.canary.settled = new.canary.settled.since(old.canary.settled)
            return news
        }
        keyless = reading.keyless.since(earlier.keyless)
        let failures = reading.counts.canaryFailures
        canaryFailures = failures == earlier.counts.canaryFailures ? nil : failures
    }

    init(boot: String, shares: [ShareCounts], keyless: VersionCounts, canaryFailures: [String: UInt64]?) {
        self.boot = boot
        self.shares = shares
        self.keyless = keyless
        self.canaryFailures = canaryFailures
    }
}

extension Reading {
    /// The reading that the news were taken of.
    mutating func add(_ news: ReadingNews) {
        if news.boot != counts.boot { self = Reading(boot: news.boot) }
        for share in news.shares {
            let index = counts.shares.firstIndex { $0.share >= share.share } ?? counts.shares.endIndex
            guard index < counts.shares.endIndex, counts.shares[index].share == share.share else {
                counts.shares.insert(share, at: index)
                continue
            }
            var sum = share
            sum.stable.settled.add(counts.shares[index].stable.settled)
            sum.canary.settled.add(counts.shares[index].canary.settled)
            counts.shares[index] = sum
        }
        keyless.add(news.keyless)
        if let failures = news.canaryFailures { counts.canaryFailures = failures }
    }
}
