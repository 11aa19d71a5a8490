// Goal: a real Prometheus understands the page and sees the report's numbers. Method: promtool judges the page of a router
// under load, a Prometheus server on this machine scrapes it and is asked.

import Analysis
import Foundation
import NIOCore
import NIOHTTP1
import Testing
import Traffic

@testable import Router

/// A Prometheus server of the test, ended with it.
private final class PrometheusServer {
    let port: Int
    private let process = Process()
    private let folder: String

    init(scraping target: Int, in folder: String) async throws {
        self.folder = folder
        port = try await Self.freePort()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try """
        global: {scrape_interval: 250ms, scrape_timeout: 250ms}
        scrape_configs:
          - job_name: router
            static_configs: [{targets: ["127.0.0.1:\(target)"]}]
        """.write(toFile: folder + "/prometheus.yml", atomically: false, encoding: .utf8)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "prometheus", "--config.file=\(folder)/prometheus.yml", "--storage.tsdb.path=\(folder)/data",
            "--web.listen-address=127.0.0.1:\(port)", "--log.level=error",
        ]
        try process.run()
    }

    private static func freePort() async throws -> Int {
        let instance = try await ServiceInstance.named("")
        let port = instance.port
        await instance.die()
        return port
    }

    func stop() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// The value of an instant query that has one; nil while it has none.
    func value(_ query: String) async throws -> Double? {
        struct Response: Decodable {
            struct Content: Decodable { var result: [Sample] }
            struct Sample: Decodable {
                var value: String
                init(from decoder: any Decoder) throws {
                    var pair = try decoder.container(keyedBy: Keys.self).nestedUnkeyedContainer(forKey: .value)
                    _ = try pair.decode(Double.self)
                    value = try pair.decode(String.self)
                }
                enum Keys: String, CodingKey { case value }
            }
            var data: Content
        }
        guard let wire = try? await Wire.connect(port: port) else { return nil }
        let encoded = query.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        let answer = try await wire.ask("GET /api/v1/query?query=\(encoded)")
        await wire.close()
        guard answer.status == 200 else { return nil }
        let samples = try JSONDecoder().decode(Response.self, from: Data(answer.body)).data.result
        return samples.count == 1 ? Double(samples[0].value) : nil
    }
}

/// What promtool complains of; empty for a good page.
private func complaints(of page: String) throws -> String {
    let process = Process()
    let (input, output) = (Pipe(), Pipe())
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["promtool", "check", "metrics"]
    process.standardInput = input
    process.standardOutput = output
    process.standardError = output
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data(page.utf8))
    try input.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return process.terminationStatus == 0 ? text : "status \(process.terminationStatus): \(text)"
}

extension Live {
    @Suite struct PrometheusTests {
        @Test func `Prometheus sees what the report says, and promtool finds nothing wrong with the page`() async throws
        {
            let instance = try await ServiceInstance.serving { request in
                request.head.uri == "/fail" ? Reply(status: .internalServerError) : Reply()
            }
            try await Bench.with(metrics: "127.0.0.1:0") { bench in
                let target = try #require(bench.router.metricsPort)
                #expect(try complaints(of: try await Wire.scrape(port: target).text) == "")
                let server = try await PrometheusServer(scraping: target, in: bench.folder + "/prometheus")
                defer { server.stop() }
                var settled: [String: Double] = [:]
                var failures = 0.0
                for release in 1...2 {
                    try await bench.put(
                        .serving(
                            stable: [instance.backend("s")], canary: [instance.backend("c")], share: 3_000,
                            generation: UInt64(release), release: "r\(release)"))
                    let wires = [try await bench.wire(), try await bench.wire(), try await bench.wire()]
                    for turn in 0..<600 {
                        _ = try await wires[turn % 3].ask(turn % 7 == 0 ? "GET /fail" : "GET /")
                    }
                    for wire in wires { await wire.close() }
                    let report = try await bench.report()
                    for (version, counts) in [("stable", report.stable), ("canary", report.canary)] {
                        settled[version, default: 0] += Double(counts.requests)
                        failures += Double(counts.failures)
                    }
                }
                #expect(settled.values.reduce(0, +) == 1_200 && failures == 172)
                func agrees(_ query: String, _ expected: Double) async throws {
                    var last: Double?
                    do {
                        _ = try await eventually(query) {
                            last = try await server.value(query)
                            return last == expected ? expected : nil
                        }
                    } catch {
                        Issue.record("\(query) is \(String(describing: last)), not \(expected)")
                    }
                }
                try await agrees("sum(perch_router_failures_total)", failures)
                for (version, count) in settled {
                    try await agrees("sum(perch_router_requests_total{version=\"\(version)\"})", count)
                    try await agrees("perch_router_request_duration_seconds_count{version=\"\(version)\"}", count)
                }
                #expect(try complaints(of: try await bench.control("GET /metrics").text) == "")
                let boot = try await bench.report().boot
                try await agrees("perch_router_canary_share_ratio", 0.3)
                try await agrees("perch_router_info{release=\"r2\",boot=\"\(boot)\"}", 1)
                try await agrees("up", 1)
            }
        }
    }
}
