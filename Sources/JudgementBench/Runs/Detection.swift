// A canary that is bad: how many of its requests does each rule need?

import Analysis

/// A bad canary, and what Perch has to reach.
package struct BadCanary: Sendable {
    /// Upper limits of what half of the releases, and all but 1 in 20, may need.
    package struct Goal: Hashable, Sendable {
        package var medianRequests: Int?
        package var p95Requests: Int
        package var p95Failures: Int?

        /// - Parameter found: canary requests and failures until each verdict; nil: not found.
        package func isMet(by found: [Tally?]) -> Bool {
            func isWithin(_ limit: Int?, _ share: Double, _ count: (Tally) -> UInt64) -> Bool {
                guard let limit else { return true }
                return (quantile(share, of: found.map { $0.map(count) }) ?? .max) <= UInt64(limit)
            }
            return isWithin(medianRequests, 0.5, \.requests) && isWithin(p95Requests, 0.95, \.requests)
                && isWithin(p95Failures, 0.95, \.failed)
        }

        var text: String {
            let requests = (medianRequests.map { "<= \($0) / " } ?? "p95 <= ") + "\(p95Requests)"
            return requests + (p95Failures.map { ", \($0) failed users" } ?? "")
        }
    }

    package static let tickMilliseconds: Int64 = 250
    /// Once the rules that look at any time have spoken; the others look at whole minutes.
    package static let coarseTickMilliseconds: Int64 = 5_000
    /// Where a release is given up, counted in canary requests since the canary is bad.
    package static let mostRequests: UInt64 = 40_000

    package let name: String
    package let title: String
    package let share: Int
    package let conduct: Conduct
    /// How long the canary was as good as stable before.
    package var healthyMilliseconds: Int64 = 0
    package var peers: [any ReleaseRule] = JudgedRelease.peers
    package let goal: Goal
    package var defaultReleases = 1_000

    /// One release.
    package struct Outcome: Sendable {
        /// Canary requests and failures since the canary is bad; nil: not found.
        package var perch: Tally?
        /// Requests until each peer's verdict; nil: not found, or stopped while it was healthy.
        package var peers: [UInt64?]
        /// Rules that had stopped the release before, Perch first.
        package var stoppedBefore: [Bool]
    }

    package func judge(seed: UInt64) -> Outcome {
        var world = RequestWorld(seed: seed)
        var release = JudgedRelease(past: world.past(), peers: peers)
        var now: Int64 = 0
        func pass(_ tick: Int64, _ conditions: Conditions) {
            release.note(world.pass(now..<now + tick, conditions), at: now + tick)
            now += tick
            guard release.perch == nil else { return }
            release.look(
                world.counts(at: now, overdueAfterMilliseconds: release.overdueAfterMilliseconds), at: now)
            world.recordsLatency = release.perch == nil
        }
        while now < healthyMilliseconds { pass(HarmlessDay.calmTickMilliseconds, Conditions(share: share)) }
        let before = release.canary
        let stoppedBefore = [release.perch != nil] + release.stops.map { $0 != nil }
        while !release.haveAllStopped, release.canary.requests - before.requests < Self.mostRequests {
            let isFine = release.perch == nil || (release.stops.last ?? nil) == nil && !peers.isEmpty
            let tick =
                isFine && now - healthyMilliseconds < 3_600_000 ? Self.tickMilliseconds : Self.coarseTickMilliseconds
            pass(tick, Conditions(share: share, canary: conduct))
        }
        let since = { (stop: JudgedRelease.Stop?) -> Tally? in
            guard let stop, stop.milliseconds > healthyMilliseconds else { return nil }
            return Tally(
                failed: stop.canary.failed - before.failed, requests: stop.canary.requests - before.requests)
        }
        return Outcome(
            perch: since(release.perch), peers: release.stops.map { since($0)?.requests }, stoppedBefore: stoppedBefore)
    }

    package static let errors: [BadCanary] =
        [
            (0.05, Goal(medianRequests: 90, p95Requests: 220, p95Failures: 8)),
            (0.5, Goal(p95Requests: 13)),
            (0.01, Goal(medianRequests: 1_000, p95Requests: 2_400)),
        ]
        .flatMap { (rate: Double, goal: Goal) in
            [100, 500, 1_000].map { share in
                let percent = Int(rate * 100)
                return BadCanary(
                    name: "errors-\(percent)", title: "\(percent) %, share \(share / 100) %", share: share,
                    conduct: Conduct(failureRate: rate), goal: goal, defaultReleases: rate < 0.05 ? 500 : 1_000)
            }
        } + [
            BadCanary(
                name: "late", title: "5 % after 6 healthy hours, share 5 %", share: 500,
                conduct: Conduct(failureRate: 0.05), healthyMilliseconds: 6 * 3_600_000,
                goal: Goal(medianRequests: 160, p95Requests: 320), defaultReleases: 500)
        ]

    package static let latency: [BadCanary] = [
        ("2 times as slow", LatencyShape(factor: 2), Goal(medianRequests: 25, p95Requests: 50)),
        ("1.5 times as slow", LatencyShape(factor: 1.5), Goal(medianRequests: 100, p95Requests: 200)),
        (
            "5 % of the requests 500 ms slower", LatencyShape(delayedShare: 0.05, extraMicroseconds: 500_000),
            Goal(medianRequests: 180, p95Requests: 420)
        ),
    ].map { title, shape, goal in
        BadCanary(
            name: "latency", title: "\(title), share 5 %", share: 500, conduct: Conduct(latency: shape), peers: [],
            goal: goal)
    }
}
