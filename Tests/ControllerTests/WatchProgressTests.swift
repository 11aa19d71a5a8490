// Goal: with a sticky cohort a slow canary is judged by its latency limits. Method: readings of a router by hand.

import Analysis
import Controller
import Releases
import Testing
import Traffic

@Suite struct WatchProgressTests {
    private static func state(p99 limit: Span) -> ReleaseState {
        var cohort = Policy.Cohort(steps: [.share(Share(basisPoints: 1_000)!, for: .seconds(60))])
        cohort.by = [.cookie("session")]
        var policy = Policy(
            service: service, source: .init(repository: "/srv/shop.git"),
            platform: .init(process: .init(command: ["./shop", "{port}"])), traffic: .init(listen: "127.0.0.1:0"),
            cohort: cohort, database: nil)
        policy.watch.latency.max = [.init(quantilePerMille: 990, max: limit)]
        let begin = Instant(millisecondsSince1970: 0)
        let acceptance = Acceptance(
            release: ReleaseID(service: service, number: 2), commit: second, policy: policy,
            request: ReleaseRequest(commit: second.rawValue, delivery: "d", sender: "test"),
            deadline: begin.advanced(by: .hours(1)))
        return ReleaseState.replay([
            Fact(sequence: 1, at: begin, body: .accepted(acceptance)),
            Fact(sequence: 2, at: begin, body: .phaseEntered(.canary(step: 0), deadline: nil)),
        ])
    }

    private static func reading(canaryMilliseconds: UInt64 = 0, count: UInt64) -> Reading {
        func answered(_ count: UInt64, _ milliseconds: UInt64) -> VersionCounts {
            var counts = VersionCounts()
            counts.requests = count
            counts.statusClasses[1] = count
            counts.latency.record(microseconds: milliseconds * 1_000, count: count)
            return counts
        }
        let (stable, canary) = (answered(count * 9, 5), answered(count, canaryMilliseconds))
        let users = UserCounts(seen: 5, failed: 0)
        let share = ShareCounts(
            share: 1_000, stable: ArmCounts(settled: stable, users: users),
            canary: ArmCounts(settled: canary, users: users))
        let report = RouterReport(
            boot: "b", epoch: 1, generation: 1, release: "shop-2", at: 0, stable: stable, canary: canary,
            counts: TrafficCounts(boot: "b", shares: count == 0 ? [] : [share]), forced: 0, refused: 0,
            inFlightStable: 0, inFlightCanary: 0, hold: nil, recent: [])
        return Reading(report)
    }

    @Test(arguments: [(Span.milliseconds(100), true), (.seconds(1), false)])
    func `a canary over its latency limit goes back, one within it does not`(limit: Span, isOver: Bool) {
        let watched = Self.state(p99: limit).watched
        let now = Instant(millisecondsSince1970: 1_000)
        var progress = WatchProgress(watched, after: nil, reading: Self.reading(count: 0), at: now)
        let (look, _) = progress.judge(
            Self.reading(canaryMilliseconds: 500, count: 20), watched, isCanaryReady: true, at: now)
        if case .rollBack(let verdict) = look {
            #expect(isOver && verdict.leading == .latency(perMille: 990))
        } else {
            #expect(!isOver)
        }
    }
}
