// One instance of the service as one event loop sees it: its connections, its load, whether it answers.

import NIOCore
import NIOHTTP1
import NIOPosix
import Traffic

/// The connections of one event loop to one instance. Confined to that loop.
///
/// Connections never change loops, so taking and giving one back needs neither lock nor hop.
final class Instance {
    let backend: Backend
    /// Nil for a host name, which is looked up at every connect.
    private let address: SocketAddress?
    private unowned let lane: Lane
    /// Unused connections, the one used last at the end: it is the least likely to be closed by the other side.
    private var unused: [UpstreamHandler] = []
    private(set) var connections = 0
    /// Requests that were given to this instance and have not ended.
    var inFlight = 0
    private var asideUntil = NIODeadline.uptimeNanoseconds(0)
    /// The instance is in no table any more: requests finish, connections are not kept.
    private(set) var isRetired = false

    /// After a failed connect other instances are preferred for this long.
    static let aside = TimeAmount.seconds(1)

    init(_ backend: Backend, lane: Lane) {
        self.backend = backend
        self.lane = lane
        address = try? SocketAddress(ipAddress: backend.host, port: backend.port)
    }

    func load(now: NIODeadline, limit: Int, wasTried: Bool) -> InstanceLoad {
        InstanceLoad(
            inFlight: inFlight, isFull: unused.isEmpty && connections >= limit, isAside: now < asideUntil,
            wasTried: wasTried)
    }

    /// An unused connection that is still open on both sides as far as this machine knows.
    ///
    /// - Parameter isRepeatable: another request gets only a connection that was used a moment ago.
    func takeUnused(now: NIODeadline, isRepeatable: Bool) -> UpstreamHandler? {
        let limit = TimeAmount(lane.settings.limits.reuseUnrepeatable)
        while let connection = unused.last {
            if !isRepeatable && now - connection.unusedSince > limit { return nil }
            unused.removeLast()
            if now < connection.expires, connection.isOpen { return connection }
            connection.close()
        }
        return nil
    }

    /// Opens a connection for `exchange` and tells it; a connection that nobody wants any more is kept.
    func connect(for exchange: Exchange) {
        // A request that wants a fresh connection must not push the number over its limit.
        if connections >= lane.connectionLimit { unused.first?.close() }
        connections += 1
        let eventLoop = lane.eventLoop
        let me = NIOLoopBound(self, eventLoop: eventLoop)
        let limits = lane.settings.limits
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(limits.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(HTTPRequestEncoder(configuration: .framedByRouter))
                    let decoder = ByteToMessageHandler(
                        HTTPResponseDecoder(
                            leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .forward,
                            limitConfiguration: .init(limits)))
                    try pipeline.addHandler(decoder)
                    try pipeline.addHandler(UpstreamHandler(to: me.value, channel: channel, decoder: decoder))
                }
            }
        let connected =
            if let address { bootstrap.connect(to: address) } else {
                bootstrap.connect(host: backend.host, port: backend.port)
            }
        connected.assumeIsolated().whenComplete { result in
            do {
                let channel = try result.get()
                channel.closeFuture.assumeIsolated().whenComplete { _ in self.connectionEnded() }
                exchange.connected(try channel.pipeline.syncOperations.handler(type: UpstreamHandler.self))
            } catch {
                self.connections -= 1
                self.asideUntil = .now() + Self.aside
                exchange.connectFailed(error)
                self.lane.connectionFreed()
            }
        }
    }

    /// How long an unused connection is kept: a second less than the instance says it keeps it.
    func unusedTime(keepAliveSeconds: Int64?) -> TimeAmount {
        let ours = TimeAmount(lane.settings.limits.upstreamIdle)
        guard let keepAliveSeconds else { return ours }
        return min(ours, .seconds(max(0, min(keepAliveSeconds, 3_600) - 1)))
    }

    func giveBack(_ connection: UpstreamHandler) {
        guard !isRetired else { return connection.close() }
        unused.append(connection)
        lane.connectionFreed()
    }

    func forget(_ connection: UpstreamHandler) {
        unused.removeAll { $0 === connection }
    }

    private func connectionEnded() {
        connections -= 1
        lane.connectionFreed()
    }

    func retire() {
        isRetired = true
        closeUnused { _ in true }
    }

    func closeExpired(now: NIODeadline) {
        closeUnused { $0.expires <= now }
    }

    private func closeUnused(where isOver: (UpstreamHandler) -> Bool) {
        for connection in unused where isOver(connection) { connection.close() }
    }
}

extension HTTPRequestEncoder.Configuration {
    /// The router writes `Content-Length` and `Transfer-Encoding` itself.
    static var framedByRouter: Self {
        var configuration = Self()
        configuration.automaticallySetFramingHeaders = false
        return configuration
    }
}

extension HTTPResponseEncoder.Configuration {
    static var framedByRouter: Self {
        var configuration = Self()
        configuration.automaticallySetFramingHeaders = false
        return configuration
    }
}

extension NIOHTTPDecoderLimitConfiguration {
    init(_ limits: RouterLimits) {
        self.init()
        maxHeaderFieldSize = limits.headerBytes
        maxHeaderListSize = limits.headerBytes
        maxHeaderFieldCount = limits.headerFields
    }
}
