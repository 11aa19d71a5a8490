// How long requests take, drawn straight into the buckets of the histogram that the router keeps.

import Analysis
import Glibc

/// A log-normal latency with its median and spread, changed as a bad version would change it.
package struct LatencyShape: Hashable, Sendable {
    package var medianMicroseconds = 50_000.0
    /// Standard deviation of ln(latency); with 0.5, p95 is 2.3 and p99 3.2 times the median.
    package var spread = 0.5
    /// Every request takes so many times as long.
    package var factor = 1.0
    /// This share of the requests takes `extraMicroseconds` longer.
    package var delayedShare = 0.0
    package var extraMicroseconds = 0.0

    package init(factor: Double = 1, delayedShare: Double = 0, extraMicroseconds: Double = 0) {
        self.factor = factor
        self.delayedShare = delayedShare
        self.extraMicroseconds = extraMicroseconds
    }

    var meanMicroseconds: Double {
        medianMicroseconds * factor * exp(spread * spread / 2) + delayedShare * extraMicroseconds
    }

    /// The probability of a latency up to this.
    func probability(upTo microseconds: Double) -> Double {
        (1 - delayedShare) * plain(upTo: microseconds)
            + delayedShare * plain(upTo: microseconds - extraMicroseconds)
    }

    private func plain(upTo microseconds: Double) -> Double {
        guard microseconds > 0 else { return 0 }
        return erfc(-log(microseconds / (medianMicroseconds * factor)) / (spread * 2.0.squareRoot())) / 2
    }
}

/// Draws buckets by the alias method (Walker 1977, Vose 1991): one random number a request.
package struct LatencySampler: Sendable {
    private var thresholds: [UInt32]
    private var aliases: [Int]
    /// A latency that lies in the bucket, in microseconds.
    private let microseconds: [UInt64]

    package init(_ shape: LatencyShape) {
        let buckets = LatencyHistogram.bucketCount
        let edges = (0..<buckets).map(LatencyHistogram.upperEdgeMicroseconds)
        microseconds = edges.map { UInt64($0) }
        var below = 0.0
        var scaled = edges.map { edge in
            let upTo = shape.probability(upTo: edge)
            defer { below = upTo }
            return (upTo - below) * Double(buckets)
        }
        scaled[buckets - 1] += (1 - below) * Double(buckets)
        aliases = Array(0..<buckets)
        thresholds = Array(repeating: .max, count: buckets)
        var small = scaled.indices.filter { scaled[$0] < 1 }
        var large = scaled.indices.filter { scaled[$0] >= 1 }
        while let poor = small.popLast(), let rich = large.last {
            thresholds[poor] = UInt32(scaled[poor] * 4_294_967_295)
            aliases[poor] = rich
            scaled[rich] -= 1 - scaled[poor]
            if scaled[rich] < 1 {
                large.removeLast()
                small.append(rich)
            }
        }
    }

    /// Records the latencies of so many requests.
    func record(_ requests: UInt64, in histogram: inout LatencyHistogram, _ random: inout SeededRandom) {
        let buckets = aliases.count
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: buckets) { drawn in
            drawn.initialize(repeating: 0)
            for _ in 0..<requests {
                let bits = random.next()
                let column = Int(((bits >> 32) &* UInt64(buckets)) >> 32)
                let bucket = UInt32(truncatingIfNeeded: bits) <= thresholds[column] ? column : aliases[column]
                drawn[bucket] += 1
            }
            for bucket in 0..<buckets where drawn[bucket] > 0 {
                histogram.record(microseconds: microseconds[bucket], count: drawn[bucket])
            }
        }
    }
}
