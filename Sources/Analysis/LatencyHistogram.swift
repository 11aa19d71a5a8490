// Latencies as counts in geometric buckets, so that two versions can be compared and added. Pure: no clock, no I/O.

/// Counts of durations in buckets whose edges grow by 2^(1/8) (9.05 %), from 1 microsecond to about 68 minutes.
///
/// Bucket 0 holds everything up to 1 µs; the last holds everything above the range.
package struct LatencyHistogram: Hashable, Sendable, Codable {
    /// 32 doublings of 8 buckets each, plus the first.
    package static let bucketCount = 257

    /// Sparse on the wire, dense in memory: index is the bucket.
    package private(set) var counts: [UInt64]

    package init() { counts = Array(repeating: 0, count: Self.bucketCount) }

    package var total: UInt64 { counts.reduce(0, +) }

    /// The bucket of a latency: the smallest `b` with `edge(b) >= microseconds`.
    package static func bucket(microseconds: UInt64) -> Int {
        guard microseconds > 1 else { return 0 }
        let doublings = 63 - microseconds.leadingZeroBitCount
        var bucket = doublings * 8
        while bucket < bucketCount - 1, upperEdgeMicroseconds(bucket) < Double(microseconds) { bucket += 1 }
        return min(bucket, bucketCount - 1)
    }

    /// Upper edge of a bucket in microseconds: 2^(bucket/8).
    package static func upperEdgeMicroseconds(_ bucket: Int) -> Double {
        let fraction = eighthRoots[bucket % 8]
        return Double(UInt64(1) << UInt64(bucket / 8)) * fraction
    }

    /// 2^(i/8).
    private static let eighthRoots: [Double] = [
        1, 1.0905077326652577, 1.189207115002721, 1.2968395546510096, 1.4142135623730951, 1.5422108254079407,
        1.681792830507429, 1.8340080864093424,
    ]

    package mutating func record(microseconds: UInt64, count: UInt64 = 1) {
        counts[Self.bucket(microseconds: microseconds)] += count
    }

    /// How many lie in buckets above this one.
    package func above(_ bucket: Int) -> UInt64 { counts[min(bucket + 1, Self.bucketCount)...].reduce(0, +) }

    package mutating func add(_ other: LatencyHistogram) {
        for bucket in 0..<Self.bucketCount { counts[bucket] += other.counts[bucket] }
    }

    /// What came after `earlier`, where `earlier` is a past reading of the same cumulative histogram.
    package func since(_ earlier: LatencyHistogram) -> LatencyHistogram {
        var difference = self
        for bucket in 0..<Self.bucketCount { difference.counts[bucket] -= min(counts[bucket], earlier.counts[bucket]) }
        return difference
    }

    /// The bucket that holds the quantile; nil when nothing was recorded.
    ///
    /// - Parameter perMille: the quantile in thousandths, 1...1000 (950 is p95).
    package func bucket(perMille: Int) -> Int? {
        let all = total
        guard all > 0 else { return nil }
        let rank = max(1, (all * UInt64(perMille) + 999) / 1_000)
        var seen: UInt64 = 0
        return counts.firstIndex { count in
            seen += count
            return seen >= rank
        }
    }

    /// The upper edge of the bucket that holds the quantile, in microseconds; nil when nothing was recorded.
    package func quantile(perMille: Int) -> Double? { bucket(perMille: perMille).map(Self.upperEdgeMicroseconds) }
}

extension LatencyHistogram {
    /// On the wire: pairs of bucket and count, empty buckets left out.
    package init(from decoder: any Decoder) throws {
        self.init()
        var container = try decoder.unkeyedContainer()
        while !container.isAtEnd {
            let bucket = try container.decode(Int.self)
            let count = try container.decode(UInt64.self)
            guard (0..<Self.bucketCount).contains(bucket) else {
                throw DecodingError.dataCorruptedError(
                    in: container, debugDescription: "a latency bucket is 0..<\(Self.bucketCount), not \(bucket)")
            }
            counts[bucket] = count
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        for (bucket, count) in counts.enumerated() where count > 0 {
            try container.encode(bucket)
            try container.encode(count)
        }
    }
}
