// Goal: `/metrics` says what the report says, counts on from release to release, and is all that its listener answers.
// Method: a live router read over both sockets, and the page of known counts.

import Analysis
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing
import Traffic

@testable import Router

extension Wire {
    /// One request to the metrics listener.
    static func scrape(port: Int, _ line: String = "GET /metrics", body: String? = nil) async throws -> Answer {
        let wire = try await connect(port: port)
        let answer = try await wire.ask(line, body: body)
        await wire.close()
        return answer
    }
}

/// Samples of a page by name and labels, as they are written.
func samples(_ page: String) -> [String: Double] {
    page.split(separator: "\n").filter { !$0.hasPrefix("#") }.reduce(into: [:]) { samples, line in
        guard let space = line.lastIndex(of: " ") else { return }
        samples[String(line[..<space])] = Double(line[line.index(after: space)...])
    }
}

extension Live {
    @Suite struct MetricsTests {
        @Test func `the page has the report's counts, on both sockets`() async throws {
            let instance = try await ServiceInstance.serving { request in
                switch request.head.uri {
                case "/moved": Reply(status: .found)
                case "/none": Reply(status: .notFound)
                case "/fail": Reply(status: .badGateway)
                default: Reply()
                }
            }
            let gone = try await ServiceInstance.named("gone")
            let unreachable = gone.backend("c")
            await gone.die()
            try await Bench.with(metrics: "127.0.0.1:0") { bench in
                let port = try #require(bench.router.metricsPort)
                #expect(try await bench.get("/").status == 503)
                try await bench.put(
                    .serving(
                        stable: [instance.backend("s")], canary: [unreachable], share: 10_000, keys: [.request]))
                // The canary cannot be reached: charged with it, served by stable.
                for path in ["/", "/fail"] { _ = try await bench.get(path) }
                #expect(try await bench.get("/", ["X-Canary: always"]).status == 502)
                try await bench.put(
                    .serving(
                        stable: [instance.backend("s")], canary: [instance.backend("c")], share: 0, generation: 2,
                        keys: [.request]))
                for path in ["/", "/", "/moved", "/none", "/fail"] { _ = try await bench.get(path) }
                let report = try await bench.report()
                let answer = try await Wire.scrape(port: port)
                #expect(answer.status == 200)
                #expect(answer.field("content-type") == "text/plain; version=0.0.4; charset=utf-8")
                let page = samples(answer.text)
                func requests(_ version: String, _ outcome: String, _ code: String) -> Double? {
                    page[
                        #"perch_router_requests_total{service="shop",version="\#(version)",outcome="\#(outcome)",code="\#(code)"}"#
                    ]
                }
                #expect(requests("stable", "ok", "2xx") == 2 && requests("stable", "ok", "3xx") == 1)
                #expect(requests("stable", "ok", "4xx") == 1 && requests("stable", "failed", "5xx") == 1)
                #expect(requests("stable", "failed", "none") == 0 && requests("stable", "aborted", "none") == 0)
                #expect(requests("canary", "failed", "none") == 2 && requests("canary", "ok", "2xx") == 0)
                #expect(
                    page[#"perch_router_failures_total{service="shop",version="canary",kind="connect"}"#] == 2)
                #expect(page[#"perch_router_failures_total{service="shop",version="stable",kind="5xx"}"#] == 1)
                #expect(page[#"perch_router_forced_requests_total{service="shop"}"#] == 1)
                #expect(page[#"perch_router_refused_requests_total{service="shop"}"#] == 1)
                #expect(report.stable.requests == 5 && report.canary.connectFailures == 2 && report.forced == 1)
                #expect(page[#"perch_router_requests_in_flight{service="shop",version="stable"}"#] == 0)
                #expect(page[#"perch_router_canary_share_ratio{service="shop"}"#] == 0)
                #expect(page[#"perch_router_table_generation{service="shop"}"#] == 2)
                #expect(page[#"perch_router_info{service="shop",release="r1",boot="\#(report.boot)"}"#] == 1)
                let started = try #require(page["process_start_time_seconds"])
                #expect(abs(started - Date().timeIntervalSince1970) < 60)
                // Nothing has settled since, so the control socket has the same page.
                let other = try await bench.control("GET /metrics")
                #expect(other.status == 200 && other.text == answer.text)
            }
        }

        @Test func `buckets are the histogram's own edges, the sum is exact, and a slow request is in neither too low`()
            async throws
        {
            let instance = try await ServiceInstance.serving { request in
                Reply(after: request.head.uri == "/slow" ? .milliseconds(70) : .zero)
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("s")], keys: [.request]))
                for path in ["/", "/", "/slow"] { _ = try await bench.get(path) }
                let latency = try await bench.report().stable.latency
                let page = samples(try await bench.control("GET /metrics").text)
                func value(_ suffix: String, _ label: String = "") -> Double? {
                    page[
                        "perch_router_request_duration_seconds_\(suffix){service=\"shop\",version=\"stable\"\(label)}"]
                }
                var last = 0.0
                for bucket in MetricsPage.doublings {
                    let edge = Double(1 << bucket) / 1_000_000
                    let found = page.filter { key, _ in
                        guard key.hasPrefix("perch_router_request_duration_seconds_bucket"), key.contains("stable"),
                            let mark = key.firstRange(of: "le=\"")
                        else { return false }
                        return Double(key[mark.upperBound...].prefix { $0 != "\"" }) == edge
                    }
                    #expect(found.count == 1, "\(edge)")
                    let below = try #require(found.first?.value)
                    #expect(below == Double(latency.counts[...(bucket * 8)].reduce(0, +)) && below >= last)
                    last = below
                }
                #expect(value("bucket", ",le=\"0.065536\"") == 2 && value("bucket", ",le=\"0.524288\"") == 3)
                #expect(value("bucket", ",le=\"+Inf\"") == 3 && value("count") == 3)
                let sum = try #require(value("sum"))
                #expect(sum >= 0.07 && sum < 2)
                // Edges of the buckets that hold the three, from below and above.
                var (low, high) = (0.0, 0.0)
                for (bucket, count) in latency.counts.enumerated() where count > 0 {
                    low += Double(count) * (bucket == 0 ? 0 : LatencyHistogram.upperEdgeMicroseconds(bucket - 1))
                    high += Double(count) * LatencyHistogram.upperEdgeMicroseconds(bucket)
                }
                #expect(low <= sum * 1_000_000 && sum * 1_000_000 <= high)
            }
        }

        @Test func `counters go on from release to release, with requests that outlive theirs`() async throws {
            let gate = testLoops.next().makePromise(of: Void.self)
            let instance = try await ServiceInstance.serving { request in
                request.head.uri == "/slow" ? Reply(when: gate.futureResult) : Reply()
            }
            try await Bench.with { bench in
                let ok = #"perch_router_requests_total{service="shop",version="stable",outcome="ok",code="2xx"}"#
                let count = #"perch_router_request_duration_seconds_count{service="shop",version="stable"}"#
                try await bench.put(.serving(stable: [instance.backend("s")]))
                _ = try await bench.get("/")
                let wire = try await bench.wire()
                try await wire.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await eventually("the request in flight") {
                    try await bench.report().inFlightStable == 1 ? 1 : nil
                }
                try await bench.put(.serving(stable: [instance.backend("s")], generation: 2, release: "r2"))
                #expect(try await bench.report().stable.requests == 0)
                var page = samples(try await bench.control("GET /metrics").text)
                #expect(page[ok] == 1)
                #expect(page[#"perch_router_requests_in_flight{service="shop",version="stable"}"#] == 1)
                gate.succeed()
                _ = try await wire.answer()
                _ = try await bench.get("/")
                #expect(try await bench.report().stable.requests == 1)
                page = samples(try await bench.control("GET /metrics").text)
                #expect(page[ok] == 3 && page[count] == 3)
                await wire.close()
            }
        }

        @Test func `the listener answers metrics and health, and no more`() async throws {
            try await Bench.with(metrics: "127.0.0.1:0") { bench in
                let port = try #require(bench.router.metricsPort)
                for (line, status) in [
                    ("GET /metrics", 200), ("GET /healthz", 200), ("POST /metrics", 405), ("GET /table", 404),
                    ("GET /report", 404), ("GET /samples", 404), ("POST /let-go", 404), ("GET /", 404),
                    ("GET /metrics/", 404), ("GET //table", 404), ("GET /metrics?/table", 404),
                    ("DELETE /healthz", 405),
                ] {
                    #expect(try await Wire.scrape(port: port, line).status == status, "\(line)")
                }
                // A body is not even read.
                let wire = try await Wire.connect(port: port)
                try await wire.send("PUT /table HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
                #expect(try await wire.takeToEnd().isEmpty)
                #expect(try await bench.control("GET /table").status == 404)
                // One connection serves many scrapes.
                let kept = try await Wire.connect(port: port)
                for _ in 0..<3 { #expect(try await kept.ask("GET /metrics").status == 200) }
                await kept.close()
            }
        }

        @Test func `more connections than the listener takes are closed, and room returns`() async throws {
            try await Bench.with(metrics: "127.0.0.1:0") { bench in
                let port = try #require(bench.router.metricsPort)
                var wires: [Wire] = []
                for _ in 0..<Router.metricsConnections {
                    let wire = try await Wire.connect(port: port)
                    #expect(try await wire.ask("GET /healthz").status == 200)
                    wires.append(wire)
                }
                let late = try await Wire.connect(port: port)
                #expect(try await late.takeToEnd().isEmpty)
                for wire in wires { await wire.close() }
                _ = try await eventually("room") {
                    let wire = try await Wire.connect(port: port)
                    try? await wire.send("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    return try await wire.takeToEnd().isEmpty ? nil : 1
                }
            }
        }

        @Test func `a silent connection is closed`() async throws {
            try await Bench.with(metrics: "127.0.0.1:0", limits: { $0.keepAlive = .milliseconds(200) }) { bench in
                let wire = try await Wire.connect(port: try #require(bench.router.metricsPort))
                #expect(try await wire.takeToEnd().isEmpty)
            }
        }

        @Test func `a metrics address that is taken keeps no router from serving`() async throws {
            let instance = try await ServiceInstance.named("a")
            try await Bench.with(metrics: "127.0.0.1:\(instance.port)") { bench in
                #expect(bench.router.metricsPort == nil)
                try await bench.put(.serving(stable: [instance.backend("a")]))
                #expect(try await bench.get("/").text == "a")
                #expect(try await bench.control("GET /metrics").status == 200)
            }
        }
    }
}

@Suite struct MetricsTextTests {
    @Test func `labels and help are escaped, and nothing else`() {
        var text = MetricsText()
        text.family("a_total", .counter, "a \"b\" \\ and\nc")
        text.sample([("l", "a \"b\" \\ and\nc, é}")], 7)
        text.sample([], "0.5")
        #expect(
            text.lines == """
                # HELP a_total a "b" \\\\ and\\nc
                # TYPE a_total counter
                a_total{l="a \\"b\\" \\\\ and\\nc, é}"} 7
                a_total 0.5

                """)
    }

    @Test func `microseconds are written as seconds without loss`() {
        for (microseconds, text) in [
            (0, "0"), (1, "0.000001"), (128, "0.000128"), (1_000_000, "1"), (2_500_000, "2.5"),
            (33_554_432, "33.554432"),
            (.max, "18446744073709.551615"),
        ] as [(UInt64, String)] {
            #expect(MetricsText.seconds(microseconds: microseconds) == text)
        }
    }
}
