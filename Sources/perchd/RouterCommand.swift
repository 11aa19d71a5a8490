// `perchd router`: the data plane of one service.

import ArgumentParser
import Logging
import Ports
import Router
import ServiceLifecycle
import UnixSignals

struct RouterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "router",
        abstract: "Run the router of one service.",
        discussion: "Started by `perchd serve`, and serves its last table whatever happens to the daemon.")

    @Option(help: "Service whose requests it routes.") var service: String
    @Option(help: "host:port to listen on.") var listen: String
    @Option(help: "Unix socket it is controlled through.") var control: String
    @Option(help: "File that keeps the last table.") var table: String
    @Option(help: "host:port that serves /metrics to whoever asks; none unless given.") var metrics: String?
    @Option(help: "Event loop threads.") var threads = 2
    @Option(name: .customLong("log-format"), help: "text or json.") var logFormat = LogFormat.text

    func run() async throws {
        let format = logFormat
        LoggingSystem.bootstrap { format.handler(label: $0, level: .notice) }
        var logger = Logger(label: "perchd router")
        logger[metadataKey: "service"] = "\(service)"
        let router = Router(
            settings: try RouterSettings(
                listen: listen, controlSocket: control, tableFile: table, threads: threads, metrics: metrics,
                service: service),
            logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: RouterService(router: router))],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}

struct RouterService: Service {
    let router: Router

    /// A cancelled router accepts nobody new and lets the requests under way finish.
    func run() async throws { try await cancelWhenGracefulShutdown { try await router.run() } }
}
