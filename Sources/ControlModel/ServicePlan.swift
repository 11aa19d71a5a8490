// How long a release of a service is likely to take at its present traffic: a document of /api/v1.

package import Analysis
package import Releases

package struct ServicePlan: Hashable, Sendable, Codable {
    /// Seconds in half of all releases, and in 19 of 20; nil: not within the longest release, or with the users there are.
    package struct Wait: Hashable, Sendable, Codable {
        package var median: Double?
        package var p95: Double?

        init(_ wait: Plan.Wait) {
            median = wait.medianMilliseconds.map { Double($0) / 1_000 }
            p95 = wait.p95Milliseconds.map { Double($0) / 1_000 }
        }
    }

    package struct Step: Hashable, Sendable, Codable {
        /// `5% for 2m`
        package var step: String
        package var canaryUnitsPerSecond: Double
        /// Seconds that the step lasts at least.
        package var shortest: Double
        /// Until a canary with each of ``ServicePlan/rates`` is rolled back.
        package var caught: [Wait]
        /// Until a canary that is as good as stable is shown to be.
        package var proven: Wait
        package var warnings: [String]

        package init(_ planned: Plan.PlannedStep, step: String) {
            self.step = step
            canaryUnitsPerSecond = planned.canaryUnitsPerSecond
            shortest = Double(planned.shortestMilliseconds) / 1_000
            caught = planned.caught.map(Wait.init)
            proven = Wait(planned.proven)
            warnings = planned.warnings
        }
    }

    package var service: ServiceName
    /// `request` or `user`: what the coin is tossed for.
    package var unit: String
    /// Both versions together; of users, those that were not seen in the step before.
    package var unitsPerSecond: Double
    /// Different users there are; nil where requests are counted, and where it is not known.
    package var knownUsers: UInt64?
    /// What the traffic was read from, a sentence.
    package var basis: String
    package var stableFailures: UInt64
    package var stableTotal: UInt64
    /// Failure rates of a bad canary, 0...1.
    package var rates: [Double]
    package var steps: [Step]

    package init(
        service: ServiceName, unit: String, unitsPerSecond: Double, knownUsers: UInt64?, basis: String,
        stableFailures: UInt64, stableTotal: UInt64, rates: [Double], steps: [Step]
    ) {
        self.service = service
        self.unit = unit
        self.unitsPerSecond = unitsPerSecond
        self.knownUsers = knownUsers
        self.basis = basis
        self.stableFailures = stableFailures
        self.stableTotal = stableTotal
        self.rates = rates
        self.steps = steps
    }
}
