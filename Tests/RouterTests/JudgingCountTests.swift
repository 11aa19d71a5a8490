// Goal: what the judge gets is what happened: by the share at which the coin was tossed, once, whole, with what is still in
// flight. Method: a live router and instances that answer when they are told to.

import Analysis
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Traffic

@testable import Router

/// Answers with the status that the path names; `/late` when it is let go.
private func service(until gate: EventLoopFuture<Void>? = nil) async throws -> ServiceInstance {
    try await ServiceInstance.serving { request in
        let isLate = request.head.uri.hasPrefix("/late")
        let status = Int(request.head.uri.dropFirst()) ?? 200
        return Reply(status: HTTPResponseStatus(statusCode: status), when: isLate ? gate : nil)
    }
}

/// What clients tell the reader of reports, and who of them failed.
private final class Load: Sendable {
    let isOver = Mutex(false)
    let failed = Mutex<Set<String>>([])
}

extension RouterReport {
    fileprivate func at(_ share: Int) -> ShareCounts? { counts.shares.first { $0.share == share } }

    /// Requests in flight that are in an arm.
    fileprivate var inFlight: UInt64 { counts.shares.reduce(0) { $0 + $1.stable.inFlight + $1.canary.inFlight } }

    /// What holds of every report, whatever happens while it is made.
    fileprivate func checkSums(_ comment: Comment? = nil) {
        var stable = keyless
        var canary = VersionCounts()
        for share in counts.shares {
            stable.add(share.stable.settled)
            canary.add(share.canary.settled)
            for arm in [share.stable, share.canary] {
                let settled = arm.settled
                let outcomes =
                    settled.statusClasses.reduce(0, +) + settled.connectFailures + settled.resets + settled.timeouts
                    + settled.clientAborts
                #expect(settled.requests == outcomes, comment)
                #expect(settled.latency.total == settled.statusClasses.reduce(0, +), comment)
                #expect(arm.overdue <= arm.inFlight, comment)
                if let users = arm.users { #expect(users.failed <= users.seen, comment) }
            }
        }
        #expect(stable == self.stable && canary == self.canary, comment)
        #expect(counts.shares.map(\.share) == Set(counts.shares.map(\.share)).sorted(), comment)
        #expect(counts.canaryFailures.values.reduce(0, +) <= canary.failures, comment)
        #expect(counts.boot == boot, comment)
    }
}

/// A user of the canary at this share and not at a smaller one, and one who is on stable at it.
private func user(from lower: Int = 0, to upper: Int) -> String {
    let hash = SipHash(salt: "s")
    return (0...).lazy.map { "u\($0)" }.first { (UInt64(lower)..<UInt64(upper)).contains(hash.hash($0) % 10_000) } ?? ""
}

extension Live {
    @Suite struct JudgingCountTests {
        @Test func `a request counts at the share at which it was sent, also when it settles later`() async throws {
            let gate = testLoops.any().makePromise(of: Void.self)
            let stable = try await service()
            let canary = try await service(until: gate.futureResult)
            try await Bench.with { bench in
                func put(_ share: Int, _ generation: UInt64, canary backends: [Backend]? = nil) async throws {
                    let canary = backends ?? [canary.backend("c")]
                    try await bench.put(
                        .serving(
                            stable: [stable.backend("s")], canary: canary, share: share, generation: generation))
                }
                let early = ["Cookie: session=\(user(to: 500))"]
                let joins = ["Cookie: session=\(user(from: 500, to: 1_000))"]
                try await put(0, 1, canary: [])
                #expect(try await bench.get("/500", early).status == 500)
                try await put(0, 2)
                #expect(try await bench.get("/200", early).status == 200)
                try await put(500, 3)
                async let late = bench.get("/late", early)
                #expect(try await bench.get("/200", joins).status == 200)
                _ = try await eventually("in flight") { try await bench.report().inFlight == 1 ? true : nil }
                try await put(1_000, 4)
                #expect(try await bench.get("/503", joins).status == 503)
                let during = try await bench.report()
                during.checkSums()
                #expect(during.at(500)?.canary.inFlight == 1 && during.at(1_000)?.canary.inFlight == 0)
                gate.succeed()
                #expect(try await late.status == 200)
                try await put(0, 5, canary: [])
                #expect(try await bench.get("/200", joins).status == 200)
                let report = try await bench.report()
                report.checkSums()
                #expect(report.counts.shares.map(\.share) == [0, 500, 1_000])
                #expect(report.at(0)?.stable.settled.requests == 3 && report.at(0)?.stable.settled.failures == 1)
                #expect(report.at(0)?.canary.settled.requests == 0)
                #expect(report.at(500)?.canary.settled.requests == 1 && report.at(500)?.canary.settled.failures == 0)
                #expect(report.at(500)?.stable.settled.requests == 1)
                #expect(
                    report.at(1_000)?.canary.settled.failures == 1 && report.at(1_000)?.canary.settled.requests == 1)
                #expect(report.counts.canaryFailures == ["c": 1])
                #expect(report.inFlight == 0)
            }
        }

        @Test func `what no coin chose is in no arm, settled or in flight`() async throws {
            let gate = testLoops.any().makePromise(of: Void.self)
            let instance = try await service(until: gate.futureResult)
            try await Bench.with { bench in
                try await bench.put(
                    .serving(
                        stable: [instance.backend("s")], canary: [instance.backend("c")], share: 5_000,
                        keys: [.cookie("session")]))
                for _ in 0..<3 { #expect(try await bench.get("/500").status == 500) }
                #expect(try await bench.get("/500", ["X-Canary: always"]).status == 500)
                async let keyless = bench.get("/late")
                async let forced = bench.get("/late", ["X-Canary: always"])
                let report = try await eventually("in flight") {
                    let report = try await bench.report(overdueAfterMicroseconds: 0)
                    return report.inFlightStable == 1 && report.inFlightCanary == 1 ? report : nil
                }
                report.checkSums()
                #expect(report.inFlight == 0 && report.inFlightByInstance == ["s": 1, "c": 1])
                #expect(
                    report.counts.shares == [
                        ShareCounts(
                            share: 5_000, stable: ArmCounts(users: UserCounts()), canary: ArmCounts(users: UserCounts())
                        )
                    ])
                #expect(report.keyless.failures == 3 && report.stable.failures == 3)
                #expect(report.canary.requests == 0 && report.forced == 1 && report.counts.canaryFailures.isEmpty)
                gate.succeed()
                #expect(try await [keyless.status, forced.status] == [200, 200])
                let after = try await bench.report()
                #expect(after.keyless.requests == 4 && after.forced == 2 && after.inFlightByInstance.isEmpty)
            }
        }

        @Test func `requests in flight are overdue after the time that the reader names`() async throws {
            let gate = testLoops.any().makePromise(of: Void.self)
            let instance = try await service(until: gate.futureResult)
            try await Bench.with { bench in
                try await bench.put(
                    .serving(stable: [], canary: [instance.backend("c")], share: 10_000, keys: [.request]))
                let began = ContinuousClock.now
                async let one = bench.get("/late")
                async let two = bench.get("/late")
                _ = try await eventually("overdue") {
                    try await bench.report(overdueAfterMicroseconds: 20_000).at(10_000)?.canary.overdue == 2
                        ? true : nil
                }
                let waited = ContinuousClock.now - began
                #expect(waited >= .milliseconds(20))
                let hour = try await bench.report(overdueAfterMicroseconds: 3_600_000_000).at(10_000)?.canary
                #expect(hour?.inFlight == 2 && hour?.overdue == 0)
                #expect(hour?.users == nil)
                // 250 ms when the reader names none.
                _ = try await eventually("overdue") {
                    try await bench.report().at(10_000)?.canary.overdue == 2 ? true : nil
                }
                #expect(ContinuousClock.now - began >= .milliseconds(250))
                gate.succeed()
                #expect(try await [one.status, two.status] == [200, 200])
                let over = try await bench.report(overdueAfterMicroseconds: 0).at(10_000)?.canary
                #expect(over?.inFlight == 0 && over?.overdue == 0 && over?.settled.requests == 2)
            }
        }

        @Test func `a request whose client has not sent it all is in flight and not overdue`() async throws {
            let silent = try await ServiceInstance.raw { _, _ in [] }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [silent.backend("s")], keys: [.request]))
                let wire = try await bench.wire()
                try await wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
                func stable() async throws -> ArmCounts? {
                    try await bench.report(overdueAfterMicroseconds: 0).at(0)?.stable
                }
                // Its connection is open: the instance waits for the client.
                _ = try await eventually("sent on") {
                    let report = try await bench.report()
                    return report.inFlightByInstance == ["s": 1] && silent.openConnections == 1 ? true : nil
                }
                _ = try await eventually("not overdue") { try await stable()?.overdue == 0 ? true : nil }
                #expect(try await stable()?.inFlight == 1)
                try await wire.send("b")
                _ = try await eventually("overdue") { try await stable()?.overdue == 1 ? true : nil }
                await wire.close()
                _ = try await eventually("settled") { try await stable()?.settled.clientAborts == 1 ? true : nil }
                #expect(try await stable()?.inFlight == 0)
            }
        }

        @Test func `a canary that refused a request is charged for it at once, and it is in flight nowhere`()
            async throws
        {
            let gate = testLoops.any().makePromise(of: Void.self)
            let stable = try await service(until: gate.futureResult)
            let dead = try await service()
            let backend = dead.backend("canary-2")
            await dead.die()
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [stable.backend("s")], canary: [backend], share: 10_000))
                async let answer = bench.get("/late", ["Cookie: session=1"])
                let report = try await eventually("on stable") {
                    let report = try await bench.report(overdueAfterMicroseconds: 0)
                    return report.inFlightByInstance == ["s": 1] ? report : nil
                }
                report.checkSums()
                let canary = report.at(10_000)?.canary
                #expect(canary?.settled.connectFailures == 1 && canary?.inFlight == 0 && canary?.overdue == 0)
                #expect(canary?.users == UserCounts(seen: 1, failed: 1))
                #expect(report.counts.canaryFailures == ["canary-2": 1])
                #expect(report.at(10_000)?.stable == ArmCounts(users: UserCounts()))
                gate.succeed()
                #expect(try await answer.status == 200)
                #expect(try await bench.report().counts.canaryFailures == ["canary-2": 1])
            }
        }

        @Test func `reports under load are whole and only grow, and the last one has every request`() async throws {
            let stable = try await service()
            let canary = try await service()
            try await Bench.with { bench in
                func put(_ share: Int, _ generation: UInt64) async throws {
                    try await bench.put(
                        .serving(
                            stable: [stable.backend("s")], canary: [canary.backend("c")], share: share,
                            generation: generation))
                }
                try await put(0, 1)
                let load = Load()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in 0..<12 {
                        group.addTask {
                            let wire = try await bench.wire()
                            for turn in 0..<150 {
                                // Every fifth request fails; users come back on other connections.
                                let path = turn % 5 == 0 ? "/500" : "/200"
                                let user = "\((client * 37 + turn) % 97)"
                                if path == "/500" { _ = load.failed.withLock { $0.insert(user) } }
                                _ = try await wire.ask("GET \(path)", ["Cookie: session=\(user)"])
                            }
                            await wire.close()
                        }
                    }
                    group.addTask {
                        var last = try await bench.report()
                        var generation: UInt64 = 1
                        while !load.isOver.withLock({ $0 }) {
                            let report = try await bench.report(overdueAfterMicroseconds: 0)
                            report.checkSums("generation \(generation)")
                            for old in last.counts.shares {
                                let new = report.at(old.share)
                                for arm in [\ShareCounts.stable, \.canary] {
                                    let (before, after) = (old[keyPath: arm], try #require(new?[keyPath: arm]))
                                    #expect(
                                        after.settled.since(before.settled).requests
                                            == after.settled.requests - before.settled.requests)
                                    #expect(after.settled.requests >= before.settled.requests)
                                    #expect(after.settled.failures >= before.settled.failures)
                                    #expect((after.users?.seen ?? 0) >= (before.users?.seen ?? 0))
                                    #expect((after.users?.failed ?? 0) >= (before.users?.failed ?? 0))
                                }
                            }
                            last = report
                            if generation < 40 {
                                generation += 1
                                try await put([500, 2_000, 5_000][Int(generation) * 3 / 130], generation)
                            }
                        }
                    }
                    for _ in 0..<12 { try await group.next() }
                    load.isOver.withLock { $0 = true }
                    try await group.waitForAll()
                }
                let report = try await bench.report()
                report.checkSums()
                #expect(report.stable.requests + report.canary.requests == 1_800)
                #expect(report.stable.failures + report.canary.failures == 360)
                // Each user's first failure is somewhere, once.
                let failed = report.counts.shares.reduce(0) {
                    $0 + ($1.stable.users?.failed ?? 0) + ($1.canary.users?.failed ?? 0)
                }
                #expect(failed == UInt64(load.failed.withLock { $0.count }))
                #expect(report.inFlight == 0 && report.inFlightByInstance.isEmpty)
                // Asked again nothing has changed.
                #expect(try await bench.report().counts == report.counts)
            }
        }

        @Test func `a report is of one release, also while the next one begins`() async throws {
            let instance = try await service()
            try await Bench.with(threads: 4) { bench in
                let canary = [instance.backend("c")]
                for release in 1...25 as ClosedRange<UInt64> {
                    try await bench.put(
                        .serving(
                            stable: [], canary: canary, share: 10_000, generation: 2 * release, release: "r\(release)"))
                    for user in 0..<8 { _ = try await bench.get("/500", ["Cookie: session=\(user)"]) }
                    async let next = bench.put(
                        .serving(
                            stable: [], canary: canary, share: 10_000, generation: 2 * release + 1,
                            release: "n\(release)"))
                    async let reports = [bench.report(), bench.report(), bench.report()]
                    for report in try await reports {
                        report.checkSums()
                        let isOld = report.release == "r\(release)"
                        #expect(report.canary.requests == (isOld ? 8 : 0), "\(report.release)")
                        #expect(
                            report.at(10_000)?.canary.users ?? UserCounts()
                                == (isOld ? UserCounts(seen: 8, failed: 8) : UserCounts()), "\(report.release)")
                    }
                    #expect(try await next.status == 200)
                    let after = try await bench.report()
                    #expect(after.release == "n\(release)" && after.counts.canaryFailures.isEmpty)
                }
            }
        }

        @Test func `a judge that reads a bad canary's counts rolls back`() async throws {
            let stable = try await service()
            let canary = try await ServiceInstance.serving { _ in Reply(status: .internalServerError) }
            try await Bench.with { bench in
                try await bench.put(
                    .serving(
                        stable: [stable.backend("s")], canary: [canary.backend("canary-1")], share: 1_000,
                        keys: [.cookie("session")]))
                var settings = JudgingSettings()
                settings.unit = .user
                var test = ReleaseTest(settings: settings, at: 0)
                var verdict: RollbackVerdict?
                let wire = try await bench.wire()
                var users = 0
                while verdict == nil, users < 1_000 {
                    users += 1
                    // Each user asks twice: the second failure of a user is no news.
                    for _ in 0..<2 { _ = try await wire.ask("GET /200", ["Cookie: session=\(users)"]) }
                    let counts = try await bench.report().counts
                    let judgement = test.judge(Tick(at: Int64(users) * 1_000, counts: [counts, counts]))
                    if case .rollBack(let reached) = judgement { verdict = reached }
                }
                let reached = try #require(verdict)
                #expect(reached.unit == .user && reached.failuresByInstance == ["canary-1": 2 * reached.canary.bad])
                #expect((3...12).contains(reached.canary.bad), "\(reached)")
                #expect(reached.canary.total + reached.stable.total <= UInt64(users) && reached.stable.bad == 0)
            }
        }
    }
}
