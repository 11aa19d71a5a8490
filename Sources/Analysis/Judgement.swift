// What one look at the counts says about a release. Pure values.

/// What one look says. "Not known yet" is an answer of its own: it neither passes nor fails.
package enum Judgement: Hashable, Sendable {
    /// The version is bad. Said once, it is said for ever.
    case rollBack(RollbackVerdict)
    /// The canary is shown to be good enough for the next step.
    case advance
    case hold(HoldReason)
    /// The canary's instances, which were out, are back: start once more at the lowest step.
    case resume
    /// Nothing is known yet.
    case goOn(MissingEvidence)
}

/// What the judge is told at one moment.
package struct Tick: Hashable, Sendable, Codable {
    /// Milliseconds since 1970.
    package var at: Int64
    /// Cumulative counts of the routers that answered, in any order.
    package var counts: [TrafficCounts]
    /// The canary's instances answer their readiness probe; it matters only while they are out.
    package var isCanaryReady: Bool

    /// News since the tick before, in any order; not cumulative.
    package var external: [ExternalCounts]

    package init(
        at: Int64, counts: [TrafficCounts], isCanaryReady: Bool = true, external: [ExternalCounts] = []
    ) {
        self.at = at
        self.counts = counts
        self.isCanaryReady = isCanaryReady
        self.external = external
    }
}

extension Tick {
    private enum CodingKeys: String, CodingKey { case at, counts, isCanaryReady, external }

    /// Where there are no external counts, none are written down.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        at = try container.decode(Int64.self, forKey: .at)
        counts = try container.decode([TrafficCounts].self, forKey: .counts)
        isCanaryReady = try container.decode(Bool.self, forKey: .isCanaryReady)
        external = try container.decodeIfPresent([ExternalCounts].self, forKey: .external) ?? []
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(at, forKey: .at)
        try container.encode(counts, forKey: .counts)
        try container.encode(isCanaryReady, forKey: .isCanaryReady)
        if !external.isEmpty { try container.encode(external, forKey: .external) }
    }
}
