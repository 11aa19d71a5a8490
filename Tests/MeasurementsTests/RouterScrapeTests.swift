// Goal: what Perch's own router counted arrives through Prometheus as it was, request by request and version by version.
// Method: a real router before two servers of the test, scraped by a real Prometheus.

import AsyncHTTPClient
import Foundation
import Logging
import Measurements
import NIOCore
import NIOHTTP1
import Ports
import Releases
import Router
import Testing
import Traffic

@Suite("A router that Prometheus scrapes", .timeLimit(.minutes(5)))
struct RouterScrapeTests {
    @Test("gives every request and failure of both versions once")
    func counts() async throws {
        let folder = NSTemporaryDirectory() + "perch-scrape-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let instance = try await HTTPServer { path in .whole(status: path == "/fail" ? 500 : 200, body: "") }
        let router = Router(
            settings: try RouterSettings(
                listen: "127.0.0.1:0", controlSocket: folder + "/control", tableFile: folder + "/table",
                metrics: "127.0.0.1:0", service: "shop"),
            logger: Logger(label: "router"))
        try await router.start()
        try await serve(through: folder + "/control", by: instance.port)
        let port = try #require(router.port)
        let prometheus = try await PrometheusServer.start(targets: ["127.0.0.1:\(try #require(router.metricsPort))"])

        let counters = Policy.PrometheusCounters(
            address: prometheus.address,
            failures: #"perch_router_requests_total{service="shop",outcome="failed"}"#,
            requests: #"perch_router_requests_total{service="shop",outcome!="aborted"}"#)
        let metric = Policy.Metric(name: "router", source: .counters(counters))
        let sources = MetricSources { secret throws(Failure) in throw Failure("secret \(secret) is not set") }
        var ledger = ScrapeLedger()
        var sum = ScrapeLedger.Counts()
        func take() async {
            guard case .counts(let reading) = await sources.read(metric) else { return }
            let counts = ledger.take(reading, heldMilliseconds: 1 << 40).counts
            sum.stableRequests += counts.stableRequests
            sum.stableFailures += counts.stableFailures
            sum.canaryRequests += counts.canaryRequests
            sum.canaryFailures += counts.canaryFailures
        }
        try await eventually("it is scraped") {
            await take()
            return ledger != ScrapeLedger()
        }
        for turn in 0..<300 {
            let path = turn % 6 == 0 ? "fail" : "fine"
            let answer = try await HTTPClient.shared.get(url: "http://127.0.0.1:\(port)/\(path)").get()
            #expect(answer.status.code == (turn % 6 == 0 ? 500 : 200))
            if turn % 50 == 0 { await take() }
        }
        try await eventually("all is counted") {
            await take()
            return sum.stableRequests + sum.canaryRequests == 300
        }
        #expect(sum.stableFailures + sum.canaryFailures == 50)
        // 30 % of 300, and more than six standard deviations of 8 on both sides.
        #expect((40...140).contains(sum.canaryRequests))
        #expect(sum.canaryFailures <= sum.canaryRequests && sum.canaryFailures > 0)
        await prometheus.stop()
        await router.shutdown(deadline: .seconds(1))
        try await instance.close()
    }

    private func serve(through socket: String, by port: Int) async throws {
        let table = RoutingTable(
            epoch: 1, generation: 1, service: "shop", release: "r1",
            stable: [.init(name: "s", host: "127.0.0.1", port: port)],
            canary: [.init(name: "c", host: "127.0.0.1", port: port)], canaryShare: 3_000,
            cohort: CohortRule(keys: [.request], salt: "salt", includeHeaders: [:]), timeoutMilliseconds: 10_000,
            redactHeaders: [], redactFields: [])
        let encoded = socket.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        var request = HTTPClientRequest(url: "http+unix://\(encoded)/table")
        request.method = .PUT
        request.body = .bytes(Array(try JSONEncoder().encode(table)))
        let answer = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
        #expect(answer.status.code == 200)
    }
}
