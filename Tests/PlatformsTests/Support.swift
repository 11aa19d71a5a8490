// What the tests of this folder share: a scratch folder, real repositories, a real small service.

import Foundation
import Logging
import Ports
import Releases
import Testing

@testable import Platforms

/// A folder of one test. Whatever still runs in its data folder at the end is killed, then everything is removed.
struct Scratch: Sendable {
    let path: String
    var data: String { "\(path)/data" }
    let shop = ServiceName(rawValue: "shop")!

    var platform: ProcessPlatform { ProcessPlatform(dataFolder: data, logger: quiet) }
    var source: GitSource { GitSource(dataFolder: data, logger: quiet) }
    var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

    func policy(_ repository: Repository, build: [String] = []) -> Policy {
        var policy = Policy(
            service: shop, source: .init(repository: repository.path),
            platform: .init(process: .init(command: ["python3", "service.py", "{port}"])),
            traffic: .init(listen: "127.0.0.1:0"), cohort: .init(steps: []), database: nil)
        policy.source.build = build
        return policy
    }

    func spec(
        _ name: String, _ commit: CommitID, command: [String] = ["python3", "service.py", "{port}"],
        environment: [String: String] = [:]
    ) -> InstanceSpec {
        var process = Policy.Process(command: command)
        process.environment = environment
        process.readyWithin = .seconds(20)
        return InstanceSpec(
            name: name, service: shop, arm: .canary, commit: commit, process: process, databaseURL: nil,
            environment: [:])
    }

    func home(_ name: String) -> ProcessHome { ProcessHome(in: "\(data)/instances", name: name) }

    func write(_ text: String, to name: String) throws {
        try text.write(toFile: "\(path)/\(name)", atomically: false, encoding: .utf8)
    }
}

func withScratch(_ body: (Scratch) async throws -> Void) async throws {
    let scratch = Scratch(path: "/tmp/perch-\(UInt32.random(in: 0...UInt32.max))")
    try FileManager.default.createDirectory(atPath: scratch.path, withIntermediateDirectories: true)
    var thrown: (any Error)?
    do {
        try await body(scratch)
    } catch {
        thrown = error
    }
    for kind in ["instances", "builds", "routers"] {
        for name in FileSystem.names(in: "\(scratch.data)/\(kind)") {
            try? await ProcessHome(in: "\(scratch.data)/\(kind)", name: name).stop(drain: .zero)
        }
    }
    try? FileManager.default.removeItem(atPath: scratch.path)
    if let thrown { throw thrown }
}

/// A git repository with a working tree.
struct Repository: Sendable {
    let path: String

    init(in scratch: Scratch, name: String = "shop") async throws {
        path = "\(scratch.path)/\(name)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try await git("init", "--quiet", "--initial-branch=main")
        try await git("config", "user.name", "Ada")
        try await git("config", "user.email", "ada@example.com")
    }

    @discardableResult
    func git(_ arguments: String...) async throws -> String {
        try await GitCommand(repository: path, arguments: arguments, deadline: .seconds(60)).output()
    }

    func write(_ text: String, to file: String) throws {
        let target = URL(fileURLWithPath: "\(path)/\(file)")
        try FileManager.default.createDirectory(
            at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: target)
    }

    /// Commits these files on top of what is checked out.
    @discardableResult
    func commit(_ message: String, _ files: [String: String]) async throws -> CommitID {
        for (file, text) in files { try write(text, to: file) }
        try await git("add", "--all")
        try await git("commit", "--quiet", "--allow-empty", "-m", message)
        return try await head()
    }

    func head() async throws -> CommitID {
        let id = try await git("rev-parse", "HEAD").trimmingCharacters(in: .whitespacesAndNewlines)
        return try #require(CommitID(rawValue: id))
    }

    /// A repository with one commit that holds `service.py`, checked out and prepared.
    static func prepared(in scratch: Scratch) async throws -> CommitID {
        let repository = try await Repository(in: scratch)
        let commit = try await repository.commit("service", ["service.py": servicePy])
        try await scratch.platform.prepare(commit: commit, policy: scratch.policy(repository))
        return commit
    }
}

/// Answers every path with 200; says on its output what it was given, and when it drains.
let servicePy = #"""
    import http.server, os, signal, sys, threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(os.environ.get("ANSWER", "200")))
            self.send_header("Content-Length", "0")
            self.end_headers()
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)

    def drain(*_):
        print("draining", flush=True)
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, drain)
    for name in sorted(os.environ):
        print(f"{name}={os.environ[name]}", flush=True)
    print("cwd=" + os.getcwd(), flush=True)
    server.serve_forever()
    print("drained", flush=True)
    """#

/// Asks until it is so, or fails after `patience`.
func eventually(
    _ what: Comment, within patience: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + patience
    while !(try await condition()) {
        guard ContinuousClock.now < deadline else {
            Issue.record(what, sourceLocation: sourceLocation)
            throw Failure("did not become true within \(patience): \(what)")
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// The failure that `body` throws.
func failure<Result>(
    sourceLocation: SourceLocation = #_sourceLocation, of body: () async throws(Failure) -> Result
) async throws -> Failure {
    do throws(Failure) {
        _ = try await body()
    } catch {
        return error
    }
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    throw Failure("nothing was thrown")
}

func isRunning(_ pid: Int32) -> Bool {
    guard let status = ProcessStatus(of: pid) else { return false }
    return !status.isZombie
}
