// Goal: a route's counts are those of the requests on it, by version and share, with users that are met and fail first on
// it. Method: random requests on many connections of a live router against a model that keeps everything, from a printed
// seed; and the values alone.

import Analysis
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing
import Traffic

@testable import Router

private let salted = SipHash(salt: "s")

private func arm(_ user: Int, at share: Int) -> Arm {
    salted.hash("\(user)") % 10_000 < UInt64(share) ? .canary : .stable
}

private func service() async throws -> ServiceInstance {
    try await ServiceInstance.serving { Reply(status: $0.head.uri.hasSuffix("fail") ? .internalServerError : .ok) }
}

extension RouterReport {
    fileprivate func route(_ name: String, _ arm: Arm, at share: Int) -> RouteArm? {
        let counts = counts.shares.first { $0.share == share }?.routes?.first { $0.route == name }
        return arm == .stable ? counts?.stable : counts?.canary
    }
}

extension Live {
    @Suite struct RouteCountTests {
        @Test func `each route is counted by version and share, with users of its own`() async throws {
            let seed = UInt64.random(in: .min ... .max)
            var random = SplitMix64(seed: seed)
            let instance = try await service()
            let routes = ["/checkout", "/api/orders/*", "/never"]
            let paths: [(path: String, route: String?)] = [
                ("/checkout", routes[0]), ("/checkout?then=fail", routes[0]), ("/api/orders/1", routes[1]),
                ("/api/orders/fail", routes[1]), ("/", nil), ("/fail", nil),
            ]
            var model: [String: RouteArm] = [:]
            var seen: Set<String> = []
            var failed: Set<String> = []
            try await Bench.with(threads: 3) { bench in
                let shares = [1_000, 5_000, 1_000]
                for (step, share) in shares.enumerated() {
                    var table = RoutingTable.serving(
                        stable: [instance.backend("s")], canary: [instance.backend("c")], share: share,
                        generation: UInt64(step + 1), keys: [.cookie("session")])
                    table.routes = routes
                    try await bench.put(table)
                    let wires = [try await bench.wire(), try await bench.wire(), try await bench.wire()]
                    for turn in 0..<300 {
                        let user = Int(random.next() % 60)
                        let (path, route) = paths[Int(random.next() % UInt64(paths.count))]
                        _ = try await wires[turn % 3].ask("GET \(path)", ["Cookie: session=\(user)"])
                        guard let route else { continue }
                        let (arm, fails) = (arm(user, at: share), path.hasSuffix("fail"))
                        let key = "\(route) \(arm) \(share)"
                        var counts = model[key] ?? RouteArm(users: UserCounts())
                        counts.requests += 1
                        if fails { counts.failures += 1 }
                        if !failed.contains("\(route) \(user)") {
                            if seen.insert("\(key) \(user)").inserted { counts.users?.seen += 1 }
                            if fails, failed.insert("\(route) \(user)").inserted { counts.users?.failed += 1 }
                        }
                        model[key] = counts
                    }
                    for wire in wires { await wire.close() }
                }
                let report = try await bench.report()
                for share in Set(shares) {
                    #expect(report.counts.shares.first { $0.share == share }?.routes?.map(\.route) == routes)
                    for route in routes {
                        for arm in [Arm.stable, .canary] {
                            let expected = model["\(route) \(arm) \(share)"] ?? RouteArm(users: UserCounts())
                            let counted = report.route(route, arm, at: share)
                            #expect(counted == expected, "\(route) of \(arm) at \(share), seed \(seed)")
                        }
                    }
                }
                #expect(failed.count > 20)
            }
        }

        @Test func `testers, requests without a key and those of no route are in no route, an abort is no failure`()
            async throws
        {
            let never = testLoops.next().makePromise(of: Void.self)
            let instance = try await ServiceInstance.serving { request in
                request.head.uri == "/checkout/slow" ? Reply(when: never.futureResult) : Reply()
            }
            try await Bench.with { bench in
                var table = RoutingTable.serving(
                    stable: [instance.backend("s")], canary: [instance.backend("c")], share: 10_000,
                    keys: [.cookie("session")])
                table.routes = ["/checkout/*"]
                try await bench.put(table)
                _ = try await bench.get("/checkout")
                _ = try await bench.get("/checkout", ["X-Canary: always", "Cookie: session=1"])
                _ = try await bench.get("/", ["Cookie: session=1"])
                #expect(
                    try await bench.report().route("/checkout/*", .canary, at: 10_000) == RouteArm(users: UserCounts()))
                _ = try await bench.get("http://shop.test/checkout/1", ["Cookie: session=1"])
                let wire = try await bench.wire()
                try await wire.send("GET /checkout/slow HTTP/1.1\r\nHost: a\r\nCookie: session=2\r\n\r\n")
                _ = try await eventually("the request in flight") {
                    try await bench.report().inFlightCanary == 1 ? 1 : nil
                }
                await wire.close()
                let counts = try await eventually("the abort") {
                    let counts = try await bench.report().route("/checkout/*", .canary, at: 10_000)
                    return counts?.clientAborts == 1 ? counts : nil
                }
                #expect(counts == RouteArm(requests: 2, failures: 0, clientAborts: 1, users: UserCounts(seen: 2)))
            }
            never.succeed()
        }

        @Test func `routes start from zero with a release, and there are none where the table names none`() async throws
        {
            let instance = try await service()
            try await Bench.with { bench in
                var table = RoutingTable.serving(stable: [instance.backend("s")], keys: [.request])
                try await bench.put(table)
                _ = try await bench.get("/checkout")
                #expect(try await bench.report().counts.shares.map(\.routes) == [nil])
                table.generation = 2
                table.routes = ["/checkout"]
                try await bench.put(table)
                _ = try await bench.get("/checkout")
                // Each request by itself: no users.
                #expect(try await bench.report().route("/checkout", .stable, at: 0) == RouteArm(requests: 1))
                table.generation = 3
                table.routes = ["/other", "/checkout"]
                try await bench.put(table)
                _ = try await bench.get("/checkout")
                _ = try await bench.get("/other")
                let report = try await bench.report()
                #expect(report.counts.shares[0].routes?.map(\.route) == ["/other", "/checkout"])
                #expect(report.route("/checkout", .stable, at: 0) == RouteArm(requests: 2))
                #expect(report.route("/other", .stable, at: 0) == RouteArm(requests: 1))
                table.generation = 4
                table.release = "r2"
                try await bench.put(table)
                #expect(try await bench.report().route("/checkout", .stable, at: 0) == RouteArm())
                table.generation = 5
                table.routes = []
                try await bench.put(table)
                #expect(try await bench.report().counts.shares.map(\.routes) == [nil])
            }
        }
    }
}

@Suite struct RouteTallyTests {
    @Test func `routes of event loops add up by name, whatever the order in which each met them`() {
        let canary = CohortChoice(arm: .canary, unit: .request)
        var one = Tally()
        var two = Tally()
        // The share came first, and has the route all the same.
        let here = one.place(share: 500)
        let a = one.place(route: "/a")
        #expect(two.place(route: "/b") == 0)
        let there = two.place(share: 500)
        let otherA = two.place(route: "/a")
        #expect(a == 0 && otherA == 1)
        one.dispatch(canary, place: here, route: a)
        one.settle(.timeout, canary, place: here, route: a, instance: "c", second: 1)
        two.dispatch(canary, place: there, route: otherA)
        two.settle(
            .answered(status: 200, microseconds: 1), canary, place: there, route: otherA, instance: "c", second: 1)
        two.settle(.clientAbort, canary, place: there, route: 0, instance: "c", second: 1)
        two.settle(.reset, CohortChoice(arm: .stable, unit: .keyless), place: there, route: 0, instance: "s", second: 1)
        one.add(two)
        let routes = ["/a", "/b", "/c"].map { RouteUsers(route: $0, users: Users()) }
        let counts = one.counts(boot: "b", users: Users(), routes: routes).shares[0].routes
        let nobody = RouteArm(users: UserCounts())
        #expect(
            counts == [
                RouteCounts(
                    route: "/a", stable: nobody,
                    canary: RouteArm(requests: 2, failures: 1, users: UserCounts(seen: 2, failed: 1))),
                RouteCounts(
                    route: "/b", stable: nobody,
                    canary: RouteArm(requests: 1, clientAborts: 1, users: UserCounts())),
                RouteCounts(route: "/c", stable: nobody, canary: nobody),
            ])
        #expect(one.counts(boot: "b", users: nil).shares[0].routes == nil)
    }

    @Test func `routes beyond the bound of a release are not counted`() {
        var tally = Tally()
        #expect((0..<Tally.routeBound).map { tally.place(route: "/\($0)") } == Array(0..<Tally.routeBound))
        #expect(tally.place(route: "/more") == nil && tally.place(route: "/7") == 7)
    }

    @Test func `a user is met and fails on each route by itself`() {
        var lane = LaneUsers()
        var users = UsersByRoute()
        let user = UInt64(7) << 50
        for at in 0..<3 as Range<UInt64> {
            lane.see(user, .stable, share: 500, at: at, route: 0)
            lane.see(user, .stable, share: 500, at: at, route: 1)
            lane.fail(user, .stable, share: 500, at: at, route: 1)
        }
        let events = lane.handOver()
        #expect(events.count == 3)
        let routes = ["/a", "/b"]
        users.take([UserNews(releaseNumber: 1, events: [], routeEvents: events, routes: routes)])
        // Another loop knows them by other places.
        users.take([UserNews(releaseNumber: 1, events: [], routeEvents: events, routes: routes.reversed())])
        #expect(users.users(of: "/a").counts(.stable, share: 500) == UserCounts(seen: 1, failed: 1))
        #expect(users.users(of: "/b").counts(.stable, share: 500) == UserCounts(seen: 1, failed: 1))
        #expect(users.users(of: "/c").counts(.stable, share: 500) == UserCounts())
    }
}
