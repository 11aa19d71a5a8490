// Goal: a webhook starts a release only when it is signed, wanted and durable, and every refusal says why with its own status.
// Method: the real servers on a free port and a Unix socket, an in-memory controller behind them.

import AsyncHTTPClient
import ControlAPI
import ControlModel
import ControlSupport
import NIOCore
import Releases
import Testing
import Triggers

@Suite struct HookTests {
    @Test func aSignedRequestIsAnsweredWithTheReleaseAndItsURL() async throws {
        let control = await shopControl()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let answer = try await api.hook("shop", ownBody)
            #expect(answer.status == 202)
            #expect(answer.headers["location"] == "https://perch.test/releases/shop-1")
            let accepted = try answer.document(Accepted.self)
            #expect(accepted.release.description == "shop-1" && !accepted.duplicate && accepted.notice == nil)
            #expect(try await control.release(accepted.release).summary.commit.rawValue == commit)
        }
    }

    @Test func gitHubsDeploymentWithItsOwnSignatureStartsARelease() async throws {
        let control = await shopControl()
        let body = """
            {"action":"created","deployment":{"id":1,"sha":"\(commit)","ref":"main","task":"deploy",\
            "environment":"production"},"repository":{"id":1,"full_name":"a/shop"}}
            """
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let answer = try await api.hook(
                "shop", body, secret: nil,
                headers: [
                    ("X-GitHub-Event", "deployment"), ("X-GitHub-Delivery", "guid-1"),
                    ("X-Hub-Signature-256", gitHubSignature(body, "s3cret")),
                ])
            #expect(answer.status == 202, "\(answer.body)")
            #expect(await control.lastRequest?.delivery == "guid-1")
        }
    }

    @Test func theSameDeliveryTwiceIsOneRelease() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            let first = try await api.hook("shop", ownBody).document(Accepted.self)
            let second = try await api.hook("shop", ownBody).document(Accepted.self)
            #expect(second.release == first.release)
            #expect(second.duplicate)
        }
    }

    @Test func theSignatureIsCheckedBeforeTheBodyIsRead() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            let stranger = try await api.hook("shop", "{not json", secret: "other")
            #expect(stranger.status == 401)
            #expect(try stranger.problem.kind == .badSignature)
            let known = try await api.hook("shop", "{not json")
            #expect(known.status == 400)
            #expect(try known.problem.detail.contains("line 1"), "\(known.body)")
        }
    }

    @Test(arguments: [nil, "wrong"]) func aMissingAndAWrongSignatureAre401(_ secret: String?) async throws {
        let control = await shopControl()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let answer = try await api.hook("shop", ownBody, secret: secret)
            #expect(answer.status == 401)
            #expect(try answer.problem.hint != nil)
            #expect(await control.calls.isEmpty)
        }
    }

    @Test func everySecretSignsWhileRotating() async throws {
        try await withLiveAPI(control: await shopControl(secrets: ["old", "new"])) { (api: LiveAPI) async throws in
            #expect(try await api.hook("shop", ownBody, id: "1", secret: "old").status == 202)
            #expect(try await api.hook("shop", ownBody, id: "1", secret: "new").status == 202)
        }
    }

    @Test func aSignatureOfTheDayBeforeIs401() async throws {
        let now = wallClock()
        let yesterday = Instant(millisecondsSince1970: now.millisecondsSince1970 / 1_000 * 1_000 - 86_400_000)
        try await withLiveAPI(control: await shopControl(), now: { now }) { (api: LiveAPI) async throws in
            let answer = try await api.hook("shop", ownBody, at: yesterday)
            #expect(answer.status == 401)
            #expect(try answer.problem.detail.contains("1d behind"), "\(answer.body)")
        }
    }

    @Test func unknownAndImpossibleServicesAreOne404() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            var unknown = try await api.hook("ship", ownBody).problem
            var impossible = try await api.hook("Not%20A%20Service", ownBody).problem
            #expect(unknown.status == 404)
            #expect(unknown.instance != impossible.instance)
            unknown.instance = nil
            impossible.instance = nil
            #expect(unknown == impossible)
        }
    }

    @Test func aServiceWithoutSecretsIsTriggeredOnlyThroughTheSocket() async throws {
        let control = InMemoryControl()
        await control.add(samplePolicy("shop", secrets: []))
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let refused = try await api.hook("shop", ownBody, secret: "anything")
            #expect(refused.status == 401)
            #expect(try refused.problem.hint?.contains("trigger.secrets") == true)
            let local = try await api.hook("shop", ownBody, secret: nil, overSocket: true)
            #expect(local.status == 202)
            #expect(try local.document(Accepted.self).notice?.contains("not signed") == true)
        }
    }

    @Test func theSocketNeedsASignatureWhereThereIsASecret() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            #expect(try await api.hook("shop", ownBody, secret: nil, overSocket: true).status == 401)
            #expect(try await api.hook("shop", ownBody, overSocket: true).status == 202)
        }
    }

    @Test func secretsThatCannotBeReadAreNotNoSecrets() async throws {
        try await withLiveAPI(control: await shopControl(secrets: [])) { (api: LiveAPI) async throws in
            for overSocket in [false, true] {
                let answer = try await api.hook("shop", ownBody, secret: nil, overSocket: overSocket)
                #expect(answer.status == 503)
                #expect(answer.headers["retry-after"] == "60")
            }
        }
    }

    @Test func anActiveReleaseIs409AndNamed() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            _ = try await api.hook("shop", ownBody, id: "1")
            let answer = try await api.hook("shop", ownBody, id: "2")
            #expect(answer.status == 409)
            #expect(try answer.problem.release?.description == "shop-1")
        }
    }

    @Test func whatThePolicyRefusesIs422() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            let answer = try await api.hook("shop", "{\"commit\":\"v1.2\"}")
            #expect(answer.status == 422)
            #expect(try answer.problem.kind == .refusedByPolicy)
            #expect(try answer.problem.hint == "push it first")
        }
    }

    @Test func aMisspelledMemberIs422WithItsPlace() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            let answer = try await api.hook("shop", "{\"commit\":\"\(commit)\",\"build\":{\"idd\":\"1\"}}")
            #expect(answer.status == 422)
            #expect(try answer.problem.kind == .notAsAgreed)
            #expect(try answer.problem.place == "/build/idd")
        }
    }

    @Test func aDaemonThatDoesNotLeadIs503() async throws {
        let control = await shopControl()
        await control.lead(false)
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let answer = try await api.hook("shop", ownBody)
            #expect(answer.status == 503)
            #expect(answer.headers["retry-after"] == "5")
        }
    }

    @Test func aPingIsAnsweredAndAnUnwantedEventIsIgnoredWithItsReason() async throws {
        let control = await shopControl()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let ping = try await api.hook("shop", "{\"zen\":\"x\"}", headers: [("X-GitHub-Event", "ping")])
            #expect(ping.status == 200)
            #expect(try ping.document(Unmoved.self).ping == true)
            let push = try await api.hook("shop", "{}", headers: [("X-GitHub-Event", "push")])
            #expect(push.status == 200)
            #expect(try push.document(Unmoved.self).ignored?.contains("push") == true)
            #expect(await control.calls.isEmpty)
        }
    }

    @Test func whoTriggersByHandIsRecordedAsGiven() async throws {
        let control = await shopControl()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            _ = try await api.hook("shop", ownBody, headers: [("X-Perch-Actor", "cli:alice")])
            #expect(await control.lastRequest?.sender == "cli:alice")
        }
    }
}

@Suite struct HookLimitTests {
    @Test func aBodyThatIsAnnouncedTooLargeIs413() async throws {
        try await withLiveAPI(control: await shopControl(), configure: { $0.largestBody = 1_000 }) {
            (api: LiveAPI) async throws in
            let answer = try await api.hook("shop", String(repeating: " ", count: 2_000))
            #expect(answer.status == 413)
            #expect(answer.headers["connection"] == "close")
        }
    }

    @Test func aBodyThatTurnsOutTooLargeIs413() async throws {
        try await withLiveAPI(control: await shopControl(), configure: { $0.largestBody = 1_000 }) {
            (api: LiveAPI) async throws in
            let parts = AsyncStream<ByteBuffer>(bufferingPolicy: .bufferingOldest(20)) { continuation in
                for _ in 0..<20 { continuation.yield(ByteBuffer(string: String(repeating: " ", count: 100))) }
                continuation.finish()
            }
            let answer = try await api.call(
                "/hooks/shop", body: .stream(parts, length: .unknown))
            #expect(answer.status == 413)
        }
    }

    @Test func aWebhookOfTheLargestSizeIsTaken() async throws {
        try await withLiveAPI(control: await shopControl(), configure: { $0.largestBody = 1 << 20 }) {
            (api: LiveAPI) async throws in
            let padding = String(repeating: " ", count: (1 << 20) - ownBody.utf8.count)
            #expect(try await api.hook("shop", ownBody + padding).status == 202)
        }
    }

    @Test func aBodyThatDoesNotArriveIs408() async throws {
        try await withLiveAPI(
            control: await shopControl(), configure: { $0.bodyWithin = .milliseconds(100) }
        ) { (api: LiveAPI) async throws in
            let (silence, end) = AsyncStream<ByteBuffer>.makeStream(bufferingPolicy: .bufferingOldest(1))
            end.yield(ByteBuffer(string: "{"))
            let answer = try await api.call("/hooks/shop", body: .stream(silence, length: .unknown))
            end.finish()
            #expect(answer.status == 408)
        }
    }

    @Test func oneAddressThatKnocksTooOftenIs429() async throws {
        let control = await shopControl()
        try await withLiveAPI(
            control: control, configure: { $0.hooksPerPeer = RateLimit(perMinute: 1, burst: 2) }
        ) { (api: LiveAPI) async throws in
            #expect(try await api.hook("shop", ownBody, secret: nil).status == 401)
            #expect(try await api.hook("shop", ownBody, secret: nil).status == 401)
            let third = try await api.hook("shop", ownBody)
            #expect(third.status == 429)
            let seconds = try #require(third.headers["retry-after"].flatMap { Int($0) })
            #expect((1...60).contains(seconds))
            #expect(try await api.hook("shop", ownBody, overSocket: true).status == 202, "the socket has no such limit")
        }
    }

    @Test func strangersDoNotUseUpAServicesRate() async throws {
        try await withLiveAPI(
            control: await shopControl(), configure: { $0.hooksPerService = RateLimit(perMinute: 1, burst: 1) }
        ) { (api: LiveAPI) async throws in
            for _ in 0..<5 { #expect(try await api.hook("shop", ownBody, secret: "wrong").status == 401) }
            #expect(try await api.hook("shop", ownBody).status == 202)
            #expect(try await api.hook("shop", ownBody).status == 429)
        }
    }

    @Test func behindAProxyTheCallerIsWhoItForwardsFor() async throws {
        try await withLiveAPI(
            control: await shopControl(),
            configure: {
                $0.hooksPerPeer = RateLimit(perMinute: 1, burst: 1)
                $0.isBehindProxy = true
            }
        ) { (api: LiveAPI) async throws in
            func knock(_ address: String) async throws -> Int {
                try await api.hook("shop", ownBody, headers: [("X-Forwarded-For", address)]).status
            }
            #expect(try await knock("6.6.6.6, 192.0.2.1") == 202)
            #expect(try await knock("7.7.7.7, 192.0.2.1") == 429, "what the caller wrote itself does not count")
            #expect(try await knock("192.0.2.2") == 202)
            #expect(try await knock("2001:db8:1:2::1") == 202)
            #expect(try await knock("2001:db8:1:2::2") == 429, "one IPv6 network is one caller")
        }
    }

    @Test func withoutAProxyForwardedAddressesAreNotBelieved() async throws {
        try await withLiveAPI(
            control: await shopControl(), configure: { $0.hooksPerPeer = RateLimit(perMinute: 1, burst: 1) }
        ) { (api: LiveAPI) async throws in
            #expect(try await api.hook("shop", ownBody, headers: [("X-Forwarded-For", "1.1.1.1")]).status == 202)
            #expect(try await api.hook("shop", ownBody, headers: [("X-Forwarded-For", "2.2.2.2")]).status == 429)
        }
    }
}
