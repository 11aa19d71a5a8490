// The data plane: a reverse proxy for one service that splits its traffic between two versions.

import Glibc
package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Traffic

/// An HTTP/1.1 reverse proxy that is told what to do over a Unix socket and goes on by itself when nobody tells it.
///
/// Control is HTTP/1.1 and JSON; errors are `application/problem+json`:
///
/// | request | body | answer |
/// |---|---|---|
/// | `PUT /table` | `RoutingTable` | 200 `{"epoch","generation","kept"}` once every event loop serves it; 409 when it is older than the one served, or differs under the same number; 400 |
/// | `GET /table` | | 200 `RoutingTable`; 404 before the first one |
/// | `GET /report?overdue_after=MICROSECONDS` | | 200 `RouterReport`; 400. Without a query overdue is what has been in flight for more than 250 000 |
/// | `GET /metrics` | | 200, Prometheus' text format 0.0.4 |
/// | `GET /samples` | | 200 `SampleReport` |
/// | `POST /hold` | `HoldRequest` | 200 `HoldState` once no event loop sends a new request on; 409 when held under another name |
/// | `POST /let-go` | `{"name"}` | 200; 409 when held under another name; nothing happens when nothing is held |
/// | `GET /healthz` | | 200 |
///
/// `inFlight` of a hold counts every request that was sent on, or waits for a connection, and has not ended, forced and
/// uncounted ones too; `inFlightStable` and `inFlightCanary` tell them apart by whose instance serves them. A tunnel
/// (WebSocket) is settled when it opens and is not in flight: it would never drain.
package final class Router: Sendable {
    let settings: RouterSettings
    let logger: Logger
    private let state = Mutex(State.new)

    private enum State {
        case new
        case running(Running)
        case stopped
    }

    private struct Running: Sendable {
        var workers: MultiThreadedEventLoopGroup
        var control: MultiThreadedEventLoopGroup
        var lanes: [LaneReference]
        var service: any Channel
        var controlChannel: any Channel
        var metrics: (any Channel)?
        var controlState: NIOLoopBound<ControlState>
    }

    package init(settings: RouterSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
    }

    /// The service's bound port; nil unless it serves.
    package var port: Int? {
        state.withLock { if case .running(let running) = $0 { running.service.localAddress?.port } else { nil } }
    }

    /// The metrics listener's bound port; nil unless it listens.
    package var metricsPort: Int? {
        state.withLock { if case .running(let running) = $0 { running.metrics?.localAddress?.port } else { nil } }
    }

    /// Serves until ``shutdown(deadline:)``, or until its task is cancelled and the requests in flight have ended.
    package func run() async throws {
        try await start()
        let ends = state.withLock { state -> EventLoopFuture<Void>? in
            if case .running(let running) = state { running.controlChannel.closeFuture } else { nil }
        }
        guard let ends else { return }
        let (ended, end) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        ends.whenComplete { _ in end.finish() }
        await withTaskCancellationHandler {
            for await _ in ended {}
        } onCancel: {
            end.finish()
        }
        await shutdown(deadline: settings.limits.drain)
    }

    /// Binds both sockets and serves; returns when it does.
    ///
    /// - Throws: ``RouterError`` when a socket or file cannot be had.
    package func start() async throws {
        precondition(port == nil, "a router starts once")
        raiseDescriptorLimit()
        let workers = MultiThreadedEventLoopGroup(numberOfThreads: settings.threads)
        let control = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let running = try await open(workers: workers, control: control)
            state.withLock { $0 = .running(running) }
            logger.info(
                "router listens",
                metadata: [
                    "address": "\(settings.host):\(running.service.localAddress?.port ?? settings.port)",
                    "control": "\(settings.controlSocket)",
                ])
        } catch {
            try? await workers.shutdownGracefully()
            try? await control.shutdownGracefully()
            throw error
        }
    }

    /// Accepts no more, lets requests in flight and held ones end, then closes what is left.
    ///
    /// Control goes on until the end, so that a hold can still be let go. A second call returns at once.
    ///
    /// - Parameter deadline: after this long the requests that are left are cut off.
    package func shutdown(deadline: Duration) async {
        let running = state.withLock { state -> Running? in
            guard case .running(let running) = state else { return nil }
            state = .stopped
            return running
        }
        guard let running else { return }
        logger.info("router stops", metadata: ["deadline": "\(deadline)"])
        try? await running.service.close()
        let loop = running.control.any()
        let drained = EventLoopFuture.whenAllComplete(
            running.lanes.map { lane in lane.eventLoop.flatSubmit { lane.lane.value.drain() } }, on: loop)
        let over = loop.makePromise(of: Void.self)
        let alarm = loop.scheduleTask(in: TimeAmount(deadline)) { over.succeed() }
        drained.whenComplete { _ in over.succeed() }
        try? await over.futureResult.get()
        alarm.cancel()
        try? await loop.submit { running.controlState.value.end() }.get()
        for lane in running.lanes { _ = try? await lane.ask { $0.close() }.get() }
        // Still bound, so the name is still ours.
        ControlSocket.remove(settings.controlSocket)
        try? await running.metrics?.close()
        try? await running.controlChannel.close()
        try? await running.workers.shutdownGracefully()
        try? await running.control.shutdownGracefully()
    }

    private func open(
        workers: MultiThreadedEventLoopGroup, control: MultiThreadedEventLoopGroup
    ) async throws -> Running {
        let lanes = try await makeLanes(on: workers)
        let state = try await makeControlState(on: control.next(), lanes: lanes)
        let service = try await listen(workers: workers, lanes: lanes)
        do {
            let controlChannel = try await listenForControl(group: control, state: state)
            try await control.next().submit { state.value.begin() }.get()
            return Running(
                workers: workers, control: control, lanes: lanes, service: service, controlChannel: controlChannel,
                metrics: await listenForMetrics(group: control, state: state), controlState: state)
        } catch {
            try? await service.close()
            throw error
        }
    }

    /// A request takes two descriptors, and held requests keep theirs: the soft limit goes up to the hard one.
    private func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max
        else { return }
        limit.rlim_cur = limit.rlim_max
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 {
            logger.warning("limit of open files stays as it is", metadata: ["errno": "\(errno)"])
        }
    }

    private func makeLanes(on workers: MultiThreadedEventLoopGroup) async throws -> [LaneReference] {
        let heldCount = HeldCount()
        var lanes: [LaneReference] = []
        for eventLoop in workers.makeIterator() {
            let made = eventLoop.submit { [settings, logger] in
                NIOLoopBound(
                    Lane(eventLoop: eventLoop, settings: settings, heldCount: heldCount, logger: logger),
                    eventLoop: eventLoop)
            }
            lanes.append(LaneReference(eventLoop: eventLoop, lane: try await made.get()))
        }
        return lanes
    }

    /// The kept table is in force before the first connection is accepted.
    private func makeControlState(
        on eventLoop: any EventLoop, lanes: [LaneReference]
    ) async throws -> NIOLoopBound<ControlState> {
        let boot = String(UInt64.random(in: .min ... .max), radix: 16)
        return try await eventLoop.flatSubmit { [settings, logger] in
            let state = ControlState(
                eventLoop: eventLoop, lanes: lanes, file: TableFile(path: settings.tableFile),
                settings: settings, boot: boot, logger: logger)
            let bound = NIOLoopBound(state, eventLoop: eventLoop)
            return state.restore().map { bound }
        }.get()
    }

    private func listen(
        workers: MultiThreadedEventLoopGroup, lanes: [LaneReference]
    ) async throws -> any Channel {
        let byLoop = Dictionary(uniqueKeysWithValues: lanes.map { (ObjectIdentifier($0.eventLoop), $0.lane) })
        let bootstrap = ServerBootstrap(group: workers)
            .serverChannelOption(.backlog, value: 4_096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let lane = byLoop[ObjectIdentifier(channel.eventLoop)]?.value else { return }
                    try Self.configure(channel, lane: lane)
                }
            }
        do {
            return try await bootstrap.bind(host: settings.host, port: settings.port).get()
        } catch {
            throw RouterError.bind(address: "\(settings.host):\(settings.port)", reason: "\(error)")
        }
    }

    private static func configure(_ channel: any Channel, lane: Lane) throws {
        let limits = lane.settings.limits
        let guardian = RequestLineGuard(targetBytes: limits.targetBytes)
        let decoder = ClientHandler.parser(limits)
        let encoder = HTTPResponseEncoder(configuration: .framedByRouter)
        let peer = channel.remoteAddress?.ipAddress ?? ""
        let address = ClientAddress(address: peer, trustsForwarded: lane.settings.forwarded.trusts(peer))
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(guardian)
        try pipeline.addHandler(encoder)
        try pipeline.addHandler(decoder)
        try pipeline.addHandler(
            ClientHandler(lane: lane, guardian: guardian, decoder: decoder, encoder: encoder, address: address))
    }

    private func listenForControl(
        group: MultiThreadedEventLoopGroup, state: NIOLoopBound<ControlState>
    ) async throws -> any Channel {
        let path = settings.controlSocket
        try ControlSocket.checkFree(path)
        let bootstrap = ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: false)
                    try pipeline.addHandler(ControlHandler(state.value, scope: .everything))
                }
            }
        do {
            let channel = try await bootstrap.bind(
                unixDomainSocketPath: ControlSocket.temporary(path), cleanupExistingSocketFile: true
            ).get()
            try ControlSocket.publish(path)
            return channel
        } catch let error as RouterError {
            throw error
        } catch {
            throw RouterError.file(path: path, reason: "\(error)")
        }
    }
}
