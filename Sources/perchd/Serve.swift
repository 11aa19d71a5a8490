// `perchd serve`: the control plane until it is told to stop. Stopping changes no traffic.

import ArgumentParser
import ControlAPI
import Controller
import Foundation
import Logging
import Metrics
import Platforms
import Policies
import Ports
import Releases
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the control plane.",
        discussion: "Routers and instances are processes of their own: they outlive the daemon and are found again.")

    @OptionGroup var options: SettingOptions

    func run() async throws {
        let settings: Settings
        let wiring: Wiring
        let tokens: (read: [String], operate: [String])
        let logger: Logger
        do {
            settings = try Settings(options)
            let level = settings.logLevel
            let format = settings.logFormat
            LoggingSystem.bootstrap { format.handler(label: $0, level: level) }
            logger = Logger(label: "perchd")
            wiring = try Wiring(settings, logger: logger)
            tokens = (
                try settings.readTokens.map { secret throws(Failure) in try Wiring.value(of: secret) },
                try settings.operateTokens.map { secret throws(Failure) in try Wiring.value(of: secret) }
            )
        } catch {
            FileHandle.standardError.write(Data("perchd: \(error)\n".utf8))
            throw ExitCode(2)
        }
        let controller = ReleaseController(
            policies: wiring.policies, ports: wiring.ports, store: wiring.store, publicURL: settings.publicURL,
            logger: logger)
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)
        var api = APISettings(
            tcp: settings.listen, socketPath: settings.socket.isEmpty ? nil : settings.socket,
            publicURL: settings.publicURL)
        api.operateTokens = tokens.operate
        api.readTokens = tokens.read
        api.isBehindProxy = settings.isBehindProxy
        api.hasOpenMetrics = settings.hasOpenMetrics
        let servers = makeServers(control: controller, settings: api, metrics: registry, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: servers.map { .init(service: $0) } + [
                    .init(service: ControllerService(controller: controller)),
                    .init(service: HousekeepingService(platform: wiring.platform)),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}

/// The controller as a service: a graceful stop ends its loops where they stand, the next start goes on from the facts.
struct ControllerService: Service {
    let controller: ReleaseController

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await controller.run() }
    }
}

/// What the platform does beside releases.
struct HousekeepingService: Service {
    let platform: ProcessPlatform

    func run() async throws {
        await cancelWhenGracefulShutdown { await platform.run() }
    }
}
