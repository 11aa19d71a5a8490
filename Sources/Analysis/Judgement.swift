// Is the watched version within its absolute limits? Pure: no clock, no I/O; the same counts give the same answer.

/// The limits one version is held to.
package struct AbsoluteLimits: Hashable, Sendable {
    /// Fewer judged requests than this say nothing.
    package var minimumRequests: Int
    /// Highest share of failed requests in basis points.
    package var errorsMaxBasisPoints: Int
    package var latency: [Latency]

    /// A quantile in thousandths and its limit in microseconds.
    package struct Latency: Hashable, Sendable {
        package var perMille: Int
        package var maxMicroseconds: Int64
        package init(perMille: Int, maxMicroseconds: Int64) {
            self.perMille = perMille
            self.maxMicroseconds = maxMicroseconds
        }
    }

    package init(minimumRequests: Int, errorsMaxBasisPoints: Int, latency: [Latency]) {
        self.minimumRequests = minimumRequests
        self.errorsMaxBasisPoints = errorsMaxBasisPoints
        self.latency = latency
    }
}

/// What counts say about a version. "Not known yet" is an answer of its own: it never passes and never fails.
package enum Judgement: Hashable, Sendable {
    /// Every limit is kept; a sentence a limit.
    case within([String])
    /// At least one limit is broken; a sentence for each that is.
    case broken([String])
    /// Too few requests; how many more are needed.
    case unknown(missing: UInt64, String)

    /// Judges one version's counts of a window.
    ///
    /// - Parameter name: how sentences call the version: `canary`, `shop-42`.
    package static func of(_ counts: VersionCounts, limits: AbsoluteLimits, name: String) -> Judgement {
        let judged = counts.judged
        let needed = UInt64(max(1, limits.minimumRequests))
        guard judged >= needed else {
            return .unknown(
                missing: needed - judged,
                "\(name) answered \(judged) requests, \(needed) are needed before it can be judged")
        }
        var kept: [String] = []
        var broken: [String] = []
        // x/n > limit as whole numbers: exact for any counts below 2^50.
        let breaks = counts.failures * 10_000 > UInt64(limits.errorsMaxBasisPoints) * judged
        let sentence =
            "\(name): \(counts.failures) of \(judged) requests failed (\(percent(counts.failures, of: judged))), "
            + "limit \(percent(UInt64(limits.errorsMaxBasisPoints), of: 10_000))"
        if breaks { broken.append(sentence) } else { kept.append(sentence) }
        for limit in limits.latency {
            guard let quantile = counts.latency.quantile(perMille: limit.perMille) else { continue }
            let text =
                "\(name): p\(quantileName(limit.perMille)) is \(milliseconds(quantile)), "
                + "limit \(milliseconds(Double(limit.maxMicroseconds)))"
            if quantile > Double(limit.maxMicroseconds) { broken.append(text) } else { kept.append(text) }
        }
        return broken.isEmpty ? .within(kept) : .broken(broken)
    }
}

/// `1.25%`: two digits at most, cut, not rounded up over a limit.
func percent(_ part: UInt64, of whole: UInt64) -> String {
    let (points, _) = (part * 10_000).quotientAndRemainder(dividingBy: whole)
    let (integer, rest) = points.quotientAndRemainder(dividingBy: 100)
    if rest == 0 { return "\(integer)%" }
    return rest % 10 == 0 ? "\(integer).\(rest / 10)%" : "\(integer).\(rest < 10 ? "0" : "")\(rest)%"
}

/// 950 -> `95`, 999 -> `99.9`.
func quantileName(_ perMille: Int) -> String {
    perMille % 10 == 0 ? "\(perMille / 10)" : "\(perMille / 10).\(perMille % 10)"
}

/// `0.8 ms`, `412 ms`.
func milliseconds(_ microseconds: Double) -> String {
    let tenths = Int64((microseconds / 100).rounded())
    return tenths >= 100 || tenths % 10 == 0 ? "\((tenths + 5) / 10) ms" : "\(tenths / 10).\(tenths % 10) ms"
}
