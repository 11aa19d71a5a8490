// What one version answered, as the router counted it. Pure: no clock, no I/O.

/// Cumulative counts of one version's settled requests.
///
/// A request settles once, at completion or timeout, in the arm that the cohort choice gave it.
package struct VersionCounts: Hashable, Sendable, Codable {
    package var requests: UInt64 = 0
    /// Responses by class; index 0 is 1xx, 4 is 5xx.
    package var statusClasses: [UInt64] = [0, 0, 0, 0, 0]
    package var connectFailures: UInt64 = 0
    /// Connection lost before the response was complete.
    package var resets: UInt64 = 0
    package var timeouts: UInt64 = 0
    /// The client went away first; neither a success nor a failure.
    package var clientAborts: UInt64 = 0
    /// Of requests answered without failing: from the last request byte sent to the whole response received.
    package var latency = LatencyHistogram()

    package init() {}

    /// 5xx, connect failures, resets and timeouts.
    package var failures: UInt64 { statusClasses[4] + connectFailures + resets + timeouts }
    /// Requests that say something about the version: all but those the client gave up.
    package var judged: UInt64 { requests - min(requests, clientAborts) }

    /// Latencies in which a timeout is infinitely slow. Other failures are left out: they may be as fast as they like.
    package var completionTimes: LatencyHistogram {
        var times = latency
        if timeouts > 0 { times.record(microseconds: .max, count: timeouts) }
        return times
    }

    package mutating func add(_ other: VersionCounts) {
        requests += other.requests
        for index in 0..<5 { statusClasses[index] += other.statusClasses[index] }
        connectFailures += other.connectFailures
        resets += other.resets
        timeouts += other.timeouts
        clientAborts += other.clientAborts
        latency.add(other.latency)
    }

    /// What came after `earlier`, where `earlier` is a past reading of the same cumulative counts.
    package func since(_ earlier: VersionCounts) -> VersionCounts {
        var difference = self
        difference.requests -= min(requests, earlier.requests)
        for index in 0..<5 {
            difference.statusClasses[index] -= min(statusClasses[index], earlier.statusClasses[index])
        }
        difference.connectFailures -= min(connectFailures, earlier.connectFailures)
        difference.resets -= min(resets, earlier.resets)
        difference.timeouts -= min(timeouts, earlier.timeouts)
        difference.clientAborts -= min(clientAborts, earlier.clientAborts)
        difference.latency = latency.since(earlier.latency)
        return difference
    }
}
