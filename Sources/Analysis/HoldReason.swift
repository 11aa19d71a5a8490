// Why a step neither ends nor goes back, and what is still missing. Pure values.

/// A reason to keep a release where it is.
package enum HoldReason: Hashable, Sendable, Codable {
    /// The split of the traffic is not what was asked for.
    case routing(RoutingMismatch)
    /// Both versions break a limit.
    case incident(SharedIncident, isDrained: Bool)
    /// The canary's instances are away. Names those whose requests failed, as far as they are known.
    case instance([String])
    /// The step has lacked evidence for longer than the policy waits.
    case notEnoughEvidence(MissingEvidence)

    /// The canary's share is to be 0 at once.
    package var takesTrafficAway: Bool {
        switch self {
        case .instance: true
        case .incident(_, let isDrained): isDrained
        case .routing, .notEnoughEvidence: false
        }
    }

    package var sentence: String {
        switch self {
        case .routing(let mismatch): "on hold, routing: \(mismatch.sentence)"
        case .incident(let incident, let isDrained):
            "on hold, incident: \(incident.sentence); that is not the canary's fault"
                + (isDrained ? ". It gets no traffic until that is over" : "")
        case .instance(let names):
            "on hold, instance: \(names.isEmpty ? "the canary" : names.joined(separator: ", ")) cannot be reached; "
                + "it gets no traffic, and starts again at the first step if it is ready within "
                + "\(span(milliseconds: OutageWatch.longestOutMilliseconds))"
        case .notEnoughEvidence(let missing): "on hold, not enough evidence: \(missing.sentence)"
        }
    }
}

/// The split that was asked for against the one that came.
package struct RoutingMismatch: Hashable, Sendable, Codable {
    /// What was asked for, 0...1.
    package var share: Double
    package var canary: UInt64
    package var stable: UInt64
    package var unit: JudgingSettings.Unit
    /// E of the split, and where it stops a step.
    package var evidence: Double
    package var limit: Double

    package var sentence: String {
        "the canary got \(grouped(canary)) of \(counted(canary + stable, unit.rawValue)), "
            + "\(percent(share)) was asked for; a fair split looks like this in fewer than 1 of "
            + "\(roundedDown(evidence)) steps (limit: 1 of \(roundedDown(limit)))"
    }
}

extension SharedIncident {
    package var sentence: String {
        "of the last minute's requests \(rate(rates.stable)) of stable and \(rate(rates.canary)) of the canary "
            + "\(limit.breach), \(limit.allowance)"
    }
}

/// What a step needs before it can pass.
package struct MissingEvidence: Hashable, Sendable, Codable {
    /// The metric that is furthest from being shown good enough; nil: all are.
    package var metric: Metric?
    /// E of that metric, and what it needs.
    package var evidence: Double
    package var limit: Double
    /// About how many more canary units it takes if the canary is as good as stable; nil where that cannot be said.
    package var canaryUnits: UInt64?
    /// Stable requests without which no latency is known.
    package var stableRequests: UInt64
    /// Of the step's shortest time.
    package var milliseconds: Int64
    /// Wealth against the canary that has to fall first; nil: it is low enough.
    package var wealth: Double?
    package var unit: JudgingSettings.Unit

    package var sentence: String {
        var parts: [String] = []
        if stableRequests > 0 { parts.append("\(counted(stableRequests, "more request")) of stable") }
        if let metric {
            let more = canaryUnits.map { "about \(counted($0, "more canary \(unit.rawValue)"))" } ?? "more evidence"
            parts.append("\(more) for \(metric) (evidence \(decimal(evidence)) of \(decimal(limit)))")
        }
        if let wealth { parts.append("less evidence against the canary (\(decimal(wealth)))") }
        if milliseconds > 0 { parts.append(span(milliseconds: milliseconds)) }
        return parts.isEmpty ? "nothing is missing" : "needs \(parts.joined(separator: ", "))"
    }
}
