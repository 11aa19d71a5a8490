// A Prometheus server of its own for a test: started on a free port, gone with the process that asked for it.

import Foundation
import Glibc
import Measurements
import Ports
import PostgresSupport
import Releases
import Synchronization

/// Scrapes its targets five times a second. Its `instance` label is the target's address.
final class PrometheusServer: Sendable {
    let port: Int
    private let folder: String
    private let pid: pid_t
    /// Our end of the shell's input; when it closes, the server is killed and its folder removed.
    private let input: Mutex<Int32?>

    var address: String { "http://127.0.0.1:\(port)" }

    private static let script = """
        trap '' HUP INT TERM
        prometheus --config.file="$1/prometheus.yml" --storage.tsdb.path="$1/data" --log.level=warn \\
            --web.listen-address="127.0.0.1:$2" </dev/null >>"$1/log" 2>&1 &
        server=$!
        echo $server >"$1/pid"
        read -r nothing
        kill -KILL $server
        wait $server
        rm -rf "$1"
        """

    private static let configuration = """
        global: {scrape_interval: 200ms, scrape_timeout: 200ms}
        scrape_configs:
          - job_name: test
            file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
        """

    /// Returns when it answers.
    static func start(targets: [String] = []) async throws -> PrometheusServer {
        // Somebody may take a port between our look and the server's start.
        for _ in 0..<5 {
            let server = try PrometheusServer(targets: targets)
            if await server.isReady() { return server }
            await server.stop()
        }
        throw SupportError("prometheus does not start\nhint: apt-get install prometheus")
    }

    private init(targets: [String]) throws {
        port = try freePort()
        var template = Array("/tmp/perch-prometheus-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SupportError("no folder in /tmp") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try Self.configuration.write(toFile: "\(folder)/prometheus.yml", atomically: true, encoding: .utf8)
        try Self.write(targets, to: folder)
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw SupportError("no pair of sockets")
        }
        defer { close(ends[0]) }
        input = Mutex(ends[1])
        pid = try ChildProcess(
            ["/bin/sh", "-c", Self.script, "prometheus", folder, "\(port)"], input: ends[0], output: "/dev/null"
        ).pid
    }

    /// Kills the server; returns when it is gone.
    func stop() async {
        let isOurs = input.withLock { input in
            guard let open = input else { return false }
            close(open)
            input = nil
            return true
        }
        guard isOurs else { return }
        let pid = pid
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var status: Int32 = 0
                while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
                continuation.resume()
            }
        }
    }

    /// What it scrapes from now on; it acts on that within five seconds.
    func scrape(_ targets: [String]) throws { try Self.write(targets, to: folder) }

    /// Stops it in the middle of whatever it does, or lets it go on.
    func freeze(_ isFrozen: Bool) throws {
        let text = try String(contentsOfFile: "\(folder)/pid", encoding: .utf8)
        guard let server = pid_t(text.filter(\.isNumber)) else { throw SupportError("no process in \(folder)/pid") }
        guard kill(server, isFrozen ? SIGSTOP : SIGCONT) == 0 else { throw SupportError("no process \(server)") }
    }

    private static func write(_ targets: [String], to folder: String) throws {
        let list = targets.map { "\"\($0)\"" }.joined(separator: ", ")
        try #"[{"targets": [\#(list)]}]"#.write(toFile: "\(folder)/targets.json", atomically: true, encoding: .utf8)
    }

    private func isReady() async -> Bool {
        let deadline = ContinuousClock.now + .seconds(20)
        let asking = Policy.PrometheusNumber(address: address, query: "1", limits: .init(max: 1))
        while ContinuousClock.now < deadline {
            let sources = MetricSources { secret throws(Failure) in throw Failure("secret \(secret) is not set") }
            if await sources.read(Policy.Metric(name: "ready", source: .prometheus(asking))) == .value(1) {
                return true
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
        return false
    }
}
