// Where Prometheus reads a router over TCP.

import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

extension Router {
    /// Connections of the metrics listener beyond this many are closed at once.
    static let metricsConnections = 64

    /// Answers `/metrics` and `/healthz` to whoever reaches the address.
    ///
    /// - Returns: nil when no address was given, or it cannot be had: traffic goes on without it.
    func listenForMetrics(
        group: MultiThreadedEventLoopGroup, state: NIOLoopBound<ControlState>
    ) async -> (any Channel)? {
        guard let address = settings.metrics else { return nil }
        let open = OpenConnections()
        let idle = TimeAmount(settings.limits.keepAlive)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                guard open.enter() else { return channel.close() }
                channel.closeFuture.whenComplete { _ in open.leave() }
                return channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(IdleStateHandler(allTimeout: idle))
                    try pipeline.configureHTTPServerPipeline(withErrorHandling: false)
                    try pipeline.addHandler(ControlHandler(state.value, scope: .metrics))
                }
            }
        do {
            return try await bootstrap.bind(host: address.host, port: address.port).get()
        } catch {
            logger.error(
                "metrics are served on the control socket only",
                metadata: ["address": "\(address.host):\(address.port)", "error": "\(error)"])
            return nil
        }
    }

    private final class OpenConnections: Sendable {
        private let count = Mutex(0)

        /// - Returns: false when there are as many as there may be.
        func enter() -> Bool {
            count.withLock { count in
                guard count < Router.metricsConnections else { return false }
                count += 1
                return true
            }
        }

        func leave() { count.withLock { $0 -= 1 } }
    }
}
