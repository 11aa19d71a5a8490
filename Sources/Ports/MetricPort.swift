// Who answers what a policy asks beside the router: SQL and Prometheus.

package import Releases

package protocol MetricPort: Sendable {
    /// Asks once. Never throws: whatever keeps a number from being known is no data, which neither passes nor fails.
    ///
    /// Answers within the metric's timeout, or a little later.
    func read(_ metric: Policy.Metric) async -> MetricReading
}

/// What one reading says.
package enum MetricReading: Hashable, Sendable {
    /// Why nothing is known now: lower case, no full stop. Not a result of any kind.
    case noData(String)
    /// The number, finite.
    case value(Double)
    /// The last scrapes of the one process that sees both versions.
    case counts(ScrapeReading)
}

/// What a source has of one process's counters.
package struct ScrapeReading: Hashable, Sendable {
    /// At least one, oldest first, each later than the one before, all of one process.
    package var scrapes: [VersionScrape]
    /// When the source answered, milliseconds since 1970 on its own clock, at most one second late.
    package var answeredAt: Int64

    package init(scrapes: [VersionScrape], answeredAt: Int64) {
        self.scrapes = scrapes
        self.answeredAt = answeredAt
    }
}

/// One process's cumulative counters of both versions, all of one moment.
package struct VersionScrape: Hashable, Sendable, Codable {
    /// What tells the process from others: `10.0.0.7:9901`.
    package var process: String
    /// When they were taken, milliseconds since 1970 on the source's clock.
    package var at: Int64
    package var stable: Counters
    package var canary: Counters

    package init(process: String, at: Int64, stable: Counters, canary: Counters) {
        self.process = process
        self.at = at
        self.stable = stable
        self.canary = canary
    }

    /// One version's counters: a series' labels -> its value. Each may go back to 0 by itself, so they are not added up.
    package struct Counters: Hashable, Sendable, Codable {
        package var failures: [String: UInt64]
        package var requests: [String: UInt64]
        package init(failures: [String: UInt64], requests: [String: UInt64]) {
            self.failures = failures
            self.requests = requests
        }
    }
}
