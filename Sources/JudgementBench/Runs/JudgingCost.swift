// What one look costs.

import Analysis
import Glibc

/// Processor time of ``ReleaseTest/judge(_:)`` with the default metrics: failures and three quantiles of latency.
package struct JudgingCost: Sendable {
    package static let metrics = 4
    /// Microseconds that a look and a metric may take.
    package static let goalMicroseconds = 20.0

    package let looks: Int
    package let microsecondsPerMetric: Double

    /// Measures looks, each with news of 5 canary and 95 stable requests, at the third of three shares.
    ///
    /// - Parameter batches: the fastest counts: caches that others have emptied do not.
    package static func measure(batches: Int = 10, looks: Int = 2_000, seed: UInt64 = 1) -> JudgingCost {
        var world = RequestWorld(seed: seed)
        var release = JudgedRelease(past: world.past(), peers: [])
        release.beginStep()
        var now: Int64 = 0
        for share in [100, 250] {
            _ = world.pass(now..<now + 1_000, Conditions(share: share))
            now += 1_000
        }
        var fastest = Double.infinity
        for _ in 0..<batches {
            var spent = 0.0
            for _ in 0..<looks {
                _ = world.pass(now..<now + 1_000, Conditions())
                now += 1_000
                let counts = world.counts(at: now, overdueAfterMilliseconds: release.overdueAfterMilliseconds)
                let began = processorMicroseconds()
                release.look(counts, at: now)
                spent += processorMicroseconds() - began
            }
            fastest = min(fastest, spent)
        }
        return JudgingCost(looks: batches * looks, microsecondsPerMetric: fastest / Double(looks * metrics))
    }

    /// What this thread has used so far; waiting for a processor is not counted.
    private static func processorMicroseconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }
}
