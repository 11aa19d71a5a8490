// A process that counts requests of two versions and shows its counters as Prometheus reads them.

import Synchronization

/// Stands for a proxy in front of a service: one server, two versions.
final class CountingProcess: Sendable {
    struct Counters: Sendable {
        var versions = ["stable", "canary"]
        /// Version -> answered well.
        var served: [String: Int] = [:]
        /// Version -> failed.
        var failed: [String: Int] = [:]
        /// Lines that are shown beside the counters.
        var others = ""

        var text: String {
            var lines = ["# TYPE requests_total counter"]
            for version in versions {
                lines.append("requests_total{version=\"\(version)\",outcome=\"served\"} \(served[version] ?? 0)")
                lines.append("requests_total{version=\"\(version)\",outcome=\"failed\"} \(failed[version] ?? 0)")
            }
            return lines.joined(separator: "\n") + "\n" + others
        }
    }

    private final class Shown: Sendable {
        let counters = Mutex(Counters())
    }

    private let shown: Shown
    private let server: HTTPServer
    var address: String { server.address }

    init(_ change: @Sendable (inout Counters) -> Void = { _ in }) async throws {
        let shown = Shown()
        shown.counters.withLock { change(&$0) }
        self.shown = shown
        server = try await HTTPServer { _ in .whole(body: shown.counters.withLock(\.text)) }
    }

    /// All at once, as far as a scrape can see.
    func change(_ change: @Sendable (inout Counters) -> Void) { shown.counters.withLock { change(&$0) } }

    func count(_ version: String, served: Int = 0, failed: Int = 0) {
        change { counters in
            counters.served[version, default: 0] += served
            counters.failed[version, default: 0] += failed
        }
    }

    /// The process ends and another takes its place: everything is counted from 0.
    func restart() { change { $0 = Counters() } }

    func stop() async throws { try await server.close() }
}
