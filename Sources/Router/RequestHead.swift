// A client's request head, checked against smuggling and made ready to be sent on. Pure.

import NIOHTTP1

/// A request that may be sent to an instance.
struct AdmittedRequest: Sendable {
    enum Body: Hashable, Sendable {
        case none, length(Int), chunked
    }

    /// As it goes to the instance: origin-form target, hop-by-hop fields out, `X-Forwarded-*` in.
    var head: HTTPRequestHead
    /// As it came.
    var received: HTTPHeaders
    var body: Body
    /// The client takes another request on this connection after this one.
    var keepsAlive: Bool
    /// Such a client knows neither chunks nor interim responses.
    var isHTTP10: Bool
    /// The client asks to leave HTTP on this connection, and the router passes that on.
    var wantsUpgrade: Bool
    /// The parser takes whatever follows this request for another protocol, upgrade or not.
    var stopsParser: Bool
    var clientAddress: String

    /// Methods that may be sent a second time when the first got no answer (RFC 9110 section 9.2.2).
    var isIdempotent: Bool {
        switch head.method {
        case .GET, .HEAD, .OPTIONS, .TRACE, .PUT, .DELETE: true
        default: false
        }
    }
}

/// What a connection knows about its client.
struct ClientAddress: Sendable {
    /// IP address as text, without port; empty for a client without one.
    var address: String
    var trustsForwarded: Bool
}

extension AdmittedRequest {
    /// Checks what the parser leaves to us and builds the head to send.
    ///
    /// The parser (llhttp, strict) has refused by now: both framings at once, two lengths, folded lines, white space
    /// before a colon, bare line feeds.
    init(_ head: HTTPRequestHead, from client: ClientAddress, limits: RouterLimits) throws(Refusal) {
        guard head.method != .CONNECT else { throw .notImplemented("this is no forward proxy: no CONNECT here") }
        guard head.uri.utf8.count <= limits.targetBytes else { throw .targetTooLong(limitBytes: limits.targetBytes) }
        isHTTP10 = head.version.minor == 0
        received = head.headers
        keepsAlive = head.isKeepAlive

        let fields = try Fields(head.headers, isHTTP10: isHTTP10)
        body = try Self.body(fields, limits: limits)
        stopsParser = fields.hasUpgrade && fields.connectionHasUpgrade
        wantsUpgrade = stopsParser && !isHTTP10 && body == .none && !fields.upgradesToHTTP2

        let target = try Self.target(head.uri)
        clientAddress = client.address
        if client.trustsForwarded, let nearest = fields.lastForwardedFor { clientAddress = nearest }

        self.head = HTTPRequestHead(version: .http1_1, method: head.method, uri: target.origin)
        self.head.headers = Self.forwarded(
            head.headers, fields: fields, host: target.host ?? fields.host, client: client,
            upgrade: wantsUpgrade, body: body)
    }

    private static func body(_ fields: Fields, limits: RouterLimits) throws(Refusal) -> Body {
        if fields.isChunked { return .chunked }
        guard let length = fields.contentLength else { return .none }
        if let limit = limits.bodyBytes, length > limit { throw .bodyTooLarge(limitBytes: limit) }
        return length == 0 ? .none : .length(length)
    }

    /// RFC 9112 section 3.2: an absolute target is sent on in origin form, and its authority replaces `Host`.
    private static func target(_ uri: String) throws(Refusal) -> (origin: String, host: String?) {
        if uri.hasPrefix("/") || uri == "*" { return (uri, nil) }
        for scheme in ["http://", "https://"] where uri.lowercased().hasPrefix(scheme) {
            let rest = uri.dropFirst(scheme.count)
            let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            let host = String(rest[..<end])
            guard !host.isEmpty, !host.contains("@") else { throw .badRequest("the request's target names no host") }
            let path = rest[end...]
            return (path.hasPrefix("/") ? String(path) : "/" + path, host)
        }
        throw .badRequest("the request's target is neither a path nor an http URL")
    }

    private static func forwarded(
        _ received: HTTPHeaders, fields: Fields, host: String, client: ClientAddress, upgrade: Bool, body: Body
    ) -> HTTPHeaders {
        var headers = HTTPHeaders()
        headers.reserveCapacity(received.count + 4)
        headers.add(name: "Host", value: host)
        var forwardedFor: String?
        var keepsProto = false
        var keepsHost = false
        for (name, value) in received {
            if name.isField("host") || name.isHopByHop || fields.isListed(name) { continue }
            if name.isField("x-forwarded-for") {
                if client.trustsForwarded { forwardedFor = forwardedFor.map { $0 + ", " + value } ?? value }
                continue
            }
            if name.isField("x-forwarded-proto") || name.isField("x-forwarded-host") {
                guard client.trustsForwarded else { continue }
                if name.isField("x-forwarded-proto") { keepsProto = true } else { keepsHost = true }
            }
            headers.add(name: name, value: value)
        }
        if body == .chunked { headers.add(name: "Transfer-Encoding", value: "chunked") }
        if upgrade {
            headers.add(name: "Connection", value: "upgrade")
            for value in received["upgrade"] { headers.add(name: "Upgrade", value: value) }
        }
        if !client.address.isEmpty {
            let chain = forwardedFor.map { $0 + ", " + client.address } ?? client.address
            headers.add(name: "X-Forwarded-For", value: chain)
        }
        if !keepsProto { headers.add(name: "X-Forwarded-Proto", value: "http") }
        if !keepsHost { headers.add(name: "X-Forwarded-Host", value: host) }
        return headers
    }
}

/// What one walk over a request's fields finds.
private struct Fields {
    var host = ""
    var contentLength: Int?
    var isChunked = false
    var hasUpgrade = false
    var connectionHasUpgrade = false
    var upgradesToHTTP2 = false
    var lastForwardedFor: String?
    /// Tokens of `Connection` beyond the usual ones: fields that end here (RFC 9110 section 7.6.1).
    private var listed: [String] = []

    init(_ headers: HTTPHeaders, isHTTP10: Bool) throws(Refusal) {
        var hosts = 0
        for (name, value) in headers {
            switch name.utf8.count {
            case 4 where name.isField("host"):
                hosts += 1
                host = value
            case 7 where name.isField("upgrade"):
                hasUpgrade = true
                if value.lowercased().hasPrefix("h2c") { upgradesToHTTP2 = true }
            case 10 where name.isField("connection"):
                for token in value.split(separator: ",").lazy.map(\.trimmed) {
                    if token.isField("upgrade") { connectionHasUpgrade = true }
                    if !token.isField("close"), !token.isField("keep-alive") { listed.append(token.lowercased()) }
                }
            case 14 where name.isField("content-length"):
                guard contentLength == nil, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                    let length = Int(value)
                else { throw .badRequest("content-length is not one number") }
                contentLength = length
            case 15 where name.isField("x-forwarded-for"):
                lastForwardedFor = value.split(separator: ",").last.map { String($0.trimmed) } ?? lastForwardedFor
            case 17 where name.isField("transfer-encoding"):
                // RFC 9112 section 6.1: HTTP/1.0 has no such field, so somebody before us got the framing wrong.
                guard !isHTTP10 else { throw .badRequest("transfer-encoding in an HTTP/1.0 request") }
                guard !isChunked, value.isField("chunked") else {
                    throw .notImplemented("only chunked is understood as transfer-encoding")
                }
                isChunked = true
            default:
                break
            }
        }
        guard hosts == 1 || (hosts == 0 && isHTTP10) else { throw .badRequest("a request has one host field") }
        guard !host.utf8.contains(where: { $0 <= 0x20 || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "@") }) else {
            throw .badRequest("the host field is no host")
        }
        guard !(isChunked && contentLength != nil) else {
            throw .badRequest("content-length and transfer-encoding together")
        }
        // Listing a field that frames or routes the message would let a client take it away from the instance.
        for name in listed where name.isField("host") || name.isField("content-length") {
            throw .badRequest("connection lists \(name)")
        }
    }

    func isListed(_ name: String) -> Bool {
        guard !listed.isEmpty else { return false }
        let lowercased = name.lowercased()
        return listed.contains(lowercased)
    }
}

extension String {
    /// Fields that concern one connection only (RFC 9110 section 7.6.1), and the two that frame or negotiate it.
    var isHopByHop: Bool {
        switch utf8.count {
        case 2: isField("te")
        case 7: isField("upgrade")
        case 10: isField("connection") || isField("keep-alive")
        case 14: isField("http2-settings")
        case 16: isField("proxy-connection")
        case 17: isField("transfer-encoding")
        case 19: isField("proxy-authorization")
        default: false
        }
    }
}
