// Goal: what is refused, dropped and added in heads on their way. Method: the pure rewriting, field by field.

import NIOHTTP1
import Testing

@testable import Router

private let near = ClientAddress(address: "127.0.0.1", trustsForwarded: true)
private let far = ClientAddress(address: "203.0.113.9", trustsForwarded: false)

private func admit(
    _ fields: HTTPHeaders, _ method: HTTPMethod = .GET, _ uri: String = "/", version: HTTPVersion = .http1_1,
    from client: ClientAddress = near, limits: RouterLimits = RouterLimits()
) throws -> AdmittedRequest {
    var headers = fields
    if version == .http1_1, !headers.contains(name: "host") { headers.add(name: "Host", value: "shop.test") }
    return try AdmittedRequest(
        HTTPRequestHead(version: version, method: method, uri: uri, headers: headers), from: client, limits: limits)
}

private func refusal(_ act: () throws -> AdmittedRequest) -> UInt? {
    do {
        _ = try act()
        return nil
    } catch {
        return (error as? Refusal)?.status.code
    }
}

@Suite struct HeadTests {
    @Test func `hop-by-hop fields and those that Connection lists end at the router`() throws {
        let request = try admit([
            "Connection": "close, X-Private", "X-Private": "1", "Keep-Alive": "timeout=3", "TE": "trailers",
            "Proxy-Connection": "keep-alive", "Proxy-Authorization": "x", "Upgrade": "websocket", "X-Public": "2",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ])
        let names = Set(request.head.headers.map { $0.name.lowercased() })
        #expect(
            names == ["host", "x-public", "traceparent", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"])
        #expect(request.head.headers.first(name: "traceparent")?.hasSuffix("-01") == true)
    }

    @Test func `no traceparent is invented`() throws {
        #expect(try !admit([:]).head.headers.contains(name: "traceparent"))
    }

    @Test func `forwarded fields of a trusted proxy are kept and continued`() throws {
        let request = try admit([
            "X-Forwarded-For": "198.51.100.7, 192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.org",
        ])
        #expect(request.head.headers["x-forwarded-for"] == ["198.51.100.7, 192.0.2.1, 127.0.0.1"])
        #expect(request.head.headers["x-forwarded-proto"] == ["https"])
        #expect(request.head.headers["x-forwarded-host"] == ["shop.org"])
        #expect(request.clientAddress == "192.0.2.1")
    }

    @Test func `forwarded fields of anybody else are replaced`() throws {
        let request = try admit(
            ["X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil"], from: far)
        #expect(request.head.headers["x-forwarded-for"] == ["203.0.113.9"])
        #expect(request.head.headers["x-forwarded-proto"] == ["http"])
        #expect(request.head.headers["x-forwarded-host"] == ["shop.test"])
        #expect(request.clientAddress == "203.0.113.9")
    }

    @Test func `an absolute target is sent on as a path with its host`() throws {
        let request = try admit(["Host": "other"], .GET, "http://shop.org:81/a?b=c")
        #expect(request.head.uri == "/a?b=c")
        #expect(request.head.headers["host"] == ["shop.org:81"])
        #expect(try admit([:], .GET, "https://shop.org?b").head.uri == "/?b")
        #expect(try admit([:], .OPTIONS, "*").head.uri == "*")
    }

    @Test func `framing that two servers could read differently is refused`() {
        #expect(refusal { try admit(["Content-Length": "3", "Transfer-Encoding": "chunked"], .POST) } == 400)
        #expect(refusal { try admit(["Transfer-Encoding": "gzip, chunked"], .POST) } == 501)
        #expect(refusal { try admit(["Transfer-Encoding": "chunked"], .POST, version: .http1_0) } == 400)
        #expect(refusal { try admit(["Content-Length": "3", "content-length": "3"], .POST) } == 400)
        #expect(refusal { try admit(["Content-Length": "+3"], .POST) } == 400)
        #expect(refusal { try admit(["Host": "a", "host": "b"]) } == 400)
        #expect(refusal { try admit(["Host": "a b"]) } == 400)
        #expect(refusal { try admit(["Connection": "host"]) } == 400)
        #expect(refusal { try admit([:], .CONNECT, "shop.test:443") } == 501)
        #expect(refusal { try admit([:], .GET, "shop") } == 400)
    }

    @Test func `an upgrade is passed on, but not to HTTP 2`() throws {
        let socket = try admit(["Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "k"])
        #expect(socket.wantsUpgrade)
        #expect(socket.head.headers["connection"] == ["upgrade"])
        #expect(socket.head.headers["upgrade"] == ["websocket"])
        let h2c = try admit(["Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "x"])
        #expect(!h2c.wantsUpgrade && h2c.stopsParser)
        #expect(!h2c.head.headers.contains(name: "upgrade") && !h2c.head.headers.contains(name: "http2-settings"))
    }

    @Test func `limits of target and body`() {
        var limits = RouterLimits()
        limits.targetBytes = 10
        limits.bodyBytes = 5
        #expect(refusal { try admit([:], .GET, "/1234567890", limits: limits) } == 414)
        #expect(refusal { try admit(["Content-Length": "6"], .POST, limits: limits) } == 413)
        #expect(refusal { try admit(["Content-Length": "5"], .POST, limits: limits) } == nil)
    }

    @Test func `a response is framed for its client`() throws {
        let get = try admit([:])
        let old = try admit(["Connection": "keep-alive"], version: .http1_0)
        func response(
            _ status: HTTPResponseStatus, _ fields: HTTPHeaders, to request: AdmittedRequest
        ) -> ForwardedResponse {
            ForwardedResponse(
                HTTPResponseHead(version: .http1_1, status: status, headers: fields), to: request, mustClose: false)
        }
        let chunked = response(.ok, ["Transfer-Encoding": "chunked", "Connection": "X-A", "X-A": "1"], to: get)
        #expect(chunked.head.headers["transfer-encoding"] == ["chunked"])
        #expect(!chunked.head.headers.contains(name: "x-a") && !chunked.closes)
        #expect(response(.ok, ["Transfer-Encoding": "chunked"], to: old).closes)
        #expect(!response(.ok, ["Content-Length": "2"], to: old).closes)
        #expect(response(.ok, ["Content-Length": "2"], to: old).head.headers["connection"] == ["keep-alive"])
        #expect(response(.noContent, ["Content-Length": "0"], to: get).head.headers.isEmpty)
        #expect(response(.notModified, ["Content-Length": "9"], to: get).head.headers["content-length"] == ["9"])
        let head = try admit([:], .HEAD)
        #expect(
            !response(.ok, ["Transfer-Encoding": "chunked"], to: head).head.headers.contains(name: "transfer-encoding"))
    }
}
