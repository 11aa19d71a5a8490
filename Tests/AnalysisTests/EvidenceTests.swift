// Goal: what people see is what the judge knows. Method: the whole judge, with every kind of metric.

import Foundation
import Testing

@testable import Analysis

@Suite struct EvidenceTests {
    private var settings: JudgingSettings {
        var settings = JudgingSettings()
        settings.routes = ["/checkout"]
        settings.external = [
            .init(name: "payments", weight: 0.5), .init(name: "mails", weight: 9, dryRun: true),
        ]
        return settings
    }

    private func release() -> Rehearsal {
        var past = VersionCounts()
        past.settle(Answers(answered: 2_000))
        var release = Rehearsal(settings, past: past)
        release.beginStep()
        for second in 1...60 as ClosedRange<UInt64> {
            release.router.change(500) { counts in
                counts.routes = [
                    RouteCounts(
                        route: "/checkout", stable: RouteArm(requests: 19 * second),
                        canary: RouteArm(requests: second, failures: second >= 40 ? 1 : 0))
                ]
            }
            _ = release.healthy(seconds: 1)
        }
        release.now += 1_000
        _ = release.test.judge(
            Tick(
                at: release.now, counts: [],
                external: [.init(metric: "payments", table: ContingencyTable(0.05, 1, 50, 2, 950))]))
        return release
    }

    @Test func `every metric is shown, with its part in W`() throws {
        let test = release().test
        let evidence = test.evidence
        #expect(
            evidence.map(\.metric.description) == [
                "errors", "errors of /checkout", "p50", "p95", "p99", "payments", "mails",
            ])
        #expect(evidence.map(\.isDryRun) == [false, false, false, false, false, false, true])
        // 0.6, 0.4 and 0.5 of 1.5; failures and their only route have half of 0.6 each.
        let expected = [0.2, 0.2, 0.4 / 1.5, 0.4 / 1.5, 0.4 / 1.5, 0.5 / 1.5, 0]
        #expect(zip(evidence.map(\.share), expected).allSatisfy { abs($0 - $1) < 1e-12 })
        let latency = evidence[2...4].map(\.wealth).reduce(0, +) / 3
        let counted = 0.2 * evidence[0].wealth + 0.2 * evidence[1].wealth + 0.4 / 1.5 * latency
        #expect(distance(test.wealth, max(counted, evidence[5].wealth / 3)) < 1e-12)
        #expect(test.settings.rollbackEvidence == 100)
        #expect(evidence[0].canary == .init(bad: 0, total: 300) && evidence[0].stable.total == 5_700)
        #expect(evidence[1].canary == .init(bad: 1, total: 60) && evidence[1].wealth > 1)
        #expect(evidence[5].canary == .init(bad: 1, total: 50) && distance(evidence[6].wealth, 1) < 1e-12)
    }

    @Test func `what is still needed is that of each metric, nothing where it is there`() throws {
        var release = release()
        let before = release.test.evidence
        #expect(before.map { $0.proof?.isGating } == [true, false, true, true, true, nil, nil])
        #expect(before.allSatisfy { $0.proof?.limit ?? 20 == 20 })
        let needed = try #require(before[0].proof?.needed)
        #expect((300...450).contains(needed), "\(needed)")
        #expect(try #require(before[1].proof?.needed) > needed, "its one failure has to be made up for")
        _ = release.healthy(seconds: 120)
        let errors = try #require(release.test.evidence[0].proof)
        #expect(errors.evidence >= 20 && errors.needed == 0)
    }

    @Test func `nothing is needed that cannot be said, before the first request`() {
        let evidence = ReleaseTest(settings: settings, at: 0).evidence
        #expect(evidence.count == 7 && evidence.allSatisfy { $0.wealth == 1 && $0.proof?.needed == nil })
    }

    @Test func `canary requests that hang are in it as failed`() throws {
        var release = release()
        let before = try #require(release.test.evidence[0].proof?.evidence)
        release.router.change(500) { $0.canary.overdue = 2 }
        _ = release.look()
        #expect(try #require(release.test.evidence[0].proof?.evidence) < before / 20)
    }

    @Test func `evidence can be written down`() throws {
        let evidence = release().test.evidence
        #expect(try JSONDecoder().decode([MetricEvidence].self, from: JSONEncoder().encode(evidence)) == evidence)
    }
}
