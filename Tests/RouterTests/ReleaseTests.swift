// Goal: no request fails because of a change of the table, a hold, or a stop. Method: continuous clients on keep-alive
// connections while a release runs through all its tables, and while the data is switched again and again.

import Analysis
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Traffic

@testable import Router

/// Clients that never stop asking, each on its own connection, and what they saw.
private final class Load: Sendable {
    struct Seen: Sendable {
        var answers = 0
        var failures: [String] = []
        var byInstance: [String: Int] = [:]
    }
    let seen = Mutex(Seen())
    private let isOver = Mutex(false)

    var answers: Int { seen.withLock { $0.answers } }
    func end() { isOver.withLock { $0 = true } }

    func run(_ clients: Int, on bench: Bench) async {
        await withTaskGroup(of: Void.self) { group in
            for client in 0..<clients { group.addTask { await self.ask(client, on: bench) } }
        }
    }

    private func ask(_ client: Int, on bench: Bench) async {
        do {
            var wire = try await bench.wire()
            var turn = 0
            while !isOver.withLock({ $0 }) {
                turn += 1
                // Half of the requests are of the kind that must never be repeated.
                let answer =
                    turn % 2 == 0
                    ? try await wire.ask("POST /\(turn)", ["Cookie: session=u\(client)"], body: "order \(turn)")
                    : try await wire.ask("GET /\(turn)", ["Cookie: session=u\(client)"])
                seen.withLock {
                    $0.answers += 1
                    if answer.status == 200 {
                        $0.byInstance[answer.field("x-instance") ?? "", default: 0] += 1
                    } else {
                        $0.failures.append("\(answer.status) \(answer.text)")
                    }
                }
                if answer.field("connection") == "close" { wire = try await bench.wire() }
            }
            await wire.close()
        } catch {
            seen.withLock { $0.failures.append("\(error)") }
        }
    }
}

private func service(_ name: String) async throws -> ServiceInstance {
    try await ServiceInstance.serving { request in
        Reply(
            fields: ["X-Instance": name], body: request.head.uri,
            after: request.head.uri.hasSuffix("7") ? .milliseconds(3) : .zero)
    }
}

extension Live {
    @Suite struct ReleaseTests {
        @Test func `clients lose no request while releases come and go`() async throws {
            var old = [try await service("v0-1"), try await service("v0-2")]
            try await Bench.with { bench in
                var generation: UInt64 = 0
                func put(_ stable: [ServiceInstance], _ canary: [ServiceInstance], _ share: Int, _ release: Int)
                    async throws
                {
                    generation += 1
                    let name = { (arm: String, index: Int, port: Int) in "\(arm)-\(index)-\(port)" }
                    let answer = try await bench.put(
                        .serving(
                            stable: stable.enumerated().map { $1.backend(name("s", $0, $1.port)) },
                            canary: canary.enumerated().map { $1.backend(name("c", $0, $1.port)) }, share: share,
                            generation: generation, release: "r\(release)"))
                    #expect(answer.status == 200)
                }
                try await put(old, [], 0, 0)
                let load = Load()
                async let clients: Void = load.run(16, on: bench)
                func someRequests() async throws {
                    let before = load.answers
                    _ = try await eventually("requests go on") { load.answers > before + 60 ? true : nil }
                }
                /// An instance may go once it is in no table and nothing is in flight on it.
                func retire(_ instance: ServiceInstance) async throws {
                    _ = try await eventually("drained") { instance.openConnections == 0 ? true : nil }
                    await instance.die()
                }
                for release in 1...6 {
                    let canary = try await service("v\(release)-c")
                    for share in [0, 100, 1_000, 5_000] {
                        try await put(old, [canary], share, release)
                        try await someRequests()
                    }
                    if release % 2 == 0 {
                        try await put(old, [canary], 0, release)
                        try await put(old, [], 0, release)
                        try await retire(canary)
                    } else {
                        // A rolling update: one instance at a time.
                        let new = [try await service("v\(release)-1"), try await service("v\(release)-2")]
                        try await put([old[1], new[0]], [canary], 5_000, release)
                        try await retire(old[0])
                        try await someRequests()
                        try await put(new, [canary], 0, release)
                        try await put(new, [], 0, release)
                        try await retire(old[1])
                        try await retire(canary)
                        old = new
                    }
                }
                load.end()
                await clients
                let seen = load.seen.withLock { $0 }
                #expect(seen.failures.isEmpty, "\(seen.failures.prefix(5))")
                #expect(seen.answers > 1_000)
                #expect(seen.byInstance.keys.count { $0.hasSuffix("-c") } == 6)
                let report = try await bench.report()
                #expect(report.stable.failures == 0 && report.refused == 0)
            }
        }

        @Test func `nothing reaches an instance while requests are held, and nobody is lost`() async throws {
            let instance = try await service("a")
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let load = Load()
                async let clients: Void = load.run(24, on: bench)
                for round in 0..<8 {
                    let before = load.answers
                    _ = try await eventually("requests go on") { load.answers > before + 50 ? true : nil }
                    try await bench.hold("switch-\(round)")
                    _ = try await eventually("nothing in flight") {
                        try await bench.report().hold?.inFlight == 0 ? true : nil
                    }
                    let still = instance.requests.count
                    _ = try await eventually("everybody waits") {
                        try await bench.report().hold?.queued == 24 ? true : nil
                    }
                    #expect(instance.requests.count == still)
                    #expect(try await bench.letGo("switch-\(round)").status == 200)
                    #expect(try await bench.report().hold == nil)
                }
                load.end()
                await clients
                let seen = load.seen.withLock { $0 }
                #expect(seen.failures.isEmpty, "\(seen.failures.prefix(5))")
                #expect(instance.requests.count == seen.answers)
                let report = try await bench.report()
                #expect(report.stable.requests == UInt64(seen.answers) && report.refused == 0)
            }
        }

        @Test func `the version is chosen when a request is let go`() async throws {
            let old = try await service("old")
            let new = try await service("new")
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [old.backend("old")], canary: [new.backend("c")], share: 10_000))
                try await bench.hold("switch")
                async let answer = bench.get("/", ["Cookie: session=1"])
                async let forced = bench.get("/", ["X-Canary: always"])
                _ = try await eventually("held") { try await bench.report().hold?.queued == 2 ? true : nil }
                try await bench.put(.serving(stable: [old.backend("old")], generation: 2))
                try await bench.letGo("switch")
                #expect(try await answer.field("x-instance") == "old")
                #expect(try await forced.field("x-instance") == "old")
                #expect(new.requests.isEmpty)
            }
        }

        @Test func `a hold lets go by itself at its deadline, and latency leaves the wait out`() async throws {
            let instance = try await service("a")
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                try await bench.hold("switch", milliseconds: 60_000)
                // The same name again changes the deadline.
                try await bench.hold("switch", milliseconds: 400)
                let began = ContinuousClock.now
                #expect(try await bench.get("/").status == 200)
                let waited = ContinuousClock.now - began
                #expect(waited > .milliseconds(200) && waited < .seconds(5))
                let report = try await bench.report()
                #expect(report.hold == nil)
                let slowest = try #require(report.stable.latency.quantile(perMille: 1_000))
                #expect(slowest < 200_000)
            }
        }

        @Test func `a hold has one owner and a bounded queue, and forgets clients that leave`() async throws {
            let instance = try await service("a")
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                try await bench.hold("mine", maximum: 2)
                let other = HoldRequest(name: "other", deadlineMilliseconds: 1_000)
                #expect(try await bench.control("POST /hold", json: other).status == 409)
                #expect(try await bench.letGo("other").status == 409)
                let first = try await bench.wire()
                try await first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
                let second = try await bench.wire()
                try await second.send("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
                _ = try await eventually("held") { try await bench.report().hold?.queued == 2 ? true : nil }
                let wire = try await bench.wire()
                let third = try await wire.ask("GET /3")
                #expect(third.status == 503 && third.field("retry-after") == "1")
                await first.close()
                _ = try await eventually("forgotten") { try await bench.report().hold?.queued == 1 ? true : nil }
                try await wire.send("GET /4 HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await eventually("held") { try await bench.report().hold?.queued == 2 ? true : nil }
                try await bench.letGo("mine")
                #expect(try await second.answer().text == "/2")
                #expect(try await wire.answer().text == "/4")
                let report = try await bench.report()
                #expect(report.refused == 1 && report.stable.requests == 2)
                #expect(try await bench.letGo("mine").status == 200)
            }
        }

        @Test func `a router that stops answers what is under way and accepts nobody new`() async throws {
            let instance = try await ServiceInstance.serving { _ in Reply(body: "done", after: .milliseconds(300)) }
            let bench = try await Bench.start()
            try await bench.put(.serving(stable: [instance.backend("a")]))
            let port = bench.port
            let busy = try await bench.wire()
            try await busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let idle = try await bench.wire()
            _ = try await eventually("in flight") { try await bench.report().inFlightStable == 1 ? true : nil }
            async let stopped: Void = bench.router.shutdown(deadline: .seconds(10))
            _ = try await eventually("idle ones closed") { idle.isOver ? true : nil }
            await #expect(throws: (any Error).self) { try await Wire.connect(port: port) }
            let answer = try await busy.answer()
            #expect(answer.status == 200 && answer.text == "done" && answer.field("connection") == "close")
            await busy.close()
            await stopped
            await bench.stop()
        }

        @Test func `a router that stops cuts off what outlasts the deadline`() async throws {
            let silent = try await ServiceInstance.raw { _, _ in [] }
            let bench = try await Bench.start()
            try await bench.put(.serving(stable: [silent.backend("a")]))
            let wire = try await bench.wire()
            try await wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await eventually("in flight") { try await bench.report().inFlightStable == 1 ? true : nil }
            let began = ContinuousClock.now
            await bench.router.shutdown(deadline: .milliseconds(100))
            #expect(ContinuousClock.now - began < .seconds(5))
            _ = try await eventually("closed") { wire.isOver ? true : nil }
            await bench.stop()
        }
    }
}
