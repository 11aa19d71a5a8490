// Goal: every route of /api/v1 answers with its document or its problem. Method: the real servers over an in-memory controller.

import AsyncHTTPClient
import ControlModel
import ControlSupport
import Logging
import NIOCore
import Releases
import Synchronization
import Testing

private let id = ReleaseID("shop-1")!

private func control(_ change: @Sendable (inout InMemoryControl.Held) -> Void = { _ in }) async -> InMemoryControl {
    let control = await shopControl()
    await control.hold(sampleDetail(id))
    await control.change(id, change)
    return control
}

@Suite struct RestTests {
    @Test func servicesAreListedAndShown() async throws {
        try await withLiveAPI(control: await control()) { (api: LiveAPI) async throws in
            let all = try await api.call("/api/v1/services").document(ServiceList.self)
            #expect(all.services.map(\.service.rawValue) == ["shop"])
            let one = try await api.call("/api/v1/services/shop").document(ServiceStatus.self)
            #expect(one.active?.id == id && one.listen == "127.0.0.1:8080")
            let policy = try await api.call("/api/v1/services/shop/policy")
            #expect(policy.body == "service: shop\n")
            #expect(policy.headers["content-type"] == "application/yaml")
        }
    }

    @Test func releasesAreListedNewestFirstAndShown() async throws {
        let control = await control()
        await control.hold(sampleDetail(ReleaseID("shop-2")!))
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let all = try await api.call("/api/v1/releases?service=shop").document(ReleaseList.self)
            #expect(all.releases.map(\.id.number) == [2, 1])
            let newest = try await api.call("/api/v1/releases?limit=1").document(ReleaseList.self)
            #expect(newest.releases.map(\.id.number) == [2])
            #expect(try await api.call("/api/v1/releases/shop-1").document(ReleaseDetail.self) == sampleDetail(id))
        }
    }

    @Test(arguments: [
        "/api/v1/services/ship", "/api/v1/services/A", "/api/v1/releases/shop-9", "/api/v1/releases/shop",
        "/api/v1/releases?service=ship", "/api/v1/releases/shop-1/report", "/api/v1/releases/shop-1/recording",
        "/api/v1/nothing", "/nothing", "/api/v1/releases/shop-9/events",
    ])
    func whatIsNotThereIs404(_ path: String) async throws {
        try await withLiveAPI(control: await control()) { (api: LiveAPI) async throws in
            let answer = try await api.call(path)
            #expect(answer.status == 404)
            #expect(try answer.problem.kind == .notFound)
        }
    }

    @Test(arguments: [
        "/api/v1/releases?limit=0", "/api/v1/releases?limit=many", "/api/v1/releases?service=A",
        "/api/v1/releases/shop-1/report?format=pdf", "/api/v1/releases/shop-1/events?after=-1",
        "/api/v1/releases/shop-1/events?wait=1h",
    ])
    func aQueryThatCannotBeReadIs400WithItsPlace(_ path: String) async throws {
        try await withLiveAPI(control: await control()) { (api: LiveAPI) async throws in
            let answer = try await api.call(path)
            #expect(answer.status == 400)
            #expect(try answer.problem.place != nil)
        }
    }

    @Test func commandsCarryWhoAndWhy() async throws {
        let control = await control { $0.detail.allowed = ["promote", "abort", "rollback"] }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let alice = [(name: "X-Perch-Actor", value: "alice\u{09}<a@b.c>")]
            let promoted = try await api.call("/api/v1/releases/shop-1/promote", method: "POST", headers: alice)
            #expect(try promoted.document(ReleaseSummary.self).phase == "promoting")
            _ = try await api.call(
                "/api/v1/releases/shop-1/abort", body: .bytes(ByteBuffer(string: "{\"reason\":\"slow\"}")))
            _ = try await api.call("/api/v1/releases/shop-1/abort", method: "POST", overSocket: true)
            _ = try await api.call(
                "/api/v1/services/shop/rollback",
                body: .bytes(ByteBuffer(string: "{\"data\":false,\"reason\":\"bad\"}")), headers: alice)
            #expect(
                await control.calls == [
                    "promote shop-1 alice<a@b.c>", "abort shop-1 token slow", "abort shop-1 socket -",
                    "rollback shop false alice<a@b.c> bad",
                ])
        }
    }

    @Test func aCommandThatComesTooLateIs409WithTheRelease() async throws {
        let control = await control { $0.detail.allowed = [] }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let answer = try await api.call("/api/v1/releases/shop-1/abort", method: "POST")
            #expect(answer.status == 409)
            #expect(try answer.problem.release == id)
        }
    }

    @Test func aCommandsBodyIsReadStrictly() async throws {
        try await withLiveAPI(control: await control()) { (api: LiveAPI) async throws in
            func abort(_ body: String) async throws -> Answer {
                try await api.call("/api/v1/releases/shop-1/abort", body: .bytes(ByteBuffer(string: body)))
            }
            #expect(try await abort("{").status == 400)
            let wrong = try await abort("{\"reason\":7}")
            #expect(wrong.status == 400)
            #expect(try wrong.problem.place == "/reason")
            #expect(try await abort(String(repeating: " ", count: 65 << 10)).status == 413)
        }
    }

    @Test func aReportComesInBothFormats() async throws {
        let control = await control { $0.report = "# shop-1\n" }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let json = try await api.call("/api/v1/releases/shop-1/report")
            #expect(json.body == "{\"release\":\"shop-1\"}" && json.headers["content-type"] == "application/json")
            let markdown = try await api.call("/api/v1/releases/shop-1/report?format=markdown")
            #expect(markdown.body == "# shop-1\n")
            #expect(markdown.headers["content-type"] == "text/markdown; charset=utf-8")
        }
    }

    @Test func quarantinedRowsKeepTheirColumnNames() async throws {
        let line = QuarantineLine(
            id: 1, reason: "canary", origin: "canary", table: "public.orders", operation: "update",
            key: ["order_id": "7"], row: ["totalCents": "1", "shipped_at": nil], commitLSN: "0/16B3748",
            committedAt: "2026-08-01T10:00:00Z", detail: "written by the canary")
        let control = await control { $0.quarantine = [line] }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let answer = try await api.call("/api/v1/releases/shop-1/quarantine")
            #expect(answer.body.contains("\"commit_lsn\":\"0/16B3748\""))
            #expect(answer.body.contains("\"totalCents\":\"1\""))
            #expect(try answer.document(QuarantineList.self).changes == [line])
        }
    }

    @Test func aRecordingIsOneJSONDocumentALine() async throws {
        let lines = (0..<5_000).map { "{\"lsn\":\($0),\"padding\":\"\(String(repeating: "x", count: 60))\"}" }
        let control = await control { $0.recording = lines }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let answer = try await api.call("/api/v1/releases/shop-1/recording")
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "application/jsonl")
            #expect(answer.body == lines.joined(separator: "\n") + "\n")
        }
    }

    @Test func aRecordingThatBreaksOffDoesNotLookWhole() async throws {
        let control = await control { $0.recording = ["{}", "{}", "{}"] }
        await control.breakRecording(afterLines: 2)
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            _ = await #expect(throws: (any Error).self) { _ = try await api.call("/api/v1/releases/shop-1/recording") }
        }
    }

    @Test func aDaemonThatDoesNotLeadSaysSoEverywhere() async throws {
        let control = await control()
        await control.lead(false)
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            for path in ["/api/v1/services", "/api/v1/releases/shop-1", "/api/v1/releases/shop-1/events"] {
                #expect(try await api.call(path).status == 503)
            }
        }
    }

    @Test func theLogHasTheRouteButNoQueryAndNoToken() async throws {
        let log = Log()
        try await withLiveAPI(control: await control(), logger: log.logger) { (api: LiveAPI) async throws in
            _ = try await api.call("/api/v1/releases?service=shop&hidden=q-secret")
            _ = try await api.hook("shop", "{\"commit\":\"body-secret\"}")
            _ = try await api.call("/api/v1/services", token: "t-secret")
            let text = log.text
            #expect(text.contains("path=/api/v1/releases"))
            #expect(text.contains("status=401"))
            for secret in ["q-secret", "t-secret", "operate-token", "s3cret", "body-secret"] {
                #expect(!text.contains(secret), "\(secret)")
            }
        }
    }
}

/// Keeps what is logged, as text.
final class Log: Sendable {
    private let lines = Mutex<[String]>([])
    var text: String { lines.withLock { $0.joined(separator: "\n") } }
    var logger: Logger {
        Logger(label: "test", factory: { _ in Handler(log: self) })
    }

    struct Handler: LogHandler {
        let log: Log
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }.map { "\($0.key)=\($0.value)" }
            log.lines.withLock { $0.append("\(event.level) \(event.message) " + all.sorted().joined(separator: " ")) }
        }
    }
}
