// An instance's response head, made ready for the client. Pure.

import NIOHTTP1

/// How a response goes to the client.
struct ForwardedResponse: Sendable {
    var head: HTTPResponseHead
    /// The connection to the client ends with this response.
    var closes: Bool

    /// - Parameter mustClose: the router wants the connection to end, whatever the client asked.
    init(_ response: HTTPResponseHead, to request: AdmittedRequest, mustClose: Bool) {
        let hasNoBody = request.head.method == .HEAD || response.status.hasNoBody
        var headers = HTTPHeaders()
        headers.reserveCapacity(response.headers.count + 2)
        let listed = ResponseFields.listedByConnection(response.headers)
        var hasLength = false
        for (name, value) in response.headers {
            if name.isField("content-length") {
                // RFC 9110 section 8.6: never with 1xx and 204; with 304 and HEAD it speaks of another response.
                if response.status == .noContent { continue }
                hasLength = true
            } else if ResponseFields.staysHere(name, status: response.status, listed: listed) {
                continue
            }
            headers.add(name: name, value: value)
        }
        closes = mustClose || !request.keepsAlive
        if !hasNoBody && !hasLength {
            if request.isHTTP10 {
                closes = true
            } else {
                headers.add(name: "Transfer-Encoding", value: "chunked")
            }
        }
        if closes {
            headers.add(name: "Connection", value: "close")
        } else if request.isHTTP10 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        if response.status == .upgradeRequired { headers.add(name: "Connection", value: "upgrade") }
        head = HTTPResponseHead(version: .http1_1, status: response.status, headers: headers)
    }
}

extension ForwardedResponse {
    /// A 1xx response other than 101; it has no body and frames nothing.
    static func interim(_ response: HTTPResponseHead) -> HTTPResponseHead {
        var headers = HTTPHeaders()
        let listed = ResponseFields.listedByConnection(response.headers)
        for (name, value) in response.headers
        where !name.isField("content-length")
            && !ResponseFields.staysHere(name, status: response.status, listed: listed)
        {
            headers.add(name: name, value: value)
        }
        return HTTPResponseHead(version: .http1_1, status: response.status, headers: headers)
    }

    /// 101: from here on the connection speaks the protocol that `Upgrade` names.
    static func switching(_ response: HTTPResponseHead) -> HTTPResponseHead {
        var head = interim(response)
        head.headers.add(name: "Connection", value: "upgrade")
        return head
    }

    /// An answer of the router's own.
    static func refusal(_ refusal: Refusal, closes: Bool, isHTTP10: Bool) -> HTTPResponseHead {
        var headers: HTTPHeaders = [
            "Content-Type": "text/plain; charset=utf-8", "Content-Length": String(refusal.text.utf8.count + 1),
        ]
        if let seconds = refusal.retryAfterSeconds { headers.add(name: "Retry-After", value: String(seconds)) }
        if closes {
            headers.add(name: "Connection", value: "close")
        } else if isHTTP10 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        return HTTPResponseHead(version: .http1_1, status: refusal.status, headers: headers)
    }
}

enum ResponseFields {
    static func listedByConnection(_ headers: HTTPHeaders) -> [String] {
        guard headers.contains(name: "connection") else { return [] }
        return headers[canonicalForm: "connection"].map { $0.lowercased() }
    }

    /// `Upgrade` travels with 101 and 426 only, where it says what to speak.
    static func staysHere(_ name: String, status: HTTPResponseStatus, listed: [String]) -> Bool {
        if name.isField("upgrade") { return status != .switchingProtocols && status != .upgradeRequired }
        return name.isHopByHop || (!listed.isEmpty && listed.contains(name.lowercased()))
    }

    /// Seconds of `Keep-Alive: timeout=5`, with which an instance says when it will close an unused connection.
    static func keepAliveSeconds(_ headers: HTTPHeaders) -> Int64? {
        guard let value = headers.first(name: "keep-alive") else { return nil }
        for part in value.split(separator: ",").lazy.map(\.trimmed) where part.lowercased().hasPrefix("timeout=") {
            return Int64(part.dropFirst("timeout=".count))
        }
        return nil
    }

    /// Trailer fields that may travel: none that frames, routes or belongs to one connection (RFC 9110 section 6.5.1).
    static func trailers(_ trailers: HTTPHeaders?) -> HTTPHeaders? {
        guard let trailers else { return nil }
        var kept = HTTPHeaders()
        for (name, value) in trailers
        where !name.isHopByHop && !name.isField("content-length") && !name.isField("host") {
            kept.add(name: name, value: value)
        }
        return kept.isEmpty ? nil : kept
    }
}

extension HTTPResponseStatus {
    /// RFC 9112 section 6.3: these end with their header.
    var hasNoBody: Bool { code < 200 || self == .noContent || self == .notModified }
}
