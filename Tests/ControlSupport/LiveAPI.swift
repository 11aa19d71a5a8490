// The real API over an in-memory controller, on a free port and a socket of its own.

package import ControlAPI
import FoundationEssentials
package import Logging
package import Releases
import ServiceLifecycle
import Synchronization

package struct LiveAPI: Sendable {
    package let control: InMemoryControl
    package let metrics: PrometheusRegistry
    package let port: Int
    package let socketPath: String

    package var http: String { "http://127.0.0.1:\(port)" }
    /// As async-http-client writes it; a path follows.
    package var unix: String {
        "http+unix://" + socketPath.split(separator: "/").map { "%2F" + $0 }.joined()
    }
}

/// Serves until `body` returns, then stops the servers.
package func withLiveAPI<Result: Sendable>(
    control: InMemoryControl = InMemoryControl(), logger: Logger = quietLogger(),
    now: @escaping @Sendable () -> Instant = wallClock,
    configure: (inout APISettings) -> Void = { _ in },
    _ body: @escaping @Sendable (LiveAPI) async throws -> Result
) async throws -> Result {
    let folder = "/tmp/perch-api-\(UInt32.random(in: 0..<UInt32.max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var settings = APISettings(
        tcp: .init(host: "127.0.0.1", port: 0), socketPath: folder + "/s", publicURL: "https://perch.test")
    settings.operateTokens = ["operate-token"]
    settings.readTokens = ["read-token"]
    configure(&settings)
    let metrics = PrometheusRegistry()
    let heard = Heard()
    let services = makeServers(
        control: control, settings: settings, metrics: metrics, logger: logger, now: now,
        onListening: { listening in heard.listening.withLock { $0.append(listening) } })
    let group = ServiceGroup(configuration: .init(services: services.map { .init(service: $0) }, logger: logger))
    return try await withThrowingTaskGroup(of: Result?.self) { tasks in
        tasks.addTask {
            try await group.run()
            return nil
        }
        tasks.addTask {
            let deadline = ContinuousClock.now + .seconds(10)
            while ContinuousClock.now < deadline {
                if let port = heard.portOfBoth {
                    return try await body(
                        LiveAPI(control: control, metrics: metrics, port: port, socketPath: folder + "/s"))
                }
                try await Task.sleep(for: .milliseconds(5))
            }
            throw NeverListened()
        }
        var result: Result?
        while let next = try await tasks.next() {
            guard let next else { continue }
            result = next
            await group.triggerGracefulShutdown()
        }
        guard let result else { throw NeverListened() }
        return result
    }
}

/// Which listeners are up.
final class Heard: Sendable {
    let listening = Mutex<[Listening]>([])

    /// TCP's port once the socket is there too.
    var portOfBoth: Int? {
        listening.withLock { all in
            guard all.count == 2 else { return nil }
            for case .tcp(let port) in all { return port }
            return nil
        }
    }
}

struct NeverListened: Error {}

package func quietLogger() -> Logger {
    Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
}
