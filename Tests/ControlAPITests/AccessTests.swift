// Goal: who may look, who may act, and who gets no answer. Method: the real servers, every route with every kind of caller.

import ControlAPI
import ControlModel
import ControlSupport
import FoundationEssentials
import Logging
import NIOCore
import Releases
import ServiceLifecycle
import Testing

@testable import ControlAPI

private let id = ReleaseID("shop-1")!

@Suite struct AccessTests {
    static let looks = [
        "/api/v1/services", "/api/v1/services/shop", "/api/v1/services/shop/policy", "/api/v1/releases",
        "/api/v1/releases/shop-1", "/api/v1/releases/shop-1/events", "/api/v1/releases/shop-1/quarantine",
    ]
    static let commands = [
        "/api/v1/releases/shop-1/promote", "/api/v1/releases/shop-1/abort", "/api/v1/services/shop/rollback",
        "/api/v1/releases/shop-1/quarantine/apply", "/api/v1/releases/shop-1/quarantine/discard",
    ]

    private func control() async -> InMemoryControl {
        let control = await shopControl()
        await control.hold(sampleDetail(id))
        return control
    }

    @Test(arguments: [nil, "unknown", ""]) func withoutAKnownTokenNothingIsAnswered(_ token: String?) async throws {
        try await withLiveAPI(control: await control()) { (api: LiveAPI) async throws in
            for path in Self.looks + ["/metrics"] {
                let answer = try await api.call(path, token: token)
                #expect(answer.status == 401, "\(path)")
                #expect(answer.headers["www-authenticate"] == "Bearer")
            }
            for path in Self.commands {
                #expect(try await api.call(path, method: "POST", token: token).status == 401, "\(path)")
            }
            #expect(await api.control.calls.isEmpty)
        }
    }

    @Test func aReadTokenLooksButDoesNotAct() async throws {
        try await withLiveAPI(control: await control()) { (api: LiveAPI) async throws in
            for path in Self.looks + ["/metrics"] {
                #expect(try await api.call(path, token: "read-token").status == 200, "\(path)")
            }
            for path in Self.commands {
                let answer = try await api.call(path, method: "POST", token: "read-token")
                #expect(answer.status == 403, "\(path)")
                #expect(try answer.problem.kind == .tokenTooWeak)
            }
            #expect(await api.control.calls.isEmpty)
        }
    }

    @Test func theSocketNeedsNoToken() async throws {
        try await withLiveAPI(control: await control()) { (api: LiveAPI) async throws in
            for path in Self.looks + ["/metrics"] {
                #expect(try await api.call(path, overSocket: true).status == 200, "\(path)")
            }
            let answer = try await api.call(
                Self.commands[0], method: "POST", headers: [("X-Perch-Actor", "alice")], overSocket: true)
            #expect(answer.status == 200)
            #expect(await api.control.calls == ["promote shop-1 alice"])
        }
    }

    @Test func anAPIWithoutTokensAnswersOnlyTheSocket() async throws {
        try await withLiveAPI(
            control: await control(),
            configure: {
                $0.operateTokens = []
                $0.readTokens = [""]
            }
        ) { (api: LiveAPI) async throws in
            let answer = try await api.call("/api/v1/services", token: "")
            #expect(answer.status == 401)
            #expect(try answer.problem.detail.contains("has no tokens"))
            #expect(try await api.call("/api/v1/services", overSocket: true).status == 200)
        }
    }

    @Test func metricsAreOpenOnlyWhenSetSo() async throws {
        try await withLiveAPI(configure: { $0.hasOpenMetrics = true }) { (api: LiveAPI) async throws in
            #expect(try await api.call("/metrics", token: nil).status == 200)
        }
    }

    @Test func probesNeedNoTokenAndReadinessIsTheControllers() async throws {
        try await withLiveAPI { (api: LiveAPI) async throws in
            #expect(try await api.call("/healthz", token: nil).status == 200)
            #expect(try await api.call("/readyz", token: nil).status == 200)
            await api.control.lead(false)
            #expect(try await api.call("/healthz", token: nil).status == 200)
            #expect(try await api.call("/readyz", token: nil).status == 503)
            #expect(try await api.call("/readyz", method: "HEAD", token: nil).status == 503)
        }
    }

    @Test func secretsAreEqualOnlyWhole() {
        #expect(isEqualInConstantTime(Array("abc".utf8), Array("abc".utf8)))
        for wrong in ["", "ab", "abd", "abcabc", "abca", "bc"] {
            #expect(!isEqualInConstantTime(Array("abc".utf8), Array(wrong.utf8)), "\(wrong)")
        }
        #expect(!isEqualInConstantTime([], []))
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketFileTests {
    @Test func theSocketIsForOwnerAndGroup() async throws {
        try await withLiveAPI { (api: LiveAPI) async throws in
            let permissions = try FileManager.default.attributesOfItem(atPath: api.socketPath)[.posixPermissions]
            #expect(permissions as? Int == 0o660)
        }
    }

    @Test func aSocketThatIsServedIsNotTakenAway() async throws {
        try await withLiveAPI { (api: LiveAPI) async throws in
            let settings = APISettings(tcp: nil, socketPath: api.socketPath, publicURL: "")
            let second = makeServers(
                control: api.control, settings: settings, metrics: PrometheusRegistry(), logger: quietLogger())
            await #expect(throws: SocketTaken.self) { try await second[0].run() }
            #expect(try await api.call("/healthz", overSocket: true).status == 200)
        }
    }

    @Test func aSocketLeftByACrashIsReplaced() async throws {
        let folder = "/tmp/perch-socket-\(UInt32.random(in: 0..<UInt32.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try leaveSocket(at: folder + "/s")
        try await withLiveAPI(configure: { $0.socketPath = folder + "/s" }) { (api: LiveAPI) async throws in
            let permissions = try FileManager.default.attributesOfItem(atPath: folder + "/s")[.posixPermissions]
            #expect(permissions as? Int == 0o660)
        }
    }
}
