// What a version is held to by itself, whatever another one does. Pure values.

/// The limits of one version.
package struct AbsoluteLimits: Hashable, Sendable, Codable {
    /// Highest share of failed requests in basis points.
    package var errorsMaxBasisPoints = 100
    package var latency: [Latency] = []

    /// A quantile in thousandths and its limit in microseconds.
    package struct Latency: Hashable, Sendable, Codable {
        package var perMille: Int
        package var maxMicroseconds: Int64

        package init(perMille: Int, maxMicroseconds: Int64) {
            self.perMille = perMille
            self.maxMicroseconds = maxMicroseconds
        }
    }

    package init(errorsMaxBasisPoints: Int = 100, latency: [Latency] = []) {
        self.errorsMaxBasisPoints = errorsMaxBasisPoints
        self.latency = latency
    }

    /// One limit as the highest share of requests that may be bad.
    package struct Bound: Hashable, Sendable, Codable {
        package var metric: Metric
        /// 0...1
        package var rate: Double
        /// Above which a request is bad; nil: a bad one is one that failed.
        package var maxMicroseconds: Int64?
    }

    /// Failures first, then each latency limit.
    var bounds: [Bound] {
        [Bound(metric: .errors, rate: Double(errorsMaxBasisPoints) / 10_000)]
            + latency.map {
                Bound(
                    metric: .latency(perMille: $0.perMille), rate: QuantileTest.tail(perMille: $0.perMille),
                    maxMicroseconds: $0.maxMicroseconds)
            }
    }

    /// Bad and all requests under each of ``bounds``. A latency in the same bucket as its limit is within it.
    func trials(_ counts: VersionCounts) -> [ContingencyTable.Trials] {
        let times = counts.completionTimes
        let all = times.total
        return [.init(bad: counts.failures, total: counts.judged)]
            + latency.map { limit in
                let edge = LatencyHistogram.bucket(microseconds: UInt64(max(0, limit.maxMicroseconds)))
                return .init(bad: times.above(edge), total: all)
            }
    }
}

extension AbsoluteLimits.Bound {
    /// `failed`, `took longer than 400 ms`.
    var breach: String {
        maxMicroseconds.map { "took longer than \(milliseconds(Double($0)))" } ?? "failed"
    }

    /// `the limit is 1 %`, `p99 allows 1 %`.
    var allowance: String {
        metric == .errors ? "the limit is \(percent(rate))" : "\(metric) allows \(percent(rate))"
    }
}
