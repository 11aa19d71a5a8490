// What one event loop has counted since the router started, whatever the release: for metrics, which must not fall. Pure.

import Analysis

/// Counts of releases that are over, and of requests that outlived theirs.
struct Totals: Sendable {
    var stable = VersionCounts()
    var canary = VersionCounts()
    var forced: UInt64 = 0
    var refused: UInt64 = 0
    /// Sums of all latencies, those of the release of the moment too: histograms have none.
    private(set) var stableMicroseconds: UInt64 = 0
    private(set) var canaryMicroseconds: UInt64 = 0

    /// The release of these counts is over.
    mutating func add(_ tally: Tally) {
        stable.add(tally.stable)
        canary.add(tally.canary)
        forced += tally.forced
        refused += tally.refused
    }

    mutating func add(_ other: Totals) {
        stable.add(other.stable)
        canary.add(other.canary)
        forced += other.forced
        refused += other.refused
        stableMicroseconds += other.stableMicroseconds
        canaryMicroseconds += other.canaryMicroseconds
    }

    /// Called for every request that settles, in its release or after it.
    mutating func addLatency(of outcome: Outcome, _ choice: CohortChoice) {
        guard case .answered(_, let microseconds) = outcome, !choice.isForced else { return }
        if choice.arm == .stable { stableMicroseconds += microseconds } else { canaryMicroseconds += microseconds }
    }

    /// A request settled after its release, whose counts are closed.
    mutating func settleLate(_ outcome: Outcome, _ choice: CohortChoice) {
        addLatency(of: outcome, choice)
        if choice.isForced {
            forced += 1
        } else if choice.arm == .stable {
            stable.settle(outcome)
        } else {
            canary.settle(outcome)
        }
    }
}
