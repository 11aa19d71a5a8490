// A release judged again from what was recorded of it: a document of /api/v1.

package import Releases

/// What a policy would have decided about a release, and when.
package struct Simulation: Hashable, Sendable, Codable {
    /// The first look at which the decision was another one.
    package struct Turn: Hashable, Sendable, Codable {
        package var at: String
        /// The phase that the release was in.
        package var phase: String
        /// `begins`, `go-on`, `hold`, `advance`, `resume` or `roll-back`.
        package var decision: String
        package var why: String
        /// Of the whole release, at this moment.
        package var canaryRequests: UInt64
        package var canaryFailures: UInt64

        package init(
            at: String, phase: String, decision: String, why: String, canaryRequests: UInt64, canaryFailures: UInt64
        ) {
            self.at = at
            self.phase = phase
            self.decision = decision
            self.why = why
            self.canaryRequests = canaryRequests
            self.canaryFailures = canaryFailures
        }
    }

    package var release: ReleaseID
    /// Looks that were taken in; those after a `roll-back` are not.
    package var looks: Int
    package var turns: [Turn]
    /// When this policy would have rolled the release back; nil: it would not have.
    package var rolledBackAt: String?
    /// Evidence against the canary at the last look, and the evidence that rolls back.
    package var wealth: Double?
    package var limit: Double?
    /// How the release went, as it was.
    package var actual: String

    package init(
        release: ReleaseID, looks: Int, turns: [Turn], rolledBackAt: String?, wealth: Double?, limit: Double?,
        actual: String
    ) {
        self.release = release
        self.looks = looks
        self.turns = turns
        self.rolledBackAt = rolledBackAt
        self.wealth = wealth
        self.limit = limit
        self.actual = actual
    }
}

/// What `perch simulate` asks for.
package struct SimulationRequest: Hashable, Sendable, Codable {
    /// A whole policy as YAML, of which `watch` judges; nil: the policy that the release ran under.
    package var policy: String?
    package init(policy: String? = nil) { self.policy = policy }
}
