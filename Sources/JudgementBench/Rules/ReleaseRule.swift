// How a peer is asked: what settled since the last time, and whether it would roll back now.

/// Failed and all requests of one version.
package struct Tally: Hashable, Sendable {
    package var failed: UInt64
    package var requests: UInt64

    package init(failed: UInt64 = 0, requests: UInt64 = 0) {
        self.failed = failed
        self.requests = requests
    }

    /// nil where there is nothing to divide by.
    package var rate: Double? { requests > 0 ? Double(failed) / Double(requests) : nil }

    mutating func add(_ other: Tally) {
        failed += other.failed
        requests += other.requests
    }
}

/// What settled in a while, while one share held.
package struct Settled: Hashable, Sendable {
    /// The canary's share in basis points.
    package var share: Int
    package var canary = Tally()
    /// The stable instances that get as much traffic as the canary, for a rule that compares equals. Part of `stable`.
    package var baseline = Tally()
    package var stable = Tally()

    package init(share: Int, canary: Tally = Tally(), baseline: Tally = Tally(), stable: Tally = Tally()) {
        self.share = share
        self.canary = canary
        self.baseline = baseline
        self.stable = stable
    }

    mutating func add(_ other: Settled) {
        share = other.share
        canary.add(other.canary)
        baseline.add(other.baseline)
        stable.add(other.stable)
    }
}

/// A rule that stops releases. Every rule here is idealised: exact counts, no scrape delay, no query that fails.
package protocol ReleaseRule: Sendable {
    static var name: String { get }

    /// Takes in what settled until `milliseconds` after the canary's start.
    ///
    /// - Returns: true if the release is rolled back now.
    mutating func rollsBack(after news: Settled, at milliseconds: Int64) -> Bool
}

/// Adds up what settled until the end of each minute, the interval at which the peers look.
package struct MinuteSum: Sendable {
    private var sum = Settled(share: 0)
    private var minutes: Int64 = 0

    package init() {}

    /// The minute's counts if `milliseconds` is the end of one.
    mutating func close(_ news: Settled, at milliseconds: Int64) -> Settled? {
        sum.add(news)
        guard milliseconds >= (minutes + 1) * 60_000 else { return nil }
        defer { sum = Settled(share: news.share) }
        minutes = milliseconds / 60_000
        return sum
    }
}
