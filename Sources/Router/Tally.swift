// Counts of one event loop, and their sum. Pure: the clock is an argument.

import Analysis
import Traffic

/// How a request settled.
enum Outcome: Hashable, Sendable {
    case answered(status: Int, microseconds: UInt64)
    case connectFailure, reset, timeout, clientAbort

    var isFailure: Bool {
        switch self {
        case .answered(let status, _): status >= 500
        case .connectFailure, .reset, .timeout: true
        case .clientAbort: false
        }
    }
}

/// Cumulative counts since a release began, and the last minute by seconds.
struct Tally: Hashable, Sendable {
    static let seconds = 60

    private(set) var stable = VersionCounts()
    private(set) var canary = VersionCounts()
    private(set) var forced: UInt64 = 0
    private(set) var refused: UInt64 = 0
    /// A ring: the place of a second is its number modulo 60.
    private var ring = [EpochCounts](repeating: EpochCounts(second: .min), count: Tally.seconds)

    mutating func settle(_ outcome: Outcome, _ choice: CohortChoice, second: Int64) {
        guard !choice.isForced else {
            forced += 1
            return
        }
        let place = Int(second.quotientAndRemainder(dividingBy: Int64(Self.seconds)).remainder.magnitude)
        if ring[place].second != second { ring[place] = EpochCounts(second: second) }
        switch choice.arm {
        case .stable:
            stable.settle(outcome)
            ring[place].stable.settle(outcome)
        case .canary:
            canary.settle(outcome)
            ring[place].canary.settle(outcome)
        }
    }

    mutating func refuse() { refused += 1 }

    mutating func add(_ other: Tally) {
        stable.add(other.stable)
        canary.add(other.canary)
        forced += other.forced
        refused += other.refused
        for place in ring.indices where other.ring[place].second != .min {
            if ring[place].second == other.ring[place].second {
                ring[place].stable.add(other.ring[place].stable)
                ring[place].canary.add(other.ring[place].canary)
            } else if ring[place].second < other.ring[place].second {
                ring[place] = other.ring[place]
            }
        }
    }

    /// The seconds of the last minute in which something settled, oldest first.
    func recent(now second: Int64) -> [EpochCounts] {
        ring.filter { $0.second > second - Int64(Self.seconds) && $0.second <= second }
            .sorted { $0.second < $1.second }
    }
}

extension VersionCounts {
    fileprivate mutating func settle(_ outcome: Outcome) {
        requests += 1
        switch outcome {
        case .answered(let status, let microseconds):
            statusClasses[min(max(status / 100, 1), 5) - 1] += 1
            latency.record(microseconds: microseconds)
        case .connectFailure: connectFailures += 1
        case .reset: resets += 1
        case .timeout: timeouts += 1
        case .clientAbort: clientAborts += 1
        }
    }
}
