// Goal: every request is counted once, in the arm of its user, and a failing one is kept without its secrets. Method:
// what concurrent clients saw against what the router reports.

import Analysis
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Traffic

@testable import Router

/// Answers with the status that the path names.
private func service(_ name: String) async throws -> ServiceInstance {
    try await ServiceInstance.serving { request in
        let status = Int(request.head.uri.dropFirst()) ?? 200
        return Reply(status: HTTPResponseStatus(statusCode: status), fields: ["X-Instance": name], body: "x")
    }
}

private final class Seen: Sendable {
    let counts = Mutex<[String: Int]>([:])
}

extension Live {
    @Suite struct CountTests {
        @Test func `counts are exact under concurrency`() async throws {
            let stable = [try await service("s1"), try await service("s2")]
            let canary = try await service("c")
            try await Bench.with { bench in
                try await bench.put(
                    .serving(
                        stable: stable.enumerated().map { $1.backend("s\($0)") }, canary: [canary.backend("c")],
                        share: 3_000))
                let seen = Seen()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in 0..<20 {
                        group.addTask {
                            let wire = try await bench.wire()
                            for turn in 0..<60 {
                                let status = [200, 200, 201, 302, 404, 500, 503][turn % 7]
                                let fields = turn == 30 ? ["X-Canary: always"] : ["Cookie: session=\(client)-\(turn)"]
                                let answer = try await wire.ask("GET /\(status)", fields)
                                #expect(answer.status == status)
                                let arm = answer.field("x-instance") == "c" ? "canary" : "stable"
                                let key = turn == 30 ? "forced" : "\(arm) \(status / 100)"
                                seen.counts.withLock { $0[key, default: 0] += 1 }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let counted = seen.counts.withLock { $0 }
                let report = try await bench.report()
                for (arm, counts) in [("stable", report.stable), ("canary", report.canary)] {
                    for status in 2...5 {
                        #expect(counts.statusClasses[status - 1] == UInt64(counted["\(arm) \(status)"] ?? 0))
                    }
                    #expect(counts.requests == counts.statusClasses.reduce(0, +))
                    #expect(counts.latency.total == counts.requests)
                }
                #expect(report.stable.requests + report.canary.requests == 1_180 && report.forced == 20)
                #expect(report.inFlightStable == 0 && report.inFlightCanary == 0)
                var seconds = VersionCounts()
                for second in report.recent { seconds.add(second.canary) }
                #expect(seconds == report.canary)
                let samples = try await bench.samples()
                #expect(UInt64(samples.samples.count) + samples.dropped == report.canary.failures)
                #expect(samples.samples.count <= 50)
            }
        }

        @Test func `a new release counts from zero, and late answers of the old one are not counted`() async throws {
            let release = testLoops.any().makePromise(of: Void.self)
            let instance = try await ServiceInstance.serving { request in
                Reply(status: .internalServerError, when: request.head.uri == "/slow" ? release.futureResult : nil)
            }
            let canary = [instance.backend("c")]
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [], canary: canary, share: 10_000))
                #expect(try await bench.get("/").status == 500)
                #expect(try await bench.report().canary.requests == 1)
                #expect(try await bench.samples().firstFailureAt != nil)
                async let late = bench.get("/slow")
                _ = try await eventually("in flight") { try await bench.report().inFlightCanary == 1 ? true : nil }
                // Another share of the same release goes on counting.
                try await bench.put(.serving(stable: [], canary: canary, share: 9_999, generation: 2))
                #expect(try await bench.report().canary.requests == 1)
                try await bench.put(.serving(stable: [], canary: canary, share: 10_000, generation: 3, release: "r2"))
                release.succeed()
                #expect(try await late.status == 500)
                let report = try await bench.report()
                #expect(report.release == "r2" && report.canary.requests == 0 && report.inFlightCanary == 0)
                let samples = try await bench.samples()
                #expect(samples.samples.isEmpty && samples.release == "r2" && samples.firstFailureAt == nil)
            }
        }

        @Test func `a failing canary request is kept, its secrets are not`() async throws {
            let instance = try await ServiceInstance.serving { request in
                Reply(
                    status: .internalServerError,
                    fields: ["Content-Type": "application/json", "Set-Cookie": "session=SECRET"],
                    body: #"{"error":"KeyError: 'total'","card":{"number":"SECRET"}}"#
                        + String(repeating: "x", count: 9_000))
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [], canary: [instance.backend("canary-1")], share: 10_000))
                let wire = try await bench.wire()
                let answer = try await wire.ask(
                    "POST /orders?card=SECRET&id=7",
                    [
                        "Cookie: session=SECRET", "Authorization: Bearer SECRET", "X-Secret: SECRET",
                        "Content-Type: application/json", "traceparent: 00-aa-bb-01",
                    ], body: #"{"password":"SECRET","item":"book"}"#)
                #expect(answer.status == 500)
                let report = try await bench.samples()
                let sample = try #require(report.samples.first)
                #expect(sample.instance == "canary-1" && sample.kind == .status && sample.status == 500)
                #expect(sample.method == "POST" && sample.target == "/orders?card=[redacted]&id=7")
                #expect(sample.requestBody == #"{"password":"[redacted]","item":"book"}"#)
                #expect(sample.responseBody.contains("KeyError: 'total'"))
                #expect(sample.responseBody.utf8.count <= 4_096)
                #expect(sample.trace == "00-aa-bb-01")
                #expect(report.firstFailureAt == sample.at && report.dropped == 0)
                #expect(!(try await bench.control("GET /samples").text.contains("SECRET")))
            }
        }

        @Test func `failures of stable and of testers are no samples`() async throws {
            let instance = try await ServiceInstance.serving { _ in Reply(status: .internalServerError) }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("s")], canary: [instance.backend("c")]))
                #expect(try await bench.get("/").status == 500)
                #expect(try await bench.get("/", ["X-Canary: always"]).status == 500)
                #expect(try await bench.samples().samples.isEmpty)
            }
        }
    }
}
