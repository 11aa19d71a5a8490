// Test support: a router in a folder of its own, with its control socket.

import Analysis
import Foundation
import Logging
import NIOCore
import Testing
import Traffic

@testable import Router

/// The suites with sockets, one test after the other: several would only take each other's time.
@Suite(.serialized) enum Live {}

/// A router under test.
final class Bench: Sendable {
    let router: Router
    let folder: String
    let settings: RouterSettings

    var port: Int { router.port ?? 0 }

    private init(router: Router, folder: String, settings: RouterSettings) {
        self.router = router
        self.folder = folder
        self.settings = settings
    }

    static func start(
        folder: String? = nil, threads: Int = 2, forwarded: ForwardedTrust = .loopback, metrics: String? = nil,
        _ change: (inout RouterLimits) -> Void = { _ in }
    ) async throws -> Bench {
        let folder = folder ?? NSTemporaryDirectory() + "router-\(UInt64.random(in: .min ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var limits = RouterLimits()
        change(&limits)
        let settings = try RouterSettings(
            listen: "127.0.0.1:0", controlSocket: folder + "/control", tableFile: folder + "/table",
            limits: limits, threads: threads, forwarded: forwarded, metrics: metrics, service: "shop")
        var logger = Logger(label: "router")
        logger.logLevel = .critical
        let router = Router(settings: settings, logger: logger)
        try await router.start()
        return Bench(router: router, folder: folder, settings: settings)
    }

    /// Runs `body` with a router and takes everything away afterwards.
    static func with(
        threads: Int = 2, forwarded: ForwardedTrust = .loopback, metrics: String? = nil,
        limits: (inout RouterLimits) -> Void = { _ in }, _ body: (Bench) async throws -> Void
    ) async throws {
        let bench = try await start(threads: threads, forwarded: forwarded, metrics: metrics, limits)
        do { try await body(bench) } catch {
            await bench.stop()
            throw error
        }
        await bench.stop()
    }

    func stop() async {
        await router.shutdown(deadline: .milliseconds(200))
        try? FileManager.default.removeItem(atPath: folder)
    }

    func wire() async throws -> Wire { try await Wire.connect(port: port) }

    /// One request on a connection of its own.
    func get(_ path: String, _ fields: [String] = []) async throws -> Answer {
        let wire = try await wire()
        let answer = try await wire.ask("GET \(path)", fields)
        await wire.close()
        return answer
    }

    // MARK: Control

    func control(_ line: String, _ body: String? = nil) async throws -> Answer {
        let wire = try await Wire.connect(socket: settings.controlSocket)
        let answer = try await wire.ask(line, body: body)
        await wire.close()
        return answer
    }

    func control(_ line: String, json: some Encodable) async throws -> Answer {
        try await control(line, String(decoding: JSONEncoder().encode(json), as: UTF8.self))
    }

    @discardableResult
    func put(_ table: RoutingTable) async throws -> Answer { try await control("PUT /table", json: table) }

    func report(overdueAfterMicroseconds: UInt64? = nil) async throws -> RouterReport {
        let query = overdueAfterMicroseconds.map { "?overdue_after=\($0)" } ?? ""
        return try JSONDecoder().decode(RouterReport.self, from: Data(try await control("GET /report\(query)").body))
    }

    func samples() async throws -> SampleReport {
        try JSONDecoder().decode(SampleReport.self, from: Data(try await control("GET /samples").body))
    }

    @discardableResult
    func hold(_ name: String, milliseconds: Int64 = 10_000, maximum: Int = 10_000) async throws -> HoldState {
        let request = HoldRequest(name: name, deadlineMilliseconds: milliseconds, maximumQueued: maximum)
        let answer = try await control("POST /hold", json: request)
        return try JSONDecoder().decode(HoldState.self, from: Data(answer.body))
    }

    @discardableResult
    func letGo(_ name: String) async throws -> Answer {
        try await control("POST /let-go", json: LetGoRequest(name: name))
    }
}

extension RoutingTable {
    /// A table with the usual rules: per cookie `session`, salt `s`, half a minute for an answer.
    static func serving(
        stable: [Backend], canary: [Backend] = [], share: Int = 0, epoch: UInt64 = 1, generation: UInt64 = 1,
        release: String = "r1", keys: [CohortRule.Key] = [.cookie("session"), .request],
        timeout: Int64 = 30_000
    ) -> RoutingTable {
        RoutingTable(
            epoch: epoch, generation: generation, service: "shop", release: release, stable: stable, canary: canary,
            canaryShare: share,
            cohort: CohortRule(keys: keys, salt: "s", includeHeaders: ["x-canary": "always"]),
            timeoutMilliseconds: timeout, redactHeaders: ["x-secret"], redactFields: ["password", "card"])
    }
}
