// Versions as processes of this machine. They outlive the daemon: all that is known of them is in the data folder.
//
//     instances/<name>/   one folder an instance, see ProcessHome
//     checkouts/          see Checkouts
//     builds/             output of builds
//     repositories/       see GitMirror

import FoundationEssentials
package import Logging
package import Ports
package import Releases

/// Runs instances as process groups on this machine.
package struct ProcessPlatform: PlatformPort {
    let dataFolder: String
    private let checkouts: Checkouts
    private let logger: Logger

    /// - Parameter dataFolder: everything is kept in there; two objects on one folder, also in two processes, agree.
    package init(dataFolder: String, logger: Logger) {
        self.dataFolder = FileSystem.absolute(dataFolder)
        self.logger = logger
        checkouts = Checkouts(dataFolder: self.dataFolder, logger: logger)
    }

    package func prepare(commit: CommitID, policy: Policy) async throws(Failure) {
        try await checkouts.prepare(commit, policy: policy) { [self] in
            living().contains { $0.service == policy.service && $0.commit == commit }
        }
    }

    package func start(_ spec: InstanceSpec) async throws(Failure) -> Instance {
        let home = try home(of: spec.name)
        try FileSystem.makeFolder(instancesFolder)
        let folder = try checkouts.prepared(spec.commit, service: spec.service)
        return try await withFileLock(home.lockPath, patience: .seconds(60)) { () throws(Failure) in
            if home.presence == .running, let instance = home.record(of: Instance.self)?.subject {
                guard instance.commit == spec.commit else {
                    throw Failure(
                        "\(spec.name) runs commit \(instance.commit.short), not \(spec.commit.short)",
                        hint: "stop it first")
                }
                return instance
            }
            // What an instance that ended left running would keep its port and its database sessions.
            try await home.stop(drain: spec.process.drain.duration)
            let instance = Instance(
                name: spec.name, service: spec.service, arm: spec.arm, commit: spec.commit, host: "127.0.0.1", port: 0)
            return try await launch(spec, as: instance, in: folder, home: home)
        }
    }

    /// Chooses the port and starts; under one lock, so that two instances started together get two ports.
    private func launch(
        _ spec: InstanceSpec, as unbound: Instance, in folder: String, home: ProcessHome
    ) async throws(Failure) -> Instance {
        try await withFileLock("\(dataFolder)/ports.lock", patience: .seconds(60)) { () throws(Failure) in
            var instance = unbound
            instance.port = try FreePort.find(notIn: Set(living().map(\.port)))
            let command = spec.process.command.map { $0.replacing("{port}", with: String(instance.port)) }
            let launch = ProcessHome.Launch(
                command: command, environment: environment(of: spec, port: instance.port), folder: folder)
            let record = try home.start(launch, subject: instance, now: .now)
            logger.info(
                "instance started",
                metadata: [
                    "instance": "\(spec.name)", "pid": "\(record.identity.pid)", "port": "\(instance.port)",
                    "commit": "\(spec.commit)",
                ])
            return instance
        }
    }

    private func environment(of spec: InstanceSpec, port: Int) -> [String: String] {
        var environment = ProcessEnvironment.inherited
        environment.merge(spec.process.environment) { _, policy in policy }
        environment.merge(
            [
                "PERCH_SERVICE": spec.service.rawValue, "PERCH_ARM": spec.arm.rawValue,
                "PERCH_COMMIT": spec.commit.rawValue, "PORT": String(port),
            ]
        ) { _, ours in ours }
        environment.merge(spec.environment) { _, given in given }
        if let url = spec.databaseURL { environment[spec.process.databaseVariable] = url }
        return environment
    }

    package func awaitReady(_ instance: Instance, process: Policy.Process) async throws(Failure) {
        let home = try home(of: instance.name)
        let deadline = ContinuousClock.now + process.readyWithin.duration
        var last = "it was not asked"
        while true {
            guard home.presence == .running else {
                throw Failure(
                    withLines("\(instance.name) \(home.presence.words) before it was ready", of: home),
                    hint: "start it by hand from its checkout; all of its output is in \(home.output.path)")
            }
            switch await ReadinessProbe.ask(host: instance.host, port: instance.port, path: process.readyPath) {
            case .ready:
                // The answer may have been another's, who took the port.
                guard home.presence == .running else { continue }
                home.markReady()
                return
            case .notReady(let reason):
                last = reason
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    withLines("\(instance.name) was not ready within \(process.readyWithin): \(last)", of: home),
                    hint: "check platform.process.ready_path, or raise ready_within; output: \(home.output.path)")
            }
            try await pause(for: .milliseconds(100))
        }
    }

    package func health(of instance: Instance, process: Policy.Process) async -> InstanceHealth {
        guard let home = try? home(of: instance.name) else { return .exited(status: "never started", lines: []) }
        guard home.presence == .running else {
            return .exited(status: home.presence.words, lines: home.output.lastLines(20))
        }
        switch await ReadinessProbe.ask(host: instance.host, port: instance.port, path: process.readyPath) {
        case .ready:
            home.markReady()
            return .ready
        case .notReady(let reason):
            guard home.presence == .running else {
                return .exited(status: home.presence.words, lines: home.output.lastLines(20))
            }
            return home.wasReady ? .notReady(reason) : .starting
        }
    }

    package func stop(name: String, drain: Span) async throws(Failure) {
        let home = try home(of: name)
        guard FileSystem.exists(instancesFolder) else { return }
        try await withFileLock(home.lockPath, patience: drain.duration + .seconds(60)) { () throws(Failure) in
            try await home.stop(drain: drain.duration)
        }
        logger.info("instance stopped", metadata: ["instance": "\(name)"])
    }

    package func running(service: ServiceName) async -> [Instance] {
        living().filter { $0.service == service }
    }

    package func output(name: String, lines: Int) async -> [String] {
        (try? home(of: name))?.output.lastLines(lines) ?? []
    }

    private var instancesFolder: String { "\(dataFolder)/instances" }

    /// Every instance whose process runs, of all services.
    private func living() -> [Instance] {
        FileSystem.names(in: instancesFolder).compactMap { name in
            let home = ProcessHome(in: instancesFolder, name: name)
            guard let record = home.record(of: Instance.self), home.presence == .running else { return nil }
            return record.subject
        }
    }

    /// - Throws: when the name could lead out of the data folder.
    private func home(of name: String) throws(Failure) -> ProcessHome {
        let isPlain = name.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "-_".utf8.contains(byte)
        }
        guard isPlain, (1...120).contains(name.utf8.count), !name.hasPrefix("-") else {
            throw Failure("'\(name)' is not an instance's name", hint: "use letters, digits, - and _")
        }
        return ProcessHome(in: instancesFolder, name: name)
    }

    private func withLines(_ message: String, of home: ProcessHome) -> String {
        let lines = home.output.lastLines(20)
        guard !lines.isEmpty else { return message + "; it wrote nothing" }
        return message + "; its last lines:\n" + lines.map { "    \($0)" }.joined(separator: "\n")
    }
}

extension ProcessHome.Presence {
    var words: String {
        switch self {
        case .running: "runs"
        case .ended(let how): how
        case .absent: "does not run"
        }
    }
}
