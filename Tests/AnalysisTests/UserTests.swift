// Goal: where users stay with a version, users are compared, and a user who keeps failing is one failure. Method: exact
// means over all ways to draw the failing users, and stories.

import Glibc
import Testing

@testable import Analysis

@Suite struct UserTests {
    private static var settings: JudgingSettings {
        var settings = JudgingSettings()
        settings.unit = .user
        return settings
    }

    /// The tables of one tick in which so many users were at risk and so many of them failed.
    private func drawn(atRisk: (canary: Int, stable: Int), failed: (canary: Int, stable: Int)) -> ContingencyTable? {
        func arm(_ seen: Int, _ failed: Int) -> ArmCounts {
            ArmCounts(users: UserCounts(seen: UInt64(seen), failed: UInt64(failed)))
        }
        var ledger = CountLedger()
        let share = ShareCounts(
            share: 500, stable: arm(atRisk.stable, failed.stable), canary: arm(atRisk.canary, failed.canary))
        let news = ledger.take(TrafficCounts(boot: "a", shares: [share]), at: 0) ?? []
        return Observation(news, settings: Self.settings).units.settled.first
    }

    /// How likely it is that so many of the failing users are on the canary, from the ratios of neighbouring terms.
    private func hypergeometric(canary: Int, stable: Int, failing: Int) -> [(onCanary: Int, mass: Double)] {
        let least = max(0, failing - stable), most = min(canary, failing)
        // Relative to the likeliest, so that none of the large ones is rounded away.
        let mode = min(max((failing + 1) * (canary + 1) / (canary + stable + 2), least), most)
        func ratio(_ k: Int) -> Double {
            Double((canary - k) * (failing - k)) / Double((k + 1) * (stable - failing + k + 1))
        }
        var masses = [(mode, 1.0)]
        var mass = 1.0
        for k in mode..<most {
            mass *= ratio(k)
            masses.append((k + 1, mass))
        }
        mass = 1
        for k in (least..<mode).reversed() {
            mass /= ratio(k)
            masses.append((k, mass))
        }
        let sum = masses.map(\.1).sorted().reduce(0, +)
        return masses.map { ($0.0, $0.1 / sum) }
    }

    @Test func `whoever fails next among the users at risk, drawn without replacement, earns an expert nothing`() throws
    {
        for (canary, stable) in [(1, 500), (5, 60), (20, 30), (50, 950), (200, 200), (500, 1)] {
            for failing in [1, 2, 5, 17, 40, 41, 60, 61, 200] where failing <= canary + stable {
                var means = Array(repeating: 0.0, count: Experts.shifts.count)
                for (onCanary, mass) in hypergeometric(canary: canary, stable: stable, failing: failing) {
                    let table = try #require(
                        drawn(atRisk: (canary, stable), failed: (onCanary, failing - onCanary)))
                    #expect(table.weight == Double(canary) / Double(canary + stable))
                    let factors = ErrorFactors(weight: table.weight, null: Self.settings.errorNull)
                    for expert in means.indices {
                        means[expert] +=
                            mass
                            * exp(
                                power(factors.canaryFailed[expert], table.canary.bad)
                                    + power(factors.canaryAnswered[expert], table.canary.good)
                                    + power(factors.stableFailed[expert], table.stable.bad))
                    }
                }
                #expect(means.allSatisfy { $0 <= 1 + 1e-12 }, "\(canary) \(stable) \(failing): \(means)")
                if failing == 1 { #expect(means.allSatisfy { abs($0 - 1) < 1e-12 }) }
            }
        }
    }

    @Test func `the risk set is who was seen and has not failed before`() {
        var release = Rehearsal(Self.settings)
        release.router.change(1_000) { counts in
            counts.canary.users = UserCounts(seen: 10, failed: 4)
            counts.stable.users = UserCounts(seen: 90, failed: 2)
        }
        _ = release.look()
        var ledger = release.test.ledger
        release.router.change(1_000) { counts in
            counts.canary.users = UserCounts(seen: 12, failed: 5)
            counts.stable.users = UserCounts(seen: 98, failed: 2)
        }
        let news = ledger.take(release.router.counts, at: 0)
        #expect(news?.first?.canaryUsers.atRisk == 8 && news?.first?.stableUsers.atRisk == 96)
    }

    @Test func `users who fail again and again count once, and requests not at all`() {
        var release = Rehearsal(Self.settings)
        release.router.change(500) { counts in
            counts.canary.users = UserCounts(seen: 50, failed: 1)
            counts.stable.users = UserCounts(seen: 950, failed: 19)
        }
        _ = release.look()
        let wealth = release.test.wealth
        for _ in 0..<50 { _ = release.tick(canary: Answers(failed: 40)) }
        #expect(release.test.wealth == wealth && release.test.verdict == nil)
        #expect(release.test.latency == nil)
    }

    @Test func `users of the canary who fail roll back, and the sentence speaks of users`() throws {
        var release = Rehearsal(Self.settings)
        release.router.change(500) { counts in
            counts.canary.users = UserCounts(seen: 60, failed: 5)
            counts.stable.users = UserCounts(seen: 1_140, failed: 1)
        }
        let verdict = try #require(release.look().verdict)
        // delta 0: what the golden example of 5 of 60 and 1 gives without an excess.
        #expect(distance(verdict.wealth, 0.5 + 0.5 * 68699.71908469222) < 1e-9)
        #expect(
            verdict.sentence(release: "v42") == """
                rolled back v42: 5 of the 6 users who met a failure were on the canary, which gets 5 % of traffic (canary 5 \
                of 60, stable 1 of 1,140). If the canary failed no more often than stable, evidence this strong would come \
                up in fewer than 1 of 34,000 releases (limit: 1 of 100).
                """)
    }

    @Test func `a step passes on users, and a user who fails later takes his good word back`() {
        var release = Rehearsal(Self.settings)
        release.beginStep()
        var seen: UInt64 = 0
        var judgement = release.look()
        while judgement != .advance, seen < 2_000 {
            seen += 5
            release.router.change(500) { counts in
                counts.canary.users = UserCounts(seen: seen)
                counts.stable.users = UserCounts(seen: 19 * seen)
            }
            judgement = release.look()
        }
        #expect((598...716).contains(seen), "\(seen)")
        let evidence = release.test.advance.errors
        release.router.change(500) { $0.canary.users?.failed = 1 }
        _ = release.look()
        let factors = AdvanceFactors(past: release.test.advance.past, excess: 0.005, weight: 0.05)
        #expect(
            distance(release.test.advance.errors, evidence * exp(factors.canaryFailed - factors.canaryAnswered)) < 1e-9)
    }
}
