// Our own router as a process a service: started when it does not run, told over its socket, left alone when we go.
//
//     routers/<service>/             its folder, see ProcessHome
//     routers/<service>/table.json   the last table it accepted; written by the router, read when it starts
//     routers/<service>.sock         where it listens for us

import Glibc
package import Logging
package import Ports
package import Releases
package import Traffic

/// Splits traffic with `perchd router`.
package struct EmbeddedRouter: TrafficPort {
    private let folder: String
    private let perchdPath: String
    private let logger: Logger

    /// - Parameter perchdPath: the executable that is started as `perchd router`.
    package init(dataFolder: String, perchdPath: String, logger: Logger) {
        folder = FileSystem.absolute(dataFolder) + "/routers"
        self.perchdPath = FileSystem.absolute(perchdPath)
        self.logger = logger
    }

    /// What the router process is, in its record.
    private struct Subject: Codable, Sendable {
        var listen: String
        var metrics: String?
    }

    package func apply(_ table: RoutingTable, listen: String, metrics: String?) async throws(Failure) {
        guard let service = ServiceName(rawValue: table.service) else {
            throw Failure("'\(table.service)' is not a service's name")
        }
        let wanted = Subject(listen: listen, metrics: metrics)
        if home(service).presence == .running, let running = home(service).record(of: Subject.self)?.subject {
            guard running.listen == listen else {
                throw Failure(
                    "the router of \(service) listens on \(running.listen), the policy says \(listen)",
                    hint: "moving it drops connections: end the router when that may happen, and Perch starts it anew")
            }
            // Traffic matters more: the table is applied all the same.
            if running.metrics != metrics {
                logger.warning(
                    "router serves metrics where its policy said at its start",
                    metadata: [
                        "service": "\(service)", "served": "\(running.metrics ?? "none")",
                        "policy": "\(metrics ?? "none")",
                    ])
            }
        }
        do throws(RouterControl.Problem) {
            try await asked(service, wanted) { control throws(RouterControl.Problem) in
                try await control.put(table)
            }
        } catch {
            throw Self.failure(service, "take table \(table.epoch).\(table.generation)", error)
        }
    }

    package func table(service: ServiceName) async throws(Failure) -> RoutingTable? {
        guard home(service).record(of: Subject.self) != nil else { return nil }
        return try await ask(service, "show its table") { control throws(RouterControl.Problem) in
            try await control.table()
        }
    }

    package func report(service: ServiceName, overdueAfter: Duration) async throws(Failure) -> RouterReport {
        try await ask(service, "report") { control throws(RouterControl.Problem) in
            try await control.report(overdueAfter: overdueAfter)
        }
    }

    package func samples(service: ServiceName) async throws(Failure) -> SampleReport {
        try await ask(service, "show samples") { control throws(RouterControl.Problem) in try await control.samples() }
    }

    package func hold(service: ServiceName, _ request: HoldRequest) async throws(Failure) -> HoldState {
        try await ask(service, "hold requests") { control throws(RouterControl.Problem) in
            try await control.hold(request)
        }
    }

    package func letGo(service: ServiceName, name: String) async throws(Failure) {
        try await ask(service, "let requests go") { control throws(RouterControl.Problem) in
            try await control.letGo(name)
        }
    }

    /// Ends the router and with it every connection; for a service that Perch gives up. The last table stays.
    package func stop(service: ServiceName, drain: Span) async throws(Failure) {
        let home = home(service)
        guard FileSystem.exists(folder) else { return }
        try await withFileLock(home.lockPath, patience: drain.duration + .seconds(30)) { () throws(Failure) in
            try await home.stop(drain: drain.duration)
        }
    }

    /// Asks a router that was started once; a dead one is started again where it listened before.
    private func ask<Answer>(
        _ service: ServiceName, _ what: String,
        _ question: (RouterControl) async throws(RouterControl.Problem) -> Answer
    ) async throws(Failure) -> Answer {
        guard let record = home(service).record(of: Subject.self) else {
            throw Failure(
                "the router of \(service) cannot \(what): it was never started", hint: "give it a table first",
                isTransient: true)
        }
        do throws(RouterControl.Problem) {
            return try await asked(service, record.subject, question)
        } catch {
            throw Self.failure(service, what, error)
        }
    }

    /// One more try after starting the router when nobody listens.
    private func asked<Answer>(
        _ service: ServiceName, _ subject: Subject,
        _ question: (RouterControl) async throws(RouterControl.Problem) -> Answer
    ) async throws(RouterControl.Problem) -> Answer {
        let control = RouterControl(service: service.rawValue, socket: socket(service))
        do throws(RouterControl.Problem) {
            if home(service).presence == .running { return try await question(control) }
        } catch .unreachable {
            // It runs and is just starting, or it died this moment. Every question may be asked twice.
        }
        do throws(Failure) {
            try await start(service, subject, control: control)
        } catch {
            throw .failed(error.description)
        }
        return try await question(control)
    }

    /// Returns once the router answers, whoever started it.
    private func start(_ service: ServiceName, _ subject: Subject, control: RouterControl) async throws(Failure) {
        let socket = socket(service)
        guard socket.utf8.count <= RouterControl.longestSocketPath else {
            throw Failure(
                "\(socket) is too long for a socket: \(socket.utf8.count) bytes, \(RouterControl.longestSocketPath) fit",
                hint: "move the data folder to a shorter path")
        }
        try FileSystem.makeFolder(folder)
        let home = home(service)
        try await withFileLock(home.lockPath, patience: .seconds(30)) { () throws(Failure) in
            var isOurs = false
            let deadline = ContinuousClock.now + .seconds(10)
            while !(await control.isHealthy()) {
                if home.presence != .running {
                    guard !isOurs else {
                        throw Failure(
                            described("\(home.presence.words) at its start", home),
                            hint: "check that \(subject.listen) is free; output: \(home.output.path)", isTransient: true
                        )
                    }
                    try await home.stop(drain: .zero)
                    try launch(service, subject, in: home)
                    isOurs = true
                }
                guard ContinuousClock.now < deadline else {
                    throw Failure(
                        described("did not answer on \(socket) within 10 s", home),
                        hint: "look at \(home.output.path)", isTransient: true)
                }
                try await pause(for: .milliseconds(20))
            }
        }
    }

    private func launch(_ service: ServiceName, _ subject: Subject, in home: ProcessHome) throws(Failure) {
        let launch = ProcessHome.Launch(
            command: [
                perchdPath, "router", "--service", service.rawValue, "--listen", subject.listen, "--control",
                socket(service), "--table", "\(home.path)/table.json",
            ] + (subject.metrics.map { ["--metrics", $0] } ?? []),
            environment: ProcessEnvironment.inherited, folder: "/")
        let record = try home.start(launch, subject: subject, now: .now)
        logger.info(
            "router started",
            metadata: ["service": "\(service)", "pid": "\(record.identity.pid)", "listen": "\(subject.listen)"])
    }

    private func home(_ service: ServiceName) -> ProcessHome { ProcessHome(in: folder, name: service.rawValue) }

    private func socket(_ service: ServiceName) -> String { "\(folder)/\(service).sock" }

    private func described(_ message: String, _ home: ProcessHome) -> String {
        let lines = home.output.lastLines(10)
        return lines.isEmpty
            ? message : message + "; its last lines:\n" + lines.map { "    \($0)" }.joined(separator: "\n")
    }

    private static func failure(_ service: ServiceName, _ what: String, _ problem: RouterControl.Problem) -> Failure {
        switch problem {
        case .refused(409, let text):
            return Failure(
                "the router of \(service) refused to \(what): \(text)",
                hint: "another controller speaks to it with a newer epoch; only one may run")
        case .refused(let status, _) where status < 500:
            return Failure("the router of \(service) cannot \(what): it \(problem.reason)")
        case .refused, .unreachable, .failed:
            return Failure("the router of \(service) cannot \(what): it \(problem.reason)", isTransient: true)
        }
    }
}
