// Goal: a route that breaks is seen among all the others, in the one alpha, and a quiet one holds nothing up. Method: short
// stories through the whole judge.

import Foundation
import Testing

@testable import Analysis

@Suite struct RouteTests {
    private func settings(_ routes: [String]) -> JudgingSettings {
        var settings = JudgingSettings.errorsOnly
        settings.routes = routes
        return settings
    }

    private func arm(_ requests: UInt64, failed: UInt64 = 0, aborted: UInt64 = 0) -> RouteArm {
        RouteArm(requests: requests, failures: failed, clientAborts: aborted)
    }

    @Test func `a route that fails where all requests together do not show it rolls back, and is named`() throws {
        var release = Rehearsal(settings(["/checkout", "/search"]))
        // Stable fails elsewhere more often than the canary on /checkout.
        release.router.settle(
            share: 500, stable: Answers(answered: 18_800, failed: 200), canary: Answers(answered: 994, failed: 6))
        release.router.change(500) { counts in
            counts.routes = [
                RouteCounts(route: "/checkout", stable: arm(1_140, failed: 1), canary: arm(60, failed: 6)),
                RouteCounts(route: "/search", stable: arm(9_500, failed: 150), canary: arm(500)),
            ]
        }
        let verdict = try #require(release.look().verdict)
        #expect(release.test.errors.wealth < 1)
        #expect(verdict.leading == .route("/checkout") && verdict.leading.description == "errors of /checkout")
        #expect(verdict.canary == .init(bad: 6, total: 60) && verdict.stable == .init(bad: 1, total: 1_140))
        var alone = ErrorTest(null: ErrorNull())
        alone.settle([ContingencyTable(0.05, 6, 60, 1, 1_140)])
        #expect(distance(verdict.leadingWealth, alone.wealth) < 1e-12 && verdict.leadingShare == 0.25)
        #expect(
            verdict.sentence(release: "v42").hasPrefix(
                """
                rolled back v42: 6 of the 7 failed requests on /checkout were on the canary, which gets 5 % of traffic \
                (canary 6 of 60, stable 1 of 1,140). If the canary failed at most 0.1 points more often than stable on \
                /checkout, evidence this strong would come up in fewer than 1 of
                """), "\(verdict.sentence(release: "v42"))")
        #expect(
            verdict.sentence(release: "v42").contains(
                "1 of \(roundedDown(alone.wealth / 4)) releases (limit: 1 of 100)"))
    }

    @Test func `failures are half of all requests and half of the routes' mean`() {
        var release = Rehearsal(settings(["/a", "/b"]))
        release.router.settle(share: 500, stable: Answers(answered: 190), canary: Answers(answered: 9, failed: 1))
        release.router.change(500) { counts in
            counts.routes = [
                RouteCounts(route: "/b", stable: arm(90), canary: arm(4, failed: 1)),
                RouteCounts(route: "/a", stable: arm(10), canary: arm(1)),
                RouteCounts(route: "/of no policy", stable: arm(0), canary: arm(9, failed: 9)),
            ]
        }
        _ = release.look()
        let wealths = release.test.routes.map(\.errors.wealth)
        #expect(wealths[0] < 1 && wealths[1] > 1)
        #expect(
            distance(release.test.wealth, (release.test.errors.wealth + (wealths[0] + wealths[1]) / 2) / 2) < 1e-12)
        #expect(release.test.routes.map(\.errors.canary.total) == [1, 4])
    }

    @Test func `a route counts over shares and runs, late and doubled readings add nothing`() {
        var release = Rehearsal(settings(["/a"]))
        func count(_ router: inout FakeRouter, _ share: Int, _ requests: UInt64) {
            router.settle(share: share, stable: Answers(answered: 19 * requests), canary: Answers(answered: requests))
            router.change(share) { counts in
                let before = counts.routes?[0].canary.requests ?? 0
                counts.routes = [
                    RouteCounts(route: "/a", stable: arm(19 * (before + requests)), canary: arm(before + requests))
                ]
            }
        }
        count(&release.router, 500, 10)
        _ = release.look()
        let old = release.router.counts
        count(&release.router, 1_000, 5)
        count(&release.router, 500, 1)
        _ = release.look()
        var other = FakeRouter(boot: "b")
        count(&other, 500, 7)
        for counts in [old, release.router.counts, other.counts, other.counts] {
            _ = release.test.judge(Tick(at: release.now, counts: [counts]))
        }
        #expect(release.test.routes[0].errors.canary == .init(bad: 0, total: 23))
        #expect(release.test.routes[0].proof.past.total == 19 * 23)
    }

    @Test func `stable's hanging requests protect the canary on every route`() {
        var release = Rehearsal(settings(["/a"]))
        release.router.settle(share: 500, stable: Answers(answered: 1_000), canary: Answers(answered: 54, failed: 6))
        release.router.change(500) { counts in
            counts.routes = [RouteCounts(route: "/a", stable: arm(1_000), canary: arm(60, failed: 6))]
            counts.stable.overdue = 400
        }
        #expect(release.look().verdict == nil && release.test.wealth >= 100)
        release.router.change(500) { $0.stable.overdue = 0 }
        #expect(release.look().verdict != nil)
    }

    @Test func `a route that nobody asks for does not keep a step from passing, one with wealth against it does`() {
        for (failed, passes) in [(0, true), (2, false)] as [(UInt64, Bool)] {
            var release = Rehearsal(settings(["/rare", "/never"]))
            release.beginStep()
            release.router.change(500) { counts in
                counts.routes = [RouteCounts(route: "/rare", stable: arm(40), canary: arm(failed, failed: failed))]
            }
            #expect((release.healthy(seconds: 200) == .advance) == passes)
            #expect(release.test.routes[0].proof.evidence < 20)
        }
    }

    @Test func `the first failures of a route's users are compared by the route's users at risk`() throws {
        var settings = settings(["/a"])
        settings.unit = .user
        var release = Rehearsal(settings)
        release.router.change(500) { counts in
            counts.canary.users = UserCounts(seen: 1_000)
            counts.stable.users = UserCounts(seen: 19_000)
            counts.routes = [
                RouteCounts(
                    route: "/a", stable: RouteArm(users: UserCounts(seen: 1_140, failed: 1)),
                    canary: RouteArm(users: UserCounts(seen: 60, failed: 5)))
            ]
        }
        let verdict = try #require(release.look().verdict)
        #expect(distance(verdict.leadingWealth, 0.5 + 0.5 * 68699.71908469222) < 1e-9)
        #expect(
            verdict.sentence(release: "v42").contains("5 of the 6 users who met a failure on /a were on the canary"))
    }

    @Test func `after an outage routes start again from wealth 1`() {
        var release = Rehearsal(settings(["/a"]))
        release.isCanaryReady = false
        release.router.change(500) { counts in
            counts.routes = [RouteCounts(route: "/a", stable: arm(95), canary: arm(9, failed: 9))]
        }
        #expect(release.tick(stable: Answers(answered: 95), canary: Answers(refused: 9)).hold?.takesTrafficAway == true)
        release.isCanaryReady = true
        #expect(release.look() == .resume && release.test.routes[0].errors.wealth == 1)
        #expect(release.test.routes[0].errors.canary.total == 0)
    }
}
