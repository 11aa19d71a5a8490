// What versions are compared by. Pure values.

/// A metric that gates.
package enum Metric: Hashable, Sendable, Codable {
    /// 5xx, connect failures, resets and timeouts.
    case errors
    /// A quantile of the latency, in thousandths.
    case latency(perMille: Int)
}

extension Metric: CustomStringConvertible {
    /// `errors`, `p95`.
    package var description: String {
        switch self {
        case .errors: "errors"
        case .latency(let perMille): "p\(quantileName(perMille))"
        }
    }
}
