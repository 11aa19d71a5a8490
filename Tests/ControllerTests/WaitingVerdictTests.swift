// Goal: a verdict that waits for what stable has in flight is kept, and recorded, like every other. Method: readings of a
// router by hand, judged live and from their recorded looks, both written down after every look.

import Analysis
import Controller
import Foundation
import Releases
import Testing
import Traffic

@Suite struct WaitingVerdictTests {
    private let start = Instant(millisecondsSince1970: 1_700_000_000_000)
    private let release = ReleaseID(service: service, number: 2)

    private var policy: Policy {
        var cohort = Policy.Cohort(steps: [.share(Share(basisPoints: 500)!, for: .seconds(60))])
        cohort.by = [.request]
        return Policy(
            service: service, source: .init(repository: "/srv/shop.git"),
            platform: .init(process: .init(command: ["./shop", "{port}"])), traffic: .init(listen: "127.0.0.1:0"),
            cohort: cohort, database: nil)
    }

    private var watched: WatchedPhase {
        let acceptance = Acceptance(
            release: release, commit: second, policy: policy,
            request: ReleaseRequest(commit: second.rawValue, delivery: "d", sender: "test"),
            deadline: start.advanced(by: .hours(1)))
        return ReleaseState.replay([
            Fact(sequence: 1, at: start, body: .accepted(acceptance)),
            Fact(sequence: 2, at: start, body: .phaseEntered(.canary(step: 0), deadline: nil)),
        ]).watched
    }

    private func reading(stable: UInt64, inFlight: UInt64, canaryFailed: UInt64) -> Reading {
        var answered = VersionCounts()
        answered.requests = stable
        answered.statusClasses[1] = stable
        answered.latency.record(microseconds: 50_000, count: stable)
        var failed = VersionCounts()
        failed.requests = canaryFailed
        failed.statusClasses[4] = canaryFailed
        let share = ShareCounts(
            share: 500, stable: ArmCounts(settled: answered, inFlight: inFlight), canary: ArmCounts(settled: failed))
        let report = RouterReport(
            boot: "b", epoch: 1, generation: 1, release: "shop-2", at: 0, stable: answered, canary: failed,
            counts: TrafficCounts(boot: "b", shares: stable == 0 ? [] : [share]), forced: 0, refused: 0,
            inFlightStable: Int(inFlight), inFlightCanary: 0, hold: nil, recent: [])
        return Reading(report)
    }

    private func rewritten<Value: Codable>(_ value: Value) throws -> Value {
        try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(value))
    }

    @Test func `it goes on after a restart, and comes out of the recorded looks to the bit`() throws {
        let readings: [Reading?] = [
            reading(stable: 240, inFlight: 6, canaryFailed: 0),
            reading(stable: 264, inFlight: 5, canaryFailed: 3),
            nil,
            reading(stable: 288, inFlight: 6, canaryFailed: 3),
        ]
        var progress = WatchProgress(
            watched, after: nil, reading: reading(stable: 0, inFlight: 0, canaryFailed: 0), at: start)
        var rejudging = Rejudging(release, policy: policy)
        rejudging.take(try rewritten(progress.recordedBeginning(after: nil, past: nil, at: start)))
        var verdictAt: Int?
        for (number, reading) in readings.enumerated() {
            let now = Instant(millisecondsSince1970: start.millisecondsSince1970 + Int64(number + 1) * 200)
            progress = try rewritten(progress)
            let (look, recorded) = progress.judge(reading, watched, isCanaryReady: true, at: now)
            rejudging.take(try rewritten(recorded))
            #expect(rejudging.progress == progress, "look \(number)")
            if case .rollBack = look { verdictAt = verdictAt ?? number }
        }
        // W is above 100 at the second look; the third has no news, and at the fourth stable has answered.
        #expect(verdictAt == 3 && rejudging.endedAt != nil)
        #expect(progress.release.wealth >= 100)
    }
}
