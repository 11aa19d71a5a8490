// What traffic and both versions are like for a while.

/// How a version answers.
package struct Conduct: Hashable, Sendable {
    package var failureRate: Double
    package var latency = LatencyShape()
    /// A request that fails does so this long after it began: 0 is at once, otherwise it is a timeout.
    package var failsAfterMilliseconds: Int64 = 0

    package init(failureRate: Double = 0.001, latency: LatencyShape = LatencyShape(), failsAfterMilliseconds: Int64 = 0)
    {
        self.failureRate = failureRate
        self.latency = latency
        self.failsAfterMilliseconds = failsAfterMilliseconds
    }
}

/// A client that tries again at once what failed.
package struct Retries: Hashable, Sendable {
    /// After the first try.
    package var most = 2
    /// Of the tries that follow a failure, how many fail.
    package var failureRate = 0.5

    package init() {}
}

/// What holds at one moment.
package struct Conditions: Hashable, Sendable {
    /// The canary's share in basis points.
    package var share = 500
    package var canaryPerSecond = 5.0
    package var canary = Conduct()
    package var stable = Conduct()
    package var retries: Retries?

    package init() {}

    package init(
        share: Int = 500, canaryPerSecond: Double = 5, canary: Conduct = Conduct(), stable: Conduct = Conduct()
    ) {
        self.share = share
        self.canaryPerSecond = canaryPerSecond
        self.canary = canary
        self.stable = stable
    }

    var weight: Double { Double(share) / 10_000 }
    var stablePerSecond: Double { canaryPerSecond * (1 - weight) / weight }
}
