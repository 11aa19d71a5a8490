// Goal: the judge, as releases call it, reaches its goals. Method: a small part of the comparison from fixed seeds; each
// count may be as large as its exact binomial limit, so that a judge which just reaches its goals fails one of these tests
// with probability <= 1e-4.

import Testing

@testable import JudgementBench

@Suite struct SubsetTests {
    /// The tests look at ten counts.
    private func expect(_ count: Int, of trials: Int, atMost goal: Double, _ what: Comment) {
        let ceiling = Proportion.ceiling(goal: goal, trials: trials, tail: 1e-5)
        #expect(count <= ceiling, "\(what): \(count) of \(trials), at most \(ceiling) where \(goal) is the goal")
    }

    @Test(arguments: ["quiet", "incidents", "ramp"])
    func `a canary that is no worse is rolled back in at most 1 of 100 releases`(name: String) throws {
        let releases = 10
        let rolledBack = try (0..<releases).count { number in
            let seed = Comparison.seed(name, number)
            var day = try #require(HarmlessDay.all(seed: seed).first { $0.name == name })
            // The first incident is after an hour.
            day.lasts = 4_500_000
            return day.judge(seed: seed).perch != nil
        }
        expect(rolledBack, of: releases, atMost: 0.01, "\(name)")
    }

    @Test(arguments: [("5 %, share 5 %", 40), ("50 %, share 5 %", 60)])
    func `a bad canary is rolled back as soon as the goals say`(title: String, releases: Int) throws {
        var bad = try #require(BadCanary.errors.first { $0.title == title })
        bad.peers = []
        let found = (0..<releases).map { bad.judge(seed: Comparison.seed(title, $0)).perch }
        let requests = found.map { $0?.requests ?? .max }
        if let most = bad.goal.medianRequests {
            expect(requests.count { $0 > most }, of: releases, atMost: 0.5, "over \(most) requests")
        }
        expect(
            requests.count { $0 > bad.goal.p95Requests }, of: releases, atMost: 0.05,
            "over \(bad.goal.p95Requests) requests")
        if let most = bad.goal.p95Failures {
            expect(
                found.count { $0.map { $0.failed > most } ?? true }, of: releases, atMost: 0.05, "over \(most) users")
        }
    }

    @Test func `a step passes soon if the canary is good, and seldom if it fails 0.6 points more often`() throws {
        let releases = 20
        let good = try #require(FirstStep.all.first { $0.medianRequests != nil })
        let goal = try #require(good.medianRequests)
        let late = (0..<releases).count { (good.judge(seed: Comparison.seed(good.title, $0)) ?? .max) > goal }
        expect(late, of: releases, atMost: 0.5, "not within \(goal) requests")
        let bad = try #require(FirstStep.all.first { $0.passRate != nil })
        let passed = (0..<releases / 2).count { bad.judge(seed: Comparison.seed(bad.title, $0)) != nil }
        expect(passed, of: releases / 2, atMost: bad.passRate ?? 0, "passed though it is worse")
    }
}
