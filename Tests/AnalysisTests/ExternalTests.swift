// Goal: failures that somebody else counted gate like the router's own, in the one alpha. Method: short stories.

import Foundation
import Testing

@testable import Analysis

@Suite struct ExternalTests {
    private func settings(_ external: [JudgingSettings.External]) -> JudgingSettings {
        var settings = JudgingSettings.errorsOnly
        settings.errorsWeight = 3
        settings.external = external
        return settings
    }

    private let payments = JudgingSettings.External(name: "payment_errors", weight: 1)
    private let bad = ExternalCounts(metric: "payment_errors", table: ContingencyTable(0.05, 6, 60, 1, 1_140))

    private func look(_ release: inout Rehearsal, _ external: [ExternalCounts]) -> Judgement {
        release.now += 1_000
        return release.test.judge(Tick(at: release.now, counts: [release.router.counts], external: external))
    }

    @Test func `external failures roll back, and are named`() throws {
        var release = Rehearsal(settings([payments]))
        _ = release.healthy(seconds: 5)
        let verdict = try #require(look(&release, [bad]).verdict)
        var alone = ErrorTest(null: ErrorNull())
        alone.settle([bad.table])
        #expect(verdict.leading == .external("payment_errors") && verdict.leadingShare == 0.25)
        #expect(distance(verdict.leadingWealth, alone.wealth) < 1e-12)
        #expect(distance(verdict.wealth, alone.wealth / 4) < 1e-12)
        #expect(verdict.canary == .init(bad: 6, total: 60) && verdict.stable == .init(bad: 1, total: 1_140))
        #expect(
            verdict.sentence(release: "v42").hasPrefix(
                """
                rolled back v42: 6 of the 7 failures by payment_errors were on the canary, which gets 5 % of traffic (canary \
                6 of 60, stable 1 of 1,140). If the canary failed at most 0.1 points more often than stable by \
                payment_errors, evidence this strong would come up in fewer than 1 of
                """), "\(verdict.sentence(release: "v42"))")
    }

    @Test func `W is the larger of the routers' part and each external one`() {
        var release = Rehearsal(settings([payments, .init(name: "b", weight: 4)]))
        #expect(release.test.wealth == 0.5, "3, 1 and 4 of 8")
        _ = release.tick(stable: Answers(answered: 1_000), canary: Answers(answered: 50, failed: 2))
        #expect(release.test.errors.wealth > 4)
        #expect(distance(release.test.wealth, 0.375 * release.test.errors.wealth) < 1e-12)
        _ = look(&release, [.init(metric: "b", table: ContingencyTable(0.05, 2, 10, 0, 190))])
        let wealths = release.test.external.map(\.errors.wealth)
        #expect(wealths[0] == 1 && wealths[1] > release.test.errors.wealth)
        #expect(distance(release.test.wealth, wealths[1] / 2) < 1e-12)
    }

    @Test func `in a dry run, and where users are given to the versions, they are judged and stop nothing`() {
        var dry = payments
        dry.dryRun = true
        var users = settings([payments])
        users.unit = .user
        for settings in [settings([dry]), users] {
            var release = Rehearsal(settings)
            for _ in 0..<5 { #expect(look(&release, [bad]).verdict == nil) }
            #expect(release.test.external[0].errors.wealth > 1e9)
            #expect(release.test.wealth == release.test.errors.wealth, "the others have all of alpha")
        }
    }

    @Test func `they gate no step but by their part in W`() {
        var release = Rehearsal(settings([payments]))
        release.beginStep()
        #expect(release.healthy(seconds: 200) == .advance, "nothing was counted")
        _ = look(&release, [.init(metric: "payment_errors", table: ContingencyTable(0.01, 2, 10, 0, 990))])
        #expect(release.look().missing?.wealth == release.test.wealth)
    }

    @Test func `names that no policy has, shares of none or all, and nonsense say nothing`() {
        var release = Rehearsal(settings([payments]))
        let before = release.test.external
        for weight in [0, 1, -1, 2, .nan, .infinity] {
            _ = look(&release, [.init(metric: "payment_errors", table: ContingencyTable(weight, 9, 9, 0, 9))])
        }
        _ = look(&release, [.init(metric: "search_errors", table: ContingencyTable(0.05, 9, 9, 0, 9))])
        #expect(release.test.external == before)
        _ = look(&release, [.init(metric: "payment_errors", table: ContingencyTable(0.05, 9, 0, 9, 0))])
        #expect(release.test.wealth.isFinite)
    }

    @Test func `stable's hanging requests protect the canary here as well`() {
        var release = Rehearsal(settings([payments]))
        release.router.change(500) { $0.stable.overdue = 400 }
        #expect(look(&release, [bad]).verdict == nil && release.test.wealth >= 100)
        release.router.change(500) { $0.stable.overdue = 0 }
        #expect(look(&release, []).verdict?.leading == .external("payment_errors"))
    }

    @Test func `their order within a tick changes no bit`() {
        var generator = SeededGenerator(seed: 91)
        var tests = [Rehearsal](repeating: Rehearsal(settings([payments, .init(name: "b", weight: 1)])), count: 2)
        for _ in 0..<100 {
            let counts = (0..<5).map { _ in
                ExternalCounts(
                    metric: generator.next() % 2 == 0 ? "b" : "payment_errors",
                    table: ContingencyTable(
                        generator.pick([0.01, 0.05, 0.5]), .random(in: 0...1, using: &generator), 10,
                        .random(in: 0...5, using: &generator), 200))
            }
            #expect(look(&tests[0], counts) == look(&tests[1], counts.shuffled(using: &generator)))
        }
        #expect(tests[0].test == tests[1].test)
    }

    @Test func `a tick can be written down, with external counts and without`() throws {
        var router = FakeRouter()
        router.settle(share: 500, canary: Answers(answered: 3))
        for external in [[], [bad]] {
            let tick = Tick(at: 7, counts: [router.counts], isCanaryReady: false, external: external)
            let bytes = try JSONEncoder().encode(tick)
            #expect(try JSONDecoder().decode(Tick.self, from: bytes) == tick)
            #expect(String(decoding: bytes, as: UTF8.self).contains("external") == !external.isEmpty)
        }
    }
}
