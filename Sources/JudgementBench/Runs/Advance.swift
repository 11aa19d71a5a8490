// A step that waits for proof that the canary is good enough.

import Analysis

/// A canary in its first step, at 5 % and 5 requests a second, looked at every second.
package struct FirstStep: Sendable {
    package static let mostRequests: UInt64 = 6_000
    package static let defaultReleases = 1_000
    static let tickMilliseconds: Int64 = 1_000

    package let name: String
    package let title: String
    package let canaryFailureRate: Double
    package var judgesLatency = true
    /// Highest median of the requests until the step passes.
    package var medianRequests: Int?
    /// Highest share of releases whose step passes.
    package var passRate: Double?

    /// - Returns: canary requests until the step passed; nil where it did not, or the release was rolled back.
    package func judge(seed: UInt64) -> UInt64? {
        var settings = JudgingSettings()
        if !judgesLatency { settings.latency = nil }
        var world = RequestWorld(seed: seed)
        var release = JudgedRelease(settings: settings, past: world.past(), peers: [])
        world.recordsLatency = judgesLatency
        release.beginStep()
        var now: Int64 = 0
        while release.canary.requests < Self.mostRequests {
            release.note(
                world.pass(
                    now..<now + Self.tickMilliseconds, Conditions(canary: Conduct(failureRate: canaryFailureRate))),
                at: now)
            now += Self.tickMilliseconds
            switch release.look(world.counts(at: now, overdueAfterMilliseconds: 250), at: now) {
            case .advance: return release.canary.requests
            case .rollBack: return nil
            case .hold, .resume, .goOn: continue
            }
        }
        return nil
    }

    package static let all = [
        FirstStep(
            name: "advance", title: "as good as stable, failures alone", canaryFailureRate: 0.001, judgesLatency: false,
            medianRequests: 700),
        FirstStep(
            name: "advance", title: "as good as stable, failures and latency", canaryFailureRate: 0.001),
        FirstStep(
            name: "advance", title: "fails 0.6 points more often, failures alone", canaryFailureRate: 0.007,
            judgesLatency: false, passRate: 0.05),
    ]
}
