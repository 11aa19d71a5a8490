// What one look costs.

import Analysis

/// Time of ``ReleaseTest/judge(_:)`` with the default metrics: failures and three quantiles of latency.
package struct JudgingCost: Sendable {
    package static let metrics = 4
    /// Microseconds that a look and a metric may take.
    package static let goalMicroseconds = 20.0

    package let looks: Int
    package let microsecondsPerMetric: Double

    /// Measures looks, each with news of 5 canary and 95 stable requests, at the third of three shares.
    ///
    /// - Parameter batches: the fastest counts, so that a busy machine does not.
    package static func measure(batches: Int = 10, looks: Int = 2_000, seed: UInt64 = 1) -> JudgingCost {
        var world = RequestWorld(seed: seed)
        var release = JudgedRelease(past: world.past(), peers: [])
        release.beginStep()
        var now: Int64 = 0
        for share in [100, 250] {
            _ = world.pass(now..<now + 1_000, Conditions(share: share))
            now += 1_000
        }
        var fastest = Duration.seconds(3_600)
        for _ in 0..<batches {
            var spent = Duration.zero
            for _ in 0..<looks {
                _ = world.pass(now..<now + 1_000, Conditions())
                now += 1_000
                let counts = world.counts(at: now, overdueAfterMilliseconds: release.overdueAfterMilliseconds)
                let began = ContinuousClock.now
                release.look(counts, at: now)
                spent += ContinuousClock.now - began
            }
            fastest = min(fastest, spent)
        }
        return JudgingCost(
            looks: batches * looks, microsecondsPerMetric: fastest / .microseconds(1) / Double(looks * metrics))
    }
}
