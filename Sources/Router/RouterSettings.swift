// What a router is started with.

/// Where a router listens, what it keeps, and how much it lets through.
package struct RouterSettings: Sendable {
    /// Address and port of the service; port 0 takes a free one.
    package var host: String
    package var port: Int
    /// Where `/metrics` is served to whoever asks; nil: only on the control socket.
    package var metrics: (host: String, port: Int)?
    /// The service's name, for metrics.
    package var service: String
    /// Path of the Unix socket for control; created with mode 0600.
    package var controlSocket: String
    /// Path of the kept table; `<path>.previous` holds the one before.
    package var tableFile: String
    package var limits: RouterLimits
    /// Event loops that move the traffic.
    package var threads: Int
    package var forwarded: ForwardedTrust

    /// - Parameters:
    ///   - listen: `host:port`, `[address]:port` or `:port` (every address).
    ///   - metrics: the same.
    /// - Throws: ``RouterError/listen(_:)`` when an address has no port in 0...65535.
    package init(
        listen: String, controlSocket: String, tableFile: String, limits: RouterLimits = RouterLimits(),
        threads: Int = 2, forwarded: ForwardedTrust = .loopback, metrics: String? = nil, service: String = ""
    ) throws(RouterError) {
        (host, port) = try Self.address(listen)
        if let metrics { self.metrics = try Self.address(metrics) }
        self.service = service
        self.controlSocket = controlSocket
        self.tableFile = tableFile
        self.limits = limits
        self.threads = max(1, threads)
        self.forwarded = forwarded
    }

    private static func address(_ text: String) throws(RouterError) -> (host: String, port: Int) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw .listen(text)
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return (host.isEmpty ? "0.0.0.0" : String(host), Int(port))
    }
}

/// Whose `X-Forwarded-*` fields are believed. Others' are dropped, so that no client can lie about its address.
package enum ForwardedTrust: String, Sendable, CaseIterable {
    case never
    /// From connections of this machine, where a TLS terminator stands in front.
    case loopback
    case always

    /// - Parameter address: the client's IP address as text.
    func trusts(_ address: String) -> Bool {
        switch self {
        case .never: false
        case .loopback: address.hasPrefix("127.") || address == "::1" || address.hasPrefix("::ffff:127.")
        case .always: true
        }
    }
}

/// Bounds on everything a client or an instance can make the router keep or wait for.
package struct RouterLimits: Sendable {
    /// All fields of a request or response header together.
    package var headerBytes = 64 * 1024
    package var headerFields = 128
    package var targetBytes = 8 * 1024
    /// Nil is no limit: bodies are streamed, never kept.
    package var bodyBytes: Int?

    /// From the first byte of a request's header to its last.
    package var headerTimeout = Duration.seconds(15)
    /// Longest pause of a client inside a request's body, or in taking a response.
    package var clientIdle = Duration.seconds(60)
    /// Longest pause of a client between requests.
    package var keepAlive = Duration.seconds(75)
    package var connectTimeout = Duration.seconds(5)
    /// Longest pause of an instance inside a response's body.
    package var responseIdle = Duration.seconds(300)
    /// Longest silence in both directions of a tunnel (WebSocket).
    package var tunnelIdle = Duration.seconds(3_600)
    /// How long an unused connection to an instance is kept; an instance's own `Keep-Alive: timeout` shortens it.
    package var upstreamIdle = Duration.seconds(15)
    /// A request that could not be repeated uses a kept connection only when it was used this short a time ago: no
    /// idle timeout of an instance is about to close it.
    package var reuseUnrepeatable = Duration.seconds(1)

    /// Connections to one instance, all event loops together.
    package var connectionsPerInstance = 512
    /// Requests of one event loop that wait for a connection to become free, and how long.
    package var waitingForConnection = 20_000
    package var waitForConnection = Duration.seconds(30)
    /// Upper bound of ``HoldRequest/maximumQueued``.
    package var heldRequests = 50_000
    /// Upper bound of ``HoldRequest/deadlineMilliseconds``.
    package var heldFor = Duration.seconds(120)

    /// How long requests in flight may take when the router stops.
    package var drain = Duration.seconds(30)

    package init() {}
}

/// Why a router does not start or stops by itself.
package enum RouterError: Error, Hashable, CustomStringConvertible {
    case listen(String)
    /// The service's address cannot be bound.
    case bind(address: String, reason: String)
    case controlSocketInUse(path: String)
    case file(path: String, reason: String)

    package var description: String {
        switch self {
        case .listen(let text):
            "listen address '\(text)' has no port between 0 and 65535\nhint: write host:port, such as 127.0.0.1:8080"
        case .bind(let address, let reason):
            "cannot listen on \(address): \(reason)\nhint: see who has the port with `ss -ltnp`"
        case .controlSocketInUse(let path):
            "another router answers on control socket \(path)\nhint: stop it, or give this one another socket"
        case .file(let path, let reason):
            "\(path): \(reason)\nhint: the router's folder must exist and be writable for its user"
        }
    }
}
