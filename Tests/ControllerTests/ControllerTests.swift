// Goal: releases end as they should whatever happens to the controller. Method: the real engine on a real store
// (PostgreSQL), a small deterministic world behind the ports.

import ControlModel
import Controller
import Foundation
import Logging
import Ports
import Postgres
import PostgresSupport
import Releases
import Synchronization
import Testing
import Traffic

let service = ServiceName(rawValue: "shop")!
let first = CommitID(rawValue: String(repeating: "1", count: 40))!
let second = CommitID(rawValue: String(repeating: "2", count: 40))!
let third = CommitID(rawValue: String(repeating: "3", count: 40))!

/// One store, one world, one controller at a time (or several, for leadership).
final class Bench: Sendable {
    let world = FakeWorld()
    let store: ConnectionSettings
    let policy: Policy

    init(_ change: (inout Policy) -> Void = { _ in }) async throws {
        setenv("PERCH_TEST_ADMIN", "postgres://perch@127.0.0.1:1/shop", 1)
        store = try await ConnectionSettings(url: PostgresServer.shared().freshDatabase())
        var cohort = Policy.Cohort(steps: [
            .share(Share(basisPoints: 1_000)!, for: .milliseconds(500)),
            .share(Share(basisPoints: 5_000)!, for: .milliseconds(500)),
        ])
        cohort.by = [.request]
        var policy = Policy(
            service: service, source: .init(repository: "/srv/shop.git"),
            platform: .init(process: .init(command: ["./shop", "{port}"])), traffic: .init(listen: "127.0.0.1:0"),
            cohort: cohort,
            database: .init(
                url: .environment("PERCH_TEST_ADMIN"), adminURL: .environment("PERCH_TEST_ADMIN"),
                canaryRole: "shop_canary"))
        policy.watch.minimumRequests = 20
        policy.watch.settle = .zero
        policy.promote.bake = .milliseconds(300)
        policy.promote.undoWindow = .milliseconds(300)
        policy.platform.process.stableInstances = 2
        policy.platform.process.drain = .milliseconds(200)
        change(&policy)
        self.policy = policy
    }

    func controller() -> ReleaseController {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return ReleaseController(
            policies: [service: policy], ports: world.ports, store: store, publicURL: "http://perch", logger: logger)
    }

    /// Runs `body` beside a controller that leads, and ends the controller afterwards, as kill does: in mid-air.
    func led<Value: Sendable>(
        _ body: @escaping @Sendable (ReleaseController) async throws -> Value
    ) async throws -> Value {
        let controller = controller()
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask {
                try await controller.run()
                return nil
            }
            group.addTask {
                try await until("the controller leads") { await controller.isReady() }
                return try await body(controller)
            }
            defer { group.cancelAll() }
            while let value = try await group.next() { if let value { return value } }
            throw Failure("the controller ended")
        }
    }
}

func until(
    _ what: String, within limit: Duration = .seconds(30), _ holds: @Sendable () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await holds() { return }
        try await Task.sleep(for: .milliseconds(20))
    }
    throw Failure("not within \(limit): \(what)")
}

extension ReleaseController {
    func trigger(_ commit: CommitID, delivery: String? = nil) async throws -> ReleaseID {
        try await accept(
            ReleaseRequest(commit: commit.rawValue, delivery: delivery ?? UUID().uuidString, sender: "test"),
            service: service
        ).release
    }

    func awaitPhase(_ id: ReleaseID, _ names: String...) async throws {
        try await until("\(id) is \(names)") { names.contains(try await self.release(id).summary.phase) }
    }

    func awaitEnd(_ id: ReleaseID) async throws -> ReleaseSummary {
        try await until("\(id) ends") { try await self.release(id).summary.isTerminal }
        return try await release(id).summary
    }
}

@Suite(.serialized) struct ControllerTests {
    @Test("the first release serves, a good second one is promoted and settles on the stable role")
    func promotes() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            let one = try await controller.trigger(first)
            #expect(try await controller.awaitEnd(one).phase == "promoted")
            let two = try await controller.trigger(second)
            #expect(try await controller.awaitEnd(two).phase == "promoted")
            try await until("stable is the second commit") {
                try await controller.status(of: service).stable == second
            }
        }
        let running = await bench.world.running(service: service)
        #expect(running.allSatisfy { $0.commit == second && $0.arm == .stable })
        #expect(running.count == 2)
        #expect(!bench.world.calls.contains { $0.hasPrefix("STOPPED WHILE ROUTED") })
    }

    @Test("a failing canary is rolled back with its data, reported, and the next build starts")
    func rollsBack() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            bench.world.set { $0.behaviour = .failing }
            let bad = try await controller.trigger(second)
            let end = try await controller.awaitEnd(bad)
            #expect(end.phase == "rolled-back")
            #expect(end.share == .none)
            try await until("report") { (try? await controller.report(bad, format: "markdown")) != nil }
            #expect(bench.world.calls.contains("rewind"))
            #expect(bench.world.table?.canaryShare == 0)
            bench.world.set { $0.behaviour = .good }
            let good = try await controller.trigger(third)
            #expect(try await controller.awaitEnd(good).phase == "promoted")
        }
        #expect(!bench.world.calls.contains { $0.hasPrefix("STOPPED WHILE ROUTED") })
    }

    @Test("once a rollback began no table ever sends users to the canary again")
    func noWayBack() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            bench.world.set { $0.behaviour = .failing }
            _ = try await controller.awaitEnd(controller.trigger(second))
        }
        let shares = bench.world.state.withLock { $0.tables.map(\.canaryShare) }
        let firstZeroAfter = try #require(shares.firstIndex { $0 > 0 })
        let back = try #require(shares[firstZeroAfter...].firstIndex(of: 0))
        #expect(shares[back...].allSatisfy { $0 == 0 })
    }

    @Test(
        "a controller killed in any phase is resumed by the next one",
        arguments: ["snapshot", "ready canary", "apply", "rewind", "stop", "fence", "clean up", "let go"])
    func resumes(hang: String) async throws {
        let bench = try await Bench()
        _ = try await bench.led { try await $0.awaitEnd($0.trigger(first)) }
        bench.world.set {
            $0.behaviour = .failing
            $0.hanging = [hang]
            $0.calls = []
        }
        let bad = try await bench.led { controller in
            let bad = try await controller.trigger(second)
            try await until("the world hangs in \(hang)") { bench.world.calls.contains(hang) }
            return bad
        }
        bench.world.set { $0.hanging = [] }
        let end = try await bench.led { try await $0.awaitEnd(bad) }
        #expect(end.phase == "rolled-back")
        #expect(bench.world.table?.canaryShare == 0)
        let arms = await bench.world.running(service: service)
        #expect(arms.count == 2 && arms.allSatisfy { $0.arm == .stable && $0.commit == first })
    }

    @Test("a store that a newer Perch has migrated is refused")
    func newerStore() async throws {
        let bench = try await Bench()
        try await bench.led { _ in }
        let connection = try await Connection.open(bench.store)
        _ = try await connection.query("insert into migration values (9999, 'later', now())")
        await connection.close()
        let failure = await #expect(throws: StoreError.self) { try await bench.controller().run() }
        #expect(failure.map { "\($0)" }?.contains("migration 9999 of a newer Perch") == true)
    }

    @Test("a second daemon waits, takes over when the first ends, and goes on")
    func leadership() async throws {
        let bench = try await Bench {
            $0.cohort.steps = [.share(Share(basisPoints: 1_000)!, for: .milliseconds(200)), .approve]
        }
        let other = bench.controller()
        let waiting = Task {
            try await until("the first one leads") { bench.world.calls.contains("first leads") }
            try await other.run()
        }
        defer { waiting.cancel() }
        let held: ReleaseID? = try await bench.led { controller in
            bench.world.set { $0.calls.append("first leads") }
            let otherReady = await other.isReady()
            #expect(!otherReady)
            _ = try await controller.awaitEnd(controller.trigger(first))
            let id = try await controller.trigger(second)
            try await controller.awaitPhase(id, "waiting")
            await #expect(throws: Refusal.self) { try await other.promote(id, by: "ada") }
            return id
        }
        try await until("the other one leads") { await other.isReady() }
        let id = try #require(held)
        try await until("promoted by the new leader") {
            (try? await other.promote(id, by: "ada")) != nil
        }
        #expect(try await other.awaitEnd(id).phase == "promoted")
    }

    @Test("the same delivery twice is one release")
    func deliveries() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            let one = try await controller.trigger(first, delivery: "same")
            let again = try await controller.trigger(first, delivery: "same")
            #expect(one == again)
            _ = try await controller.awaitEnd(one)
            #expect(try await controller.releases(service: service, limit: 10).count == 1)
        }
    }

    @Test("a newer release supersedes a canary when the policy says so, and is judged against the same stable")
    func supersedes() async throws {
        let bench = try await Bench { $0.trigger.onNewer = .supersede }
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            bench.world.set { $0.behaviour = .silent }
            let old = try await controller.trigger(second)
            try await controller.awaitPhase(old, "canary")
            bench.world.set { $0.behaviour = .good }
            let new = try await controller.trigger(third)
            #expect(try await controller.awaitEnd(old).phase == "superseded")
            #expect(try await controller.awaitEnd(new).phase == "promoted")
            #expect(try await controller.release(new).summary.stable == first)
        }
    }

    @Test("a policy that rejects newer releases names the one that is active")
    func rejects() async throws {
        let bench = try await Bench { $0.trigger.onNewer = .reject }
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            bench.world.set { $0.behaviour = .silent }
            let active = try await controller.trigger(second)
            try await controller.awaitPhase(active, "canary")
            let refusal = await #expect(throws: Refusal.self) { try await controller.trigger(third) }
            #expect(refusal?.release == active)
            #expect(refusal?.kind == .conflict)
        }
    }

    @Test("preflight failures end the release before anything was touched")
    func preflight() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            bench.world.set {
                $0.failing["preflight"] = "wal_level is replica"
                $0.calls = []
            }
            let end = try await controller.awaitEnd(controller.trigger(second))
            #expect(end.phase == "rolled-back")
            #expect(end.message.contains("wal_level is replica"))
            #expect(!bench.world.calls.contains("snapshot"))
            #expect(!bench.world.calls.contains("start canary"))
        }
    }

    @Test("a data rollback that cannot be done halts with advice, users stay on stable")
    func halts() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            bench.world.set {
                $0.behaviour = .failing
                $0.failing["rewind"] = "disk full"
            }
            let end = try await controller.awaitEnd(controller.trigger(second))
            #expect(end.phase == "halted")
            #expect(bench.world.table?.canaryShare == 0)
            try await until("report") { (try? await controller.report(end.id, format: "json")) != nil }
        }
    }

    @Test("abort takes the canary away and ends aborted; aborting again is refused")
    func aborts() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            bench.world.set { $0.behaviour = .silent }
            let id = try await controller.trigger(second)
            try await controller.awaitPhase(id, "canary")
            _ = try await controller.abort(id, by: "ada", reason: "wrong branch")
            #expect(try await controller.awaitEnd(id).phase == "aborted")
            let refusal = await #expect(throws: Refusal.self) {
                try await controller.abort(id, by: "ada", reason: nil)
            }
            #expect(refusal?.kind == .conflict)
        }
    }

    @Test("rollback in the undo window brings the old version back")
    func undo() async throws {
        let bench = try await Bench { $0.promote.undoWindow = .minutes(10) }
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            let id = try await controller.trigger(second)
            try await controller.awaitPhase(id, "promoted")
            _ = try await controller.rollback(
                service, RollbackRequest(data: true, reason: "support calls"), by: "ada")
            #expect(try await controller.awaitEnd(id).phase == "rolled-back")
            #expect(try await controller.status(of: service).stable == first)
        }
        #expect(bench.world.calls.contains("rewind"))
        #expect(!bench.world.calls.contains { $0.hasPrefix("STOPPED WHILE ROUTED") })
        #expect(await bench.world.running(service: service).allSatisfy { $0.commit == first })
    }

    @Test("facts cannot be changed or removed in the store")
    func appendOnly() async throws {
        let bench = try await Bench()
        _ = try await bench.led { try await $0.awaitEnd($0.trigger(first)) }
        let connection = try await Connection.open(bench.store)
        await #expect(throws: PostgresError.self) { try await connection.execute("delete from fact") }
        await #expect(throws: PostgresError.self) { try await connection.execute("update fact set sequence = 99") }
        await connection.close()
    }
}
