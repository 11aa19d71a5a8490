// Who a request comes from, as far as the connection tells.

import Glibc
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// Where a connection was accepted.
enum Peer: Hashable, Sendable {
    /// The Unix socket: file permissions were the check.
    case socket
    /// TCP, with the other end's address as text.
    case tcp(address: String, isLoopback: Bool)

    /// What is not certainly the Unix socket counts as TCP.
    init(_ channel: any Channel) {
        if case .unixDomainSocket? = channel.localAddress {
            self = .socket
            return
        }
        let address = channel.remoteAddress?.ipAddress ?? "unknown"
        self = .tcp(address: address, isLoopback: address == "::1" || address.hasPrefix("127."))
    }

    var text: String {
        switch self {
        case .socket: "socket"
        case .tcp(let address, _): address
        }
    }
}

struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: Peer
    let channel: any Channel
    /// This request, in perchd's log and in a problem's `instance`.
    let requestID = String(UInt64.random(in: 0...UInt64.max), radix: 36)

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = Peer(source.channel)
        channel = source.channel
        logger[metadataKey: "hb.request.id"] = nil
        logger[metadataKey: "request"] = "\(requestID)"
    }
}

extension HTTPField.Name {
    static let actor = HTTPField.Name("X-Perch-Actor")!
    static let forwardedFor = HTTPField.Name("X-Forwarded-For")!
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
}

/// Whose knocking is counted together: an IPv4 address, an IPv6 /64.
func rateKey(_ request: Request, from peer: Peer, isBehindProxy: Bool) -> String? {
    guard case .tcp(var address, let isLoopback) = peer else { return nil }
    if isBehindProxy, isLoopback,
        let last = request.headers[.forwardedFor]?.split(separator: ",").last?.trimmed, !last.isEmpty
    {
        address = String(last.prefix(64))
    }
    var network = in6_addr()
    guard address.contains(":"), inet_pton(AF_INET6, address, &network) == 1 else { return address }
    return withUnsafeBytes(of: network) { bytes in
        bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: ":") + "/64"
    }
}

extension Substring {
    var trimmed: Substring {
        var rest = self
        while rest.first == " " || rest.first == "\t" { rest.removeFirst() }
        while rest.last == " " || rest.last == "\t" { rest.removeLast() }
        return rest
    }
}
