// All of it, real: PostgreSQL, perchd, its router, the service's processes from real commits. One for each test.

import Foundation
import Glibc
import Synchronization

package final class PerchSystem: Sendable {
    package let folder: String
    package let postgres: Cluster
    package let repository: ServiceRepository
    package let shopPort: Int
    private let secret: [UInt8]
    private let isDataMounted = Mutex(false)
    private let crowds = Mutex<[Customers]>([])
    /// All that were made; the last one that ``ask(_:)`` named is asked.
    private let daemons: Mutex<(all: [Daemon], asked: Daemon)>

    /// The daemon that triggers and questions go to.
    package var daemon: Daemon { daemons.withLock { $0.asked } }
    package var data: String { "\(folder)/data" }

    /// Where `perchd` and `perch` are: beside the test bundle, or in `PERCH_BIN`.
    package static let binaries: String = {
        if let given = ProcessInfo.processInfo.environment["PERCH_BIN"] { return given }
        let test = CommandLine.arguments[0]
        return URL(fileURLWithPath: test).deletingLastPathComponent().path
    }()

    private init(_ policy: PolicyText, ballast: Int, dataMegabytes: Int?) async throws {
        folder = "/tmp/perch-e2e-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
        try FileManager.default.createDirectory(atPath: "\(folder)/policies", withIntermediateDirectories: true)
        // PostgreSQL runs as another user.
        chmod(folder, 0o755)
        let ports = try Self.freePorts(3)
        shopPort = ports[0]
        secret = (0..<32).map { _ in UInt8.random(in: 0...UInt8.max) }
        postgres = try await Cluster(folder: "\(folder)/postgres", port: ports[1])
        repository = try await ServiceRepository(at: "\(folder)/repository")
        let first = Self.daemon("perchd", folder: folder, port: ports[2], postgres: postgres, secret: secret)
        daemons = Mutex(([first], first))
        try use(policy)
        if let dataMegabytes { try await mountData(megabytes: dataMegabytes) }
        try await postgres.start()
        try await createDatabases(ballast: ballast)
    }

    private func createDatabases(ballast: Int) async throws {
        try await postgres.sql(try Self.text("roles.sql"), database: "postgres")
        try await postgres.sql("create database shop owner shop", database: "postgres")
        try await postgres.sql("create database perch owner perch_store", database: "postgres")
        let schema = try Self.text("schema.sql")
        try await postgres.sql("set role shop; \(schema)", database: "shop")
        try await postgres.sql(
            "set role shop; insert into ballast select n, repeat(md5(n::text), 8) from generate_series(1, \(ballast)) n",
            database: "shop")
    }

    private static func text(_ name: String) throws -> String {
        try String(contentsOfFile: ServiceRepository.file(name), encoding: .utf8)
    }

    /// Whether a data folder of a fixed size can be had here.
    package static let canMount = getuid() == 0 && access("/bin/mount", X_OK) == 0

    private func mountData(megabytes: Int) async throws {
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        try await run(["/bin/mount", "-t", "tmpfs", "-o", "size=\(megabytes)m,mode=0755", "tmpfs", data])
        isDataMounted.withLock { $0 = true }
    }

    /// Takes all the space that is left in the data folder, until the file is removed.
    package func fillData() throws -> String {
        let path = "\(data)/ballast"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SystemFailure("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        for size in [1 << 20, 4_096, 1] {
            let bytes = [UInt8](repeating: 0, count: size)
            while write(descriptor, bytes, size) == size {}
        }
        return path
    }

    /// Writes the policy that the next start of a daemon reads.
    package func use(_ policy: PolicyText) throws {
        try policy.render(repository: repository.path, shopPort: shopPort)
            .write(toFile: "\(folder)/policies/shop.yaml", atomically: true, encoding: .utf8)
    }

    /// Another perchd on the same store, data folder and policies.
    package func makeDaemon(_ name: String) throws -> Daemon {
        let made = Self.daemon(
            name, folder: folder, port: try Self.freePorts(1)[0], postgres: postgres, secret: secret)
        daemons.withLock { $0.all.append(made) }
        return made
    }

    /// Triggers and questions go to this daemon from now on.
    package func ask(_ daemon: Daemon) { daemons.withLock { $0.asked = daemon } }

    private static func daemon(
        _ name: String, folder: String, port: Int, postgres: Cluster, secret: [UInt8]
    ) -> Daemon {
        let socket = "\(folder)/\(name).sock"
        var environment: [String: String] = ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder]
        // Everything that Perch starts inherits it: how the end of a test finds what outlived the daemon.
        environment["TMPDIR"] = folder
        environment["PERCH_STORE_URL"] = postgres.url("perch", user: "perch_store")
        environment["SHOP_DATABASE_URL"] = postgres.url("shop", user: "shop")
        environment["SHOP_ADMIN_URL"] = postgres.url("shop", user: "perch_admin")
        environment["SHOP_WEBHOOK_SECRET"] = "whsec_" + Data(secret).base64EncodedString()
        return Daemon(
            port: port, socket: socket, log: "\(folder)/\(name).log",
            command: [
                "\(binaries)/perchd", "serve", "--data", "\(folder)/data", "--policies", "\(folder)/policies",
                "--store", "env:PERCH_STORE_URL", "--listen", "127.0.0.1:\(port)", "--socket", socket,
                "--log-level", "info",
            ], environment: environment, secret: secret)
    }

    /// Ports nobody listens on, below those that the kernel gives to outgoing connections.
    private static func freePorts(_ count: Int) throws -> [Int] {
        var found: [Int] = []
        for _ in 0..<1_000 where found.count < count {
            let port = Int.random(in: 15_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(UInt16(port).bigEndian)
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            let isFree = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if isFree, !found.contains(port) { found.append(port) }
        }
        guard found.count == count else { throw SystemFailure("no free ports") }
        return found
    }

    /// Customers until the end of the test or ``Customers/stop()``.
    package func startCustomers(_ count: Int = 4) -> Customers {
        let customers = Customers(port: shopPort, count: count)
        crowds.withLock { $0.append(customers) }
        return customers
    }

    // MARK: One for each test

    /// Runs `body` with a system of its own, one system at a time, and ends whatever it started.
    ///
    /// - Parameters:
    ///   - ballast: rows of a table that only makes a dump and a restore last.
    ///   - dataMegabytes: the size of the data folder; nil: as large as the disk.
    package static func with(
        _ change: (inout PolicyText) -> Void = { _ in }, ballast: Int = 0, dataMegabytes: Int? = nil,
        _ body: (PerchSystem) async throws -> Void
    ) async throws {
        var policy = PolicyText()
        change(&policy)
        let chosen = policy
        await turn.take()
        var thrown: (any Error)?
        do {
            let system = try await PerchSystem(chosen, ballast: ballast, dataMegabytes: dataMegabytes)
            do {
                try await system.daemon.start()
                try await body(system)
            } catch {
                let log = "perchd's last lines:\n\(system.daemon.lastLines(40))"
                thrown = SystemFailure("\(error)\n\(system.folder)\n\(log)")
            }
            await system.end(keepingFolder: keepsFailed)
        } catch {
            thrown = error
        }
        await turn.giveBack()
        if let thrown { throw thrown }
    }

    private static let turn = Turn()
    private static let keepsFailed = ProcessInfo.processInfo.environment["PERCH_KEEP_FAILED"] != nil

    private func end(keepingFolder: Bool) async {
        for customers in crowds.withLock({ $0 }) { try? await customers.stop() }
        for daemon in daemons.withLock({ $0.all }) where daemon.isRunning { try? await daemon.kill() }
        endLeftovers()
        try? await postgres.stop()
        if isDataMounted.withLock({ $0 }) { _ = try? await run(["/bin/umount", data]) }
        if !keepingFolder { try? FileManager.default.removeItem(atPath: folder) }
    }

    /// Kills every process that carries this system's `TMPDIR`.
    private func endLeftovers() {
        let mark = Array("TMPDIR=\(folder)".utf8)
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = Int32(name), let variables = FileManager.default.contents(atPath: "/proc/\(pid)/environ"),
                variables.split(separator: 0).contains(where: { $0.elementsEqual(mark) })
            else { continue }
            kill(pid, SIGKILL)
        }
    }
}

/// Tests with a system take turns: two of them on one machine would measure each other.
private actor Turn {
    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func take() async {
        guard isTaken else {
            isTaken = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    func giveBack() {
        if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
    }
}
