// Where slow begins: stable's quantiles, frozen before anything is compared with them. Pure: no clock, no I/O.

import Glibc

/// Above which bucket a request of each version is slow, for one quantile of stable.
package struct LatencyEdge: Hashable, Sendable, Codable {
    package let perMille: Int
    /// x: the bucket of stable's quantile.
    package let stableBucket: Int
    /// (1 + m) x, at an edge of the histogram.
    package let canaryBucket: Int

    /// - Parameters:
    ///   - margin: m; 0.1 is one bucket up (9.05 %), 0.2 are two (18.9 %).
    ///   - marginMicroseconds: added to it.
    init(perMille: Int, stableBucket: Int, margin: Double, marginMicroseconds: Int64) {
        self.perMille = perMille
        // The last bucket is what lies above the range, timeouts among it: slow under every edge.
        let last = LatencyHistogram.bucketCount - 2
        self.stableBucket = min(stableBucket, last)
        let edge = LatencyHistogram.upperEdgeMicroseconds(self.stableBucket)
        let buckets = log2((edge * (1 + margin) + Double(marginMicroseconds)) / edge) * 8
        // A margin that is granted is granted: what is smaller than half a bucket is a whole one.
        let whole = buckets > 1e-9 ? max(1, min(buckets, 256).rounded()) : 0
        canaryBucket = min(self.stableBucket + Int(whole), last)
    }

    package var stableMicroseconds: Double { LatencyHistogram.upperEdgeMicroseconds(stableBucket) }
    package var canaryMicroseconds: Double { LatencyHistogram.upperEdgeMicroseconds(canaryBucket) }

    /// Slow and all requests of both versions.
    func table(weight: Double, canary: LatencyHistogram, stable: LatencyHistogram) -> ContingencyTable {
        ContingencyTable(
            weight: weight,
            canary: .init(bad: canary.above(canaryBucket), total: canary.total),
            stable: .init(bad: stable.above(stableBucket), total: stable.total))
    }
}

/// The edges of every judged quantile, from stable's past. Any edge chosen from the past is valid; a bad one costs power only.
package struct LatencyEdges: Hashable, Sendable, Codable {
    private let settings: JudgingSettings.Latency
    /// Empty until stable has answered often enough.
    package private(set) var edges: [LatencyEdge] = []
    private var sample = LatencyHistogram()
    private var refreshedAt = Int64.min

    init(settings: JudgingSettings.Latency) { self.settings = settings }

    /// Stable requests that are still needed before there are edges.
    var missing: UInt64 {
        edges.isEmpty ? settings.minimumSamples - min(settings.minimumSamples, sample.total) : 0
    }

    /// Takes in what has been compared with the present edges, and chooses new ones from it at most once a minute.
    mutating func add(_ stable: LatencyHistogram, at now: Int64) {
        sample.add(stable)
        guard edges.isEmpty || now >= refreshedAt + 60_000, sample.total >= settings.minimumSamples else { return }
        edges = settings.quantiles.map { quantile in
            LatencyEdge(
                perMille: quantile.perMille, stableBucket: sample.bucket(perMille: quantile.perMille) ?? 0,
                margin: settings.margin, marginMicroseconds: settings.marginMicroseconds)
        }
        sample = LatencyHistogram()
        refreshedAt = now
    }
}
