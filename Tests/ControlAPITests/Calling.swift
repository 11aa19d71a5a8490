// What the tests of the API call it with: async-http-client over TCP and the socket, and webhooks signed by Triggers.

import AsyncHTTPClient
import ControlAPI
import ControlModel
import ControlSupport
import Crypto
import NIOCore
import NIOHTTP1
import Releases
import Triggers

struct Answer: Sendable {
    var status: Int
    /// Names in lower case.
    var headers: [String: String]
    var body: String

    func document<Document: Decodable>(_ type: Document.Type) throws -> Document {
        try ControlJSON.decode(type, from: body.utf8)
    }

    var problem: Problem {
        get throws {
            guard headers["content-type"] == Problem.mediaType else { throw NotAProblem(body: body) }
            return try document(Problem.self)
        }
    }
}

struct NotAProblem: Error { var body: String }

extension LiveAPI {
    func call(
        _ path: String, method: String? = nil, token: String? = "operate-token",
        body: HTTPClientRequest.Body? = nil, headers: [(name: String, value: String)] = [], overSocket: Bool = false
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: (overSocket ? unix : http) + path)
        request.method = method.map { .RAW(value: $0) } ?? (body == nil ? .GET : .POST)
        if let token, !overSocket { request.headers.add(name: "authorization", value: "Bearer " + token) }
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = body
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
        let bytes = try await response.body.collect(upTo: 10 << 20)
        let headers = response.headers.map { ($0.name.lowercased(), $0.value) }
        return Answer(
            status: Int(response.status.code), headers: Dictionary(headers) { first, _ in first },
            body: String(buffer: bytes))
    }

    /// A webhook of our own format, signed as Standard Webhooks says.
    func hook(
        _ service: String = "shop", _ body: String, id: String = "delivery-1", secret: String? = "s3cret",
        headers: [(name: String, value: String)] = [], at: Instant = wallClock(), overSocket: Bool = false
    ) async throws -> Answer {
        let signature = secret.map { sign(body: Array(body.utf8), id: id, secret: Array($0.utf8), at: at) } ?? []
        return try await call(
            "/hooks/\(service)", token: nil, body: .bytes(ByteBuffer(string: body)),
            headers: signature + headers, overSocket: overSocket)
    }
}

let commit = String(repeating: "c", count: 40)
let ownBody = "{\"commit\":\"\(commit)\"}"

/// A controller that knows the service `shop`, whose webhooks `s3cret` signs.
func shopControl(secrets: [String] = ["s3cret"]) async -> InMemoryControl {
    let control = InMemoryControl()
    await control.add(samplePolicy("shop"), secrets: secrets)
    return control
}

/// Asks again and again until it is so, for ten seconds.
func eventually(_ isSo: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
        if try await isSo() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return false
}

/// `X-Hub-Signature-256` of a body.
func gitHubSignature(_ body: String, _ secret: String) -> String {
    let code = HMAC<SHA256>.authenticationCode(
        for: Array(body.utf8), using: SymmetricKey(data: Array(secret.utf8)))
    return "sha256=" + code.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
}
