// Goal: a webhook counts as signed only when somebody who knows a secret signed exactly these bytes, in time.
// Method: the published examples of both schemes, and every way to come close to them.

import Releases
import Testing
import Triggers

private let noon = Instant(millisecondsSince1970: 1_614_265_330_000)
private let body = Array(#"{"test": 2432232314}"#.utf8)
private let secret = Array("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".utf8)

/// The example that the libraries of Standard Webhooks are tested with.
private let example = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
]

private func standard(
    _ changes: [String: String?] = [:], body: [UInt8] = body, secrets: [[UInt8]] = [secret], now: Instant = noon
) -> SignatureVerdict {
    let headers = example.compactMap { name, value in (changes[name] ?? value).map { (name: name, value: $0) } }
    return verify(WebhookRequest(headers: headers, body: body), secrets: secrets, now: now)
}

struct StandardWebhooksTests {
    @Test("the published example verifies, and signing it gives the published headers")
    func publishedExample() {
        #expect(standard() == .valid(secretIndex: 0))
        let headers = sign(body: body, id: "msg_p5jXN8AQM9LWM0D4loKWxJek", secret: secret, at: noon)
        #expect(headers.map(\.name) == example.map(\.0))
        #expect(headers.map(\.value) == example.map(\.1))
    }

    @Test(
        "a signed part that differs makes it invalid",
        arguments: [
            ["webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJeK"], ["webhook-timestamp": "1614265331"],
            ["webhook-timestamp": "01614265330"], ["webhook-timestamp": "1614265330.0"], ["webhook-timestamp": ""],
            ["webhook-timestamp": "-1614265330"], ["webhook-timestamp": "99999999999999999999999"],
            ["webhook-signature": ""], ["webhook-signature": "v1,"],
            ["webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1O=="],
            ["webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA="],
            ["webhook-signature": "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
            ["webhook-signature": "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
            ["webhook-signature": "v1,\u{1F4A9}"],
        ])
    func changed(_ changes: [String: String]) {
        #expect(standard(changes) == .invalid)
    }

    @Test("a body that differs in one bit is invalid, whichever bit it is")
    func changedBody() {
        for bit in 0..<(body.count * 8) {
            var other = body
            other[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(standard(body: other) == .invalid)
        }
        #expect(standard(body: body + [0x20]) == .invalid)
        #expect(standard(body: []) == .invalid)
    }

    @Test("without its id, its timestamp or its signature nothing is signed", arguments: example.map(\.0))
    func missing(_ name: String) {
        #expect(standard([name: nil]) == .missing)
    }

    @Test("any of several signatures and any of several secrets will do while rotating")
    func rotation() {
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        let old = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        let other = Array("whsec_AAAA".utf8)
        #expect(standard(["webhook-signature": "\(old) \(good)"]) == .valid(secretIndex: 0))
        #expect(standard(["webhook-signature": "v1a,x  \(good) \(old)"]) == .valid(secretIndex: 0))
        #expect(standard(secrets: [other, [], secret]) == .valid(secretIndex: 2))
        #expect(standard(secrets: [other]) == .invalid)
        #expect(standard(secrets: []) == .invalid)
    }

    @Test("an empty secret signs nothing")
    func emptySecret() {
        let headers = sign(body: body, id: "a", secret: [], at: noon)
        #expect(verify(WebhookRequest(headers: headers, body: body), secrets: [[]], now: noon) == .invalid)
    }

    @Test("a signature is good for five minutes either way, and a forged one is never called stale")
    func window() {
        for (seconds, isStale) in [(0, false), (300, false), (-300, false), (301, true), (-301, true), (86_400, true)] {
            let now = noon.advanced(by: .seconds(Int64(seconds)))
            #expect(standard(now: now) == (isStale ? .stale(skew: .seconds(Int64(seconds))) : .valid(secretIndex: 0)))
        }
        let late = noon.advanced(by: .hours(1))
        #expect(standard(["webhook-id": "forged"], now: late) == .invalid)
    }

    @Test("a secret without whsec_ signs with its own bytes")
    func rawSecret() {
        for raw in ["x", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!", "whsec_"].map({ Array($0.utf8) }) {
            let headers = sign(body: body, id: "1", secret: raw, at: noon)
            let request = WebhookRequest(headers: headers, body: body)
            #expect(verify(request, secrets: [secret, raw], now: noon) == .valid(secretIndex: 1))
        }
    }
}

struct GitHubSignatureTests {
    private func gitHub(
        _ signature: String?, body: String = "Hello, World!", secrets: [String] = ["It's a Secret to Everybody"]
    ) -> SignatureVerdict {
        let headers = signature.map { [(name: "x-hub-signature-256", value: $0)] } ?? []
        return verify(
            WebhookRequest(headers: headers, body: Array(body.utf8)), secrets: secrets.map { Array($0.utf8) }, now: noon
        )
    }

    private let published = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    @Test("GitHub's documented example verifies")
    func publishedExample() {
        #expect(gitHub("sha256=\(published)") == .valid(secretIndex: 0))
        #expect(
            gitHub("sha256=\(published)", secrets: ["", "old", "It's a Secret to Everybody"]) == .valid(secretIndex: 2))
    }

    @Test("anything else does not")
    func changed() {
        for signature in [
            "", published, "sha256=", "sha256=\(published.dropLast(2))", "sha256=\(published)00", "sha1=\(published)",
            "sha256=\(published.dropLast())8", "sha256=\(published.dropLast())g", "SHA256=\(published)",
        ] {
            #expect(gitHub(signature) == .invalid, "\(signature)")
        }
        #expect(gitHub("sha256=\(published)", body: "Hello, World?") == .invalid)
        #expect(gitHub("sha256=\(published)", secrets: ["It's a Secret"]) == .invalid)
        #expect(gitHub("sha256=\(published)", secrets: []) == .invalid)
        #expect(gitHub(nil) == .missing)
    }

    @Test("header names count in any case")
    func caseOfNames() {
        let request = WebhookRequest(
            headers: [(name: "X-HUB-Signature-256", value: "sha256=\(published)")], body: Array("Hello, World!".utf8))
        #expect(
            verify(request, secrets: [Array("It's a Secret to Everybody".utf8)], now: noon) == .valid(secretIndex: 0))
    }

    @Test("a captured GitHub request cannot be given a Standard Webhooks id")
    func mixedSchemes() {
        let request = WebhookRequest(
            headers: [(name: "X-Hub-Signature-256", value: "sha256=\(published)")]
                + example.map { (name: $0.0, value: $0.1) },
            body: Array("Hello, World!".utf8))
        #expect(verify(request, secrets: [Array("It's a Secret to Everybody".utf8)], now: noon) == .invalid)
    }
}
