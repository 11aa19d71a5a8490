// Goal: a plan says what the judge then does, and warns of what is too short. Method: the plan against releases simulated
// tick by tick through the whole judge, from fixed seeds; stories for the words.

import Foundation
import Testing

@testable import Analysis

@Suite struct PlanTests {
    private let known = ContingencyTable.Trials(bad: 100, total: 100_000)

    private func plan(
        _ steps: [(share: Int, seconds: Int64)], settings: JudgingSettings = .errorsOnly, perSecond: Double = 100,
        users: UInt64? = nil, rates: [Double] = [1, 0.5, 0.05, 0.01], runs: Int = 200
    ) -> Plan {
        Plan(
            settings: settings,
            steps: steps.map { .init(share: $0.share, shortestMilliseconds: $0.seconds * 1_000) },
            stable: known, traffic: .init(unitsPerSecond: perSecond, knownUsers: users), rates: rates, runs: runs)
    }

    /// Milliseconds until the judge rolls back a canary that fails like this from the beginning of the last step.
    private func judged(_ steps: [(share: Int, seconds: Int64)], rate: Double, seed: UInt64) -> Int64? {
        var generator = SeededGenerator(seed: seed)
        var release = Rehearsal()
        for (index, step) in steps.enumerated() {
            release.beginStep(seconds: step.seconds)
            let isLast = index == steps.count - 1
            let began = release.now
            // Healthy steps pass slowly, a failing canary is looked at four times a second.
            let milliseconds: Int64 = isLast ? 250 : 5_000
            for _ in 0..<(isLast ? 2_000 : step.seconds / 5) {
                let all = 0.1 * Double(milliseconds), weight = Double(step.share) / 10_000
                let canary = generator.arrivals(all * weight), stable = generator.arrivals(all * (1 - weight))
                let bad = generator.binomial(canary, isLast ? rate : 0.001), other = generator.binomial(stable, 0.001)
                release.router.settle(
                    share: step.share, stable: Answers(answered: stable - other, failed: other),
                    canary: Answers(answered: canary - bad, failed: bad))
                if release.look(afterMilliseconds: milliseconds).verdict != nil, isLast { return release.now - began }
            }
        }
        return nil
    }

    private func quantiles(_ values: [Int64?]) -> (median: Double, p95: Double) {
        let sorted = values.map { $0.map(Double.init) ?? .infinity }.sorted()
        return (sorted[sorted.count / 2], sorted[sorted.count * 95 / 100])
    }

    @Test func `a canary that is bad from the start is caught when the plan says`() throws {
        let planned = try #require(plan([(500, 60)], rates: [0.05], runs: 200).steps[0].caught.first)
        let simulated = quantiles((0..<120).map { judged([(500, 60)], rate: 0.05, seed: 81 << 32 | $0) })
        #expect(try abs(Double(#require(planned.medianMilliseconds)) / simulated.median - 1) < 0.25, "\(simulated)")
        #expect(try abs(Double(#require(planned.p95Milliseconds)) / simulated.p95 - 1) < 0.35, "\(simulated)")
    }

    @Test func `so is one that turns bad in a later step, when bets were lost on a good one`() throws {
        let steps: [(share: Int, seconds: Int64)] = [(200, 600), (1_000, 60)]
        var settings = JudgingSettings.errorsOnly
        settings.patienceMilliseconds = 0
        let later = try #require(plan(steps, settings: settings, rates: [0.05], runs: 200).steps[1].caught.first)
        let simulated = quantiles((0..<40).map { judged(steps, rate: 0.05, seed: 82 << 32 | $0) })
        #expect(try abs(Double(#require(later.medianMilliseconds)) / simulated.median - 1) < 0.35, "\(simulated)")
        let first = try #require(plan([(1_000, 60)], rates: [0.05]).steps[0].caught.first)
        #expect(try #require(first.medianMilliseconds) < (try #require(later.medianMilliseconds)))
    }

    @Test func `at five canary requests a second a plan has the goals' numbers`() throws {
        let step = plan([(500, 60)], runs: 200).steps[0]
        #expect(step.canaryUnitsPerSecond == 5)
        func requests(_ milliseconds: Int64?) throws -> Double { try Double(#require(milliseconds)) * 5 / 1_000 }
        for (wait, (median, most)) in zip(
            step.caught, [(13, 13), (13, 16), (90, 220), (1_000, 2_400)] as [(Double, Double)])
        {
            #expect(try requests(wait.medianMilliseconds) <= median, "\(wait)")
            #expect(try requests(wait.p95Milliseconds) <= most, "\(wait)")
        }
        #expect(try (500...750).contains(requests(step.proven.medianMilliseconds)))
        #expect(try (1_000...2_600).contains(requests(step.proven.p95Milliseconds)))
    }

    @Test func `latency that has to be proven takes its time, in a dry run it takes none`() throws {
        var settings = JudgingSettings()
        let both = try #require(plan([(500, 60)], settings: settings, rates: []).steps[0].proven.medianMilliseconds)
        settings.latency?.dryRun = true
        let errors = try #require(plan([(500, 60)], settings: settings, rates: []).steps[0].proven.medianMilliseconds)
        #expect(both > errors)
        settings.latency?.dryRun = false
        settings.errorsDryRun = true
        let step = plan([(500, 60)], settings: settings).steps[0]
        #expect(step.caught.allSatisfy { $0.medianMilliseconds == nil } && step.proven.medianMilliseconds != nil)
        #expect(step.warnings.last == "step 1 (5 %): a canary that fails 1 % may pass, it is not caught")
    }

    @Test func `a step that is shorter than its verdict needs is said to be`() {
        let steps = plan([(100, 120), (5_000, 300)], rates: []).steps
        #expect(steps[0].isTooShort && !steps[1].isTooShort)
        let warning = steps[0].warnings.first ?? ""
        #expect(
            warning.hasPrefix(
                "step 1 (1 %): the shortest time is 2 min, but a healthy canary is shown to be good after 1"),
            "\(warning)")
        #expect(
            warning.hasSuffix(" in 1 release of 20; the step lasts until then, and is held from 12 min on"),
            "\(warning)")
        #expect(steps[1].warnings.isEmpty)
        #expect(
            plan([(5_000, 1)], rates: []).steps[0].shortestMilliseconds == 40_000, "the judge adds what has to settle")
    }

    @Test func `users are finite: what takes more than there are is not within the step`() throws {
        var settings = JudgingSettings.errorsOnly
        settings.unit = .user
        let few = plan([(1_000, 60)], settings: settings, perSecond: 5, users: 2_000).steps[0]
        #expect(few.proven.medianMilliseconds == nil && few.isTooShort)
        #expect(
            few.warnings == ["step 1 (10 %): a healthy canary is not shown to be good with 200 users on the canary"])
        #expect(try #require(few.caught[1].p95Milliseconds) < 60_000)
        #expect(few.caught[3].p95Milliseconds == nil)
        let many = plan([(1_000, 60)], settings: settings, perSecond: 5, users: 100_000).steps[0]
        #expect(try #require(many.proven.medianMilliseconds) > 1_000_000)
    }

    @Test func `what is granted may pass, and a plan says so`() {
        var settings = JudgingSettings.errorsOnly
        settings.provenExcess = 0.2
        let step = plan([(500, 60)], settings: settings).steps[0]
        #expect(!step.isTooShort)
        #expect(
            step.warnings.contains {
                $0.hasPrefix("step 1 (5 %): a canary that fails 1 % may pass, it is caught after")
            })
        #expect(!step.warnings.contains { $0.contains("fails 50 %") })
    }

    @Test func `steps without traffic or without a comparison are named`() {
        let steps = plan([(0, 60), (500, 60), (10_000, 60)], perSecond: 0).steps
        #expect(
            steps.map { $0.warnings.first ?? "" } == [
                "step 1 (0 %): there is nobody to compare the canary with, only its limits are judged",
                "step 2 (5 %): there is no traffic, so nothing is known",
                "step 3 (100 %): there is nobody to compare the canary with, only its limits are judged",
            ])
        #expect(steps.allSatisfy { $0.proven.medianMilliseconds == nil && $0.caught.count == 4 })
    }

    @Test func `any traffic is planned for in bounded work, the same each time`() throws {
        for perSecond in [1e-6, 0.01, 1, 1e4, 1e9, .greatestFiniteMagnitude, .infinity] {
            for stable in [
                ContingencyTable.Trials(), .init(bad: 1, total: 1), .init(bad: 1_000_000_000, total: 1_000_000_000),
            ] {
                let plans = (0..<2).map { _ in
                    Plan(
                        settings: JudgingSettings(),
                        steps: [
                            .init(share: 1, shortestMilliseconds: 1),
                            .init(share: 9_999, shortestMilliseconds: .max / 4),
                        ],
                        stable: stable, traffic: .init(unitsPerSecond: perSecond, knownUsers: 5), runs: 2)
                }
                #expect(plans[0] == plans[1] && plans[0].steps.count == 2)
                #expect(try JSONDecoder().decode(Plan.self, from: JSONEncoder().encode(plans[0])) == plans[0])
            }
        }
    }
}
