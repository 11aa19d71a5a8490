// Goal: failures of instances are told apart, counted once, and never made by the router. Method: instances that
// refuse, stay silent, reset, lie and close at the wrong moment.

import Analysis
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Traffic

@testable import Router

/// A port on which nobody listens.
private func deadPort() async throws -> Int {
    let instance = try await ServiceInstance.named("dead")
    let port = instance.port
    await instance.die()
    return port
}

private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

extension Live {
    @Suite struct FailureTests {
        @Test func `an instance that refuses connections costs no request`() async throws {
            let instance = try await ServiceInstance.named("a")
            let dead = Backend(name: "dead", host: "127.0.0.1", port: try await deadPort())
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [dead, instance.backend("a")]))
                let wire = try await bench.wire()
                for _ in 0..<30 { #expect(try await wire.ask("POST /", body: "x").text == "a") }
                let stable = try await bench.report().stable
                #expect(stable.requests == 30 && stable.statusClasses[1] == 30 && stable.connectFailures == 0)
            }
        }

        @Test func `when no instance accepts a connection the answer is 502`() async throws {
            let dead = Backend(name: "dead", host: "127.0.0.1", port: try await deadPort())
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [dead]))
                #expect(try await bench.get("/").status == 502)
                let report = try await bench.report()
                #expect(report.stable.connectFailures == 1 && report.stable.requests == 1 && report.refused == 0)
                #expect(report.stable.latency.total == 0)
            }
        }

        @Test func `users of a canary that cannot be reached are served by stable, and the canary is charged`()
            async throws
        {
            let instance = try await ServiceInstance.named("a")
            let dead = Backend(name: "canary-1", host: "127.0.0.1", port: try await deadPort())
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")], canary: [dead], share: 10_000))
                let wire = try await bench.wire()
                for _ in 0..<5 { #expect(try await wire.ask("POST /", body: "x").text == "a") }
                let report = try await bench.report()
                #expect(report.canary.requests == 5 && report.canary.connectFailures == 5)
                #expect(report.stable.requests == 0)
                #expect(report.inFlightStable == 0 && report.inFlightCanary == 0)
                let samples = try await bench.samples().samples
                #expect(samples.count == 5 && samples[0].kind == .connectFailure && samples[0].instance == "canary-1")
            }
        }

        @Test func `a tester sees that the canary cannot be reached`() async throws {
            let instance = try await ServiceInstance.named("a")
            let dead = Backend(name: "canary-1", host: "127.0.0.1", port: try await deadPort())
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")], canary: [dead]))
                #expect(try await bench.get("/", ["X-Canary: always"]).status == 502)
                #expect(try await bench.get("/").text == "a")
                let report = try await bench.report()
                #expect(report.forced == 1 && report.canary.requests == 0 && report.stable.requests == 1)
            }
        }

        @Test func `an instance that does not answer in time gives 504`() async throws {
            let silent = try await ServiceInstance.raw { _, _ in [] }
            try await Bench.with { bench in
                try await bench.put(
                    .serving(
                        stable: [], canary: [silent.backend("c")], share: 10_000, timeout: 150))
                #expect(try await bench.get("/slow").status == 504)
                let canary = try await bench.report().canary
                #expect(canary.timeouts == 1 && canary.requests == 1 && canary.latency.total == 0)
                #expect(try await bench.samples().samples.map(\.kind) == [.timeout])
                _ = try await eventually("its connection closed") { silent.openConnections == 0 ? true : nil }
            }
        }

        @Test func `a response that stops in the middle is cut off and counted as a timeout`() async throws {
            let stuck = try await ServiceInstance.raw { _, _ in
                [.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")]
            }
            try await Bench.with(limits: { $0.responseIdle = .milliseconds(150) }) { bench in
                try await bench.put(.serving(stable: [stuck.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(String(decoding: try await wire.takeToEnd(), as: UTF8.self).hasSuffix("abc"))
                #expect(try await bench.report().stable.timeouts == 1)
            }
        }

        @Test(arguments: [
            ("closes without an answer", "", 502), ("speaks nonsense", "SSH-2.0-OpenSSH\r\n\r\n", 502),
            (
                "switches protocols unasked",
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502
            ),
        ])
        func `an instance that breaks the rules`(what: String, bytes: String, status: Int) async throws {
            let broken = try await ServiceInstance.raw { _, _ in [.send(bytes), .close] }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [broken.backend("a")]))
                #expect(try await bench.get("/").status == status, "\(what)")
                let stable = try await bench.report().stable
                #expect(stable.resets == 1 && stable.requests == 1, "\(what)")
                // A fresh connection that fails is the instance's failure: never repeated.
                #expect(broken.connections == 1, "\(what)")
            }
        }

        @Test func `a response that loses its connection is cut off and counted as a reset`() async throws {
            let lost = try await ServiceInstance.raw { _, _ in
                [.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), .close]
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [lost.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(String(decoding: try await wire.takeToEnd(), as: UTF8.self).hasSuffix("abc"))
                #expect(try await bench.report().stable.resets == 1)
            }
        }

        @Test func `a request that can be repeated survives a connection closed under it, others are not repeated`()
            async throws
        {
            let posts = Mutex(0)
            // The second request of every connection is met by a close, as when an idle timeout strikes at that moment.
            let instance = try await ServiceInstance.raw { _, received in
                if received.contains("POST") { posts.withLock { $0 += 1 } }
                return received.components("\r\n\r\n") > 1 ? [.close] : [.send(ok)]
            }
            try await Bench.with(threads: 1) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                for _ in 0..<6 { #expect(try await wire.ask("GET /").text == "ok") }
                #expect(instance.connections == 6)
                #expect(try await wire.ask("POST /", body: "x").status == 502)
                #expect(posts.withLock { $0 } == 1)
                let stable = try await bench.report().stable
                #expect(stable.requests == 7 && stable.resets == 1 && stable.statusClasses[1] == 6)
            }
        }

        @Test func `a connection that the instance closed between requests is not used`() async throws {
            let instance = try await ServiceInstance.raw { _, _ in [.send(ok), .close] }
            try await Bench.with(threads: 1) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                for _ in 0..<200 {
                    #expect(try await wire.ask("POST /", body: "x").text == "ok")
                    // Closed for the instance; whether the router's event loop has noticed is left to chance.
                    _ = try await eventually("closed") { instance.openConnections == 0 ? true : nil }
                }
                #expect(try await bench.report().stable.resets == 0)
            }
        }

        @Test func `a request that could not be repeated takes no connection that was unused for long`() async throws {
            let instance = try await ServiceInstance.serving { _ in Reply(body: "ok") }
            try await Bench.with(threads: 1, limits: { $0.reuseUnrepeatable = .zero }) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                for _ in 0..<3 { #expect(try await wire.ask("POST /", body: "x").text == "ok") }
                #expect(instance.connections == 3)
                for _ in 0..<3 { #expect(try await wire.ask("GET /").text == "ok") }
                #expect(instance.connections == 3)
            }
        }

        @Test func `the instance's own keep-alive time is respected`() async throws {
            let instance = try await ServiceInstance.serving { _ in
                Reply(fields: ["Keep-Alive": "timeout=1"], body: "ok")
            }
            try await Bench.with(threads: 1) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                for _ in 0..<3 { #expect(try await wire.ask("GET /").text == "ok") }
                #expect(instance.connections == 3)
            }
        }

        @Test func `a client that leaves is no failure, and the instance is told`() async throws {
            let silent = try await ServiceInstance.raw { _, _ in [] }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [silent.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await eventually("in flight") { try await bench.report().inFlightStable == 1 ? true : nil }
                await wire.close()
                _ = try await eventually("settled") { try await bench.report().stable.clientAborts == 1 ? true : nil }
                _ = try await eventually("its connection closed") { silent.openConnections == 0 ? true : nil }
                let stable = try await bench.report().stable
                #expect(stable.requests == 1 && stable.failures == 0 && stable.judged == 0)
            }
        }

        @Test func `an instance gets no more connections than its limit, and nobody is refused`() async throws {
            let instance = try await ServiceInstance.serving { _ in Reply(body: "ok", after: .milliseconds(20)) }
            try await Bench.with(threads: 1, limits: { $0.connectionsPerInstance = 4 }) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<40 { group.addTask { try await bench.get("/").status } }
                    for try await status in group { #expect(status == 200) }
                }
                #expect(instance.connections <= 4)
                #expect(try await bench.report().stable.requests == 40)
            }
        }

        @Test func `who waits too long for a connection gets 503`() async throws {
            let silent = try await ServiceInstance.raw { _, _ in [] }
            let limits = { (limits: inout RouterLimits) in
                limits.connectionsPerInstance = 1
                limits.waitForConnection = .milliseconds(150)
            }
            try await Bench.with(threads: 1, limits: limits) { bench in
                try await bench.put(.serving(stable: [silent.backend("a")]))
                let first = try await bench.wire()
                try await first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await eventually("in flight") { try await bench.report().inFlightStable == 1 ? true : nil }
                let second = try await bench.get("/")
                #expect(second.status == 503 && second.field("retry-after") == "1")
                #expect(try await bench.report().inFlightStable == 1)
            }
        }
    }
}

extension String {
    /// How often `separator` is in this text.
    fileprivate func components(_ separator: String) -> Int { ranges(of: separator).count }
}
