// What versions are compared by. Pure values.

/// A metric that gates.
package enum Metric: Hashable, Sendable, Codable {
    /// 5xx, connect failures, resets and timeouts.
    case errors
    /// A quantile of the latency, in thousandths.
    case latency(perMille: Int)
    /// Failures on one route, as the policy names it.
    case route(String)
    /// Failures that another process counted, as ``JudgingSettings/External/name`` calls them.
    case external(String)
}

extension Metric {
    /// It counts failures.
    var isFailures: Bool {
        if case .latency = self { return false }
        return true
    }

    var isExternal: Bool {
        if case .external = self { return true }
        return false
    }

    /// It is one of as many as a policy likes to name.
    var isPart: Bool { isFailures && self != .errors }
}

extension Metric: CustomStringConvertible {
    /// `errors`, `p95`, `errors of /checkout`, `checkout_errors`.
    package var description: String {
        switch self {
        case .errors: "errors"
        case .latency(let perMille): "p\(quantileName(perMille))"
        case .route(let name): "errors of \(name)"
        case .external(let name): name
        }
    }
}
