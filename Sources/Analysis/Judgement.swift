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
package struct Tick: Hashable, Sendable {
    /// Milliseconds since 1970.
    package var at: Int64
    /// Cumulative counts of the routers that answered, in any order.
    package var counts: [TrafficCounts]
    /// The canary's instances answer their readiness probe; it matters only while they are out.
    package var isCanaryReady: Bool

    package init(at: Int64, counts: [TrafficCounts], isCanaryReady: Bool = true) {
        self.at = at
        self.counts = counts
        self.isCanaryReady = isCanaryReady
    }
}
