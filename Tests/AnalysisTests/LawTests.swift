// Goal: the laws of the tests hold for the whole judge with every kind of metric, whatever it is told. Method: random and
// extreme stories from fixed seeds, laws checked after each tick.

import Foundation
import Testing

@testable import Analysis

@Suite struct LawTests {
    private static var settings: JudgingSettings {
        var settings = JudgingSettings()
        settings.routes = ["/a", "/b"]
        settings.external = [.init(name: "x", weight: 0.3), .init(name: "y", weight: 0.1)]
        return settings
    }

    /// A router's second: requests of both versions, split over two routes and the rest.
    private func second(_ router: inout FakeRouter, _ generator: inout SeededGenerator, share: Int, failing: Double) {
        func answers(_ mean: Double) -> Answers {
            let count = generator.arrivals(mean), failed = generator.binomial(count, failing)
            return Answers(
                answered: count - failed, failed: failed, aborted: generator.binomial(2, 0.1),
                microseconds: UInt64(20_000 * (1 + 3 * generator.unit())))
        }
        let stable = answers(45), canary = answers(5)
        router.settle(share: share, stable: stable, canary: canary)
        router.change(share) { counts in
            var routes = counts.routes ?? [RouteCounts(route: "/a"), RouteCounts(route: "/b")]
            for index in routes.indices {
                func add(_ arm: inout RouteArm, _ answers: Answers) {
                    arm.requests += (answers.answered + answers.failed) / 2
                    arm.failures += answers.failed / 2
                    var users = arm.users ?? UserCounts()
                    users.seen += answers.answered / 3
                    users.failed += min(answers.failed, users.seen - users.failed)
                    arm.users = users
                }
                add(&routes[index].stable, stable)
                add(&routes[index].canary, canary)
            }
            counts.routes = routes
            counts.stable.overdue = generator.binomial(3, 0.1)
        }
    }

    private func external(_ generator: inout SeededGenerator) -> [ExternalCounts] {
        (0..<generator.next() % 4).map { index in
            ExternalCounts(
                metric: ["x", "y", "unknown"][Int(index % 3)],
                table: ContingencyTable(
                    generator.pick([0.05, 0.1]), generator.binomial(5, 0.01), 5, generator.binomial(95, 0.01), 95))
        }
    }

    @Test func `routers, shares, routes and external counts may be told in any order`() {
        var generator = SeededGenerator(seed: 101)
        var tests = [ReleaseTest](repeating: ReleaseTest(settings: Self.settings, at: 0), count: 2)
        var routers = ["a", "b"].map { FakeRouter(boot: $0) }
        for now in 1...60 as ClosedRange<Int64> {
            for index in routers.indices {
                for share in [500, 1_000] { second(&routers[index], &generator, share: share, failing: 0.01) }
            }
            let counts = routers.map(\.counts), external = external(&generator)
            let shuffled = counts.reversed().map { counts in
                var counts = counts
                counts.shares.shuffle(using: &generator)
                for index in counts.shares.indices { counts.shares[index].routes?.reverse() }
                return counts
            }
            let first = tests[0].judge(Tick(at: now * 1_000, counts: counts, external: external))
            let second = tests[1].judge(Tick(at: now * 1_000, counts: shuffled, external: external.reversed()))
            #expect(first == second && tests[0].wealth.bitPattern == tests[1].wealth.bitPattern)
            #expect(tests[0].evidence == tests[1].evidence)
        }
    }

    @Test(arguments: JudgingSettings.Unit.allCases)
    func `a judge with routes and external metrics goes on to the last bit after it was written down`(
        _ unit: JudgingSettings.Unit
    ) throws {
        var settings = Self.settings
        settings.unit = unit
        var generator = SeededGenerator(seed: 102)
        var kept = Rehearsal(settings)
        kept.beginStep()
        var restored = kept.test
        for now in 1...80 as ClosedRange<Int64> {
            second(&kept.router, &generator, share: 1_000, failing: 0.01)
            let tick = Tick(at: kept.now + now * 1_000, counts: [kept.router.counts], external: external(&generator))
            restored = try JSONDecoder().decode(ReleaseTest.self, from: JSONEncoder().encode(restored))
            let again = try JSONDecoder().decode(Tick.self, from: JSONEncoder().encode(tick))
            #expect(kept.test.judge(tick) == restored.judge(again))
            try #require(restored == kept.test, "second \(now)")
            #expect(restored.wealth.bitPattern == kept.test.wealth.bitPattern)
        }
        #expect(kept.test.routes.allSatisfy { $0.errors.canary.total > 0 })
        #expect(kept.test.external.contains { $0.errors.canary.total > 0 })
    }

    @Test func `W rises only when the canary fails, on a route or elsewhere`() {
        var settings = Self.settings
        settings.latency = nil
        settings.falseAlarmRate = 0
        var generator = SeededGenerator(seed: 103)
        var release = Rehearsal(settings)
        for _ in 0..<800 {
            let before = release.test.wealth
            let share = Int(generator.pick([100, 500, 5_000]))
            let isStable = generator.next() % 2 == 0, isFailure = generator.next() % 3 == 0
            let onRoute = generator.next() % 3 == 0
            let count = generator.next() % 4 + 1
            let answers = isFailure ? Answers(failed: count) : Answers(answered: count)
            release.router.settle(
                share: share, stable: isStable ? answers : Answers(), canary: isStable ? Answers() : answers)
            release.router.change(share) { counts in
                var route = counts.routes?.first ?? RouteCounts(route: "/a")
                let arm = isStable ? \RouteCounts.stable : \.canary
                if onRoute {
                    route[keyPath: arm].requests += count
                    if isFailure { route[keyPath: arm].failures += count }
                }
                counts.routes = [route]
            }
            _ = release.look()
            let canaryFailed = isFailure && !isStable
            if !canaryFailed { #expect(release.test.wealth <= before * (1 + 1e-15)) }
            if canaryFailed { #expect(release.test.wealth > before * (1 - 1e-15)) }
        }
    }

    @Test func `no counts up to 1e9 and no rates in [0, 1] make anything infinite or nothing`() {
        let rates = [0, 1e-300, 0.5, 1 - .ulpOfOne / 2, 1]
        let counts: [UInt64] = [0, 1, 1_000_000_000]
        for rate in rates {
            var settings = Self.settings
            settings.falseAlarmRate = rate
            settings.errors = ErrorNull(ratio: rate, excess: min(rate, 1 - .ulpOfOne / 2))
            settings.provenExcess = rate
            settings.limits = AbsoluteLimits(
                errorsMaxBasisPoints: Int(rate * 10_000),
                latency: [.init(perMille: Int(rate * 1_000), maxMicroseconds: 0)])
            settings.latency?.quantiles = [.init(perMille: Int(rate * 1_000), provenExcess: rate)]
            settings.latency?.margin = rate
            settings.latency?.pauseAbove = rate
            (settings.errorsWeight, settings.latencyWeight) = (rate, 1 - rate)
            for unit in JudgingSettings.Unit.allCases {
                settings.unit = unit
                for failed in counts {
                    for answered in counts {
                        var release = Rehearsal(settings)
                        release.beginStep()
                        for share in [0, 1, 5_000, 9_999, 10_000] {
                            let answers = Answers(answered: answered, failed: failed)
                            release.router.settle(share: share, stable: answers, canary: answers)
                            release.router.change(share) { counts in
                                let users = UserCounts(seen: answered + failed, failed: failed)
                                let arm = RouteArm(requests: answered + failed, failures: failed, users: users)
                                counts.routes = [RouteCounts(route: "/a", stable: arm, canary: arm)]
                                (counts.stable.users, counts.canary.users) = (users, users)
                                (counts.stable.overdue, counts.canary.overdue) = (failed, answered)
                            }
                            _ = release.look(afterMilliseconds: 90_000)
                        }
                        let test = release.test
                        #expect(test.wealth.isFinite && test.wealth >= 0, "\(rate) \(failed) \(answered)")
                        #expect(
                            test.evidence.allSatisfy {
                                $0.wealth.isFinite && $0.wealth > 0 && $0.share.isFinite
                                    && $0.proof.map { $0.evidence.isFinite && $0.evidence > 0 } ?? true
                            }, "\(rate) \(failed) \(answered)")
                        if let verdict = test.verdict {
                            #expect(!verdict.sentence(release: "v42").lowercased().contains("nan"))
                        }
                    }
                }
            }
        }
    }

    @Test func `routes and external metrics share the one alpha`() {
        var settings = Self.settings
        settings.latency = nil
        settings.falseAlarmRate = 0.1
        settings.minimumFailures = 1
        let releases = 150
        var rolledBack = 0
        for seed in 0..<releases as Range<Int> {
            var generator = SeededGenerator(seed: 104 << 32 | UInt64(seed))
            var release = Rehearsal(settings)
            for tick in 0..<60 {
                // The canary uses up its excess on every route, and a third of both fails now and then.
                let base = tick % 20 == 19 ? 0.3 : 0.002
                func arm(_ mean: Double, _ rate: Double) -> RouteArm {
                    let requests = generator.arrivals(mean)
                    return RouteArm(requests: requests, failures: generator.binomial(requests, rate))
                }
                let routes = ["/a", "/b", "rest"].map {
                    RouteCounts(route: $0, stable: arm(90, base), canary: arm(10, base + 0.001))
                }
                release.router.change(1_000) { counts in
                    let before = counts.routes
                    counts.routes = routes
                    for index in routes.indices {
                        if let earlier = before?[index] {
                            counts.routes?[index].stable.add(earlier.stable)
                            counts.routes?[index].canary.add(earlier.canary)
                        }
                    }
                }
                func all(_ arm: KeyPath<RouteCounts, RouteArm>) -> Answers {
                    let requests = routes.reduce(0) { $0 + $1[keyPath: arm].requests }
                    let failed = routes.reduce(0) { $0 + $1[keyPath: arm].failures }
                    return Answers(answered: requests - failed, failed: failed)
                }
                release.router.settle(share: 1_000, stable: all(\.stable), canary: all(\.canary))
                release.now += 60_000
                let other = arm(10, base + 0.001), stable = arm(90, base)
                let judgement = release.test.judge(
                    Tick(
                        at: release.now, counts: [release.router.counts],
                        external: [
                            .init(
                                metric: "x",
                                table: ContingencyTable(
                                    0.1, other.failures, other.requests, stable.failures, stable.requests))
                        ]))
                if judgement.verdict != nil {
                    rolledBack += 1
                    break
                }
            }
        }
        let ceiling = binomialCeiling(trials: releases, probability: 0.1)
        #expect(rolledBack <= ceiling, "\(rolledBack) of \(releases), at most \(ceiling)")
    }
}
