// The API's listeners: one router on TCP and on the Unix socket.

package import ControlModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
package import Releases
package import ServiceLifecycle

/// Where a listener came to listen.
package enum Listening: Hashable, Sendable {
    case tcp(port: Int)
    case socket(path: String)
}

/// Services that serve the API until they are asked to stop; then requests under way are answered first.
///
/// - Parameters:
///   - metrics: what `/metrics` shows; requests are counted there too.
///   - now: wall-clock time, for signed timestamps.
///   - onListening: called once for each listener.
package func makeServers(
    control: any ControlPlane, settings: APISettings, metrics: PrometheusRegistry, logger: Logger,
    now: @escaping @Sendable () -> Instant = wallClock,
    onListening: @escaping @Sendable (Listening) -> Void = { _ in }
) -> [any Service] {
    let responder = makeRouter(control: control, settings: settings, metrics: metrics, now: now).buildResponder()
    func server(_ address: BindAddress, _ name: String, onRunning: @escaping @Sendable (any Channel) async -> Void)
        -> Application<RouterResponder<APIContext>>
    {
        var configuration = ApplicationConfiguration(address: address)
        configuration.availableConnectionsDelegate = MaximumAvailableConnections(settings.mostConnections)
        let limits = HTTP1Channel.Configuration.DecoderConfiguration(
            maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100)
        return Application(
            responder: responder,
            server: .http1(
                configuration: .init(
                    idleTimeout: .milliseconds(settings.idleTimeout.milliseconds), httpDecoderConfiguration: limits)),
            configuration: configuration, onServerRunning: onRunning, logger: logger)
    }
    var services: [any Service] = []
    if let tcp = settings.tcp {
        services.append(
            server(.hostname(tcp.host, port: tcp.port), "tcp") { channel in
                onListening(.tcp(port: channel.localAddress?.port ?? tcp.port))
            })
    }
    if let path = settings.socketPath {
        var socket = server(.unixDomainSocket(path: path), "socket") { _ in
            restrictSocket(path, logger: logger)
            onListening(.socket(path: path))
        }
        socket.beforeServerStarts { try refuseServedSocket(path) }
        services.append(socket)
    }
    return services
}

private func makeRouter(
    control: any ControlPlane, settings: APISettings, metrics: PrometheusRegistry,
    now: @escaping @Sendable () -> Instant
) -> Router<APIContext> {
    let router = Router(context: APIContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: ObservingMiddleware(metrics))
    router.add(middleware: ProblemMiddleware())
    let access = Access(settings)
    router.get("/healthz") { _, _ in text("ok\n", type: "text/plain; charset=utf-8") }
    router.get("/readyz") { _, _ in
        guard await control.isReady() else {
            return text(
                "not ready: this daemon does not lead, or its store does not answer\n",
                type: "text/plain; charset=utf-8", status: .serviceUnavailable)
        }
        return text("ready\n", type: "text/plain; charset=utf-8")
    }
    router.get("/metrics") { request, context in
        if !settings.hasOpenMetrics { try access.require(.read, of: request, from: context.peer) }
        return text(metrics.render(), type: "text/plain; version=0.0.4; charset=utf-8")
    }
    HookRoutes(control: control, settings: settings, metrics: metrics, now: now).add(to: router)
    let api = router.group("/api/v1").add(middleware: AccessMiddleware(access: access))
    ReleaseRoutes(control: control, settings: settings).add(to: api)
    EventRoutes(control: control).add(to: api)
    return router
}
