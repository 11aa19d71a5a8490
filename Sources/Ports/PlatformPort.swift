// Where versions run. Every verb is idempotent: asking again for what is already so changes nothing.

package import Releases

/// One instance that should run.
package struct InstanceSpec: Hashable, Sendable, Codable {
    /// Unique and stable: `shop-42-canary-1`; also the name of its folder of output.
    package var name: String
    package var service: ServiceName
    package var arm: Arm
    package var commit: CommitID
    package var process: Policy.Process
    /// Value of the database variable, with the arm's role in it; nil when the service has no database. Never logged.
    package var databaseURL: String?
    /// `PERCH_*` variables.
    package var environment: [String: String]

    package init(
        name: String, service: ServiceName, arm: Arm, commit: CommitID, process: Policy.Process, databaseURL: String?,
        environment: [String: String]
    ) {
        self.name = name
        self.service = service
        self.arm = arm
        self.commit = commit
        self.process = process
        self.databaseURL = databaseURL
        self.environment = environment
    }
}

/// An instance that was started.
package struct Instance: Hashable, Sendable, Codable {
    package var name: String
    package var service: ServiceName
    package var arm: Arm
    package var commit: CommitID
    package var host: String
    package var port: Int

    package init(name: String, service: ServiceName, arm: Arm, commit: CommitID, host: String, port: Int) {
        self.name = name
        self.service = service
        self.arm = arm
        self.commit = commit
        self.host = host
        self.port = port
    }
}

package enum InstanceHealth: Hashable, Sendable {
    /// Started, has not answered its readiness path with 2xx yet.
    case starting
    case ready
    /// Was ready once, does not answer now.
    case notReady(String)
    /// Ended; `lines` are the last lines of its output.
    case exited(status: String, lines: [String])
}

package protocol PlatformPort: Sendable {
    /// Makes the commit runnable: checked out clean and built, once per commit.
    func prepare(commit: CommitID, policy: Policy) async throws(Failure)

    /// Starts the instance unless one of that name already runs; returns once its process exists, not once it is ready.
    func start(_ spec: InstanceSpec) async throws(Failure) -> Instance

    /// Waits until the instance is ready.
    ///
    /// - Throws: with the last lines of its output when it exits, crash-loops or is not ready within the policy's time.
    func awaitReady(_ instance: Instance, process: Policy.Process) async throws(Failure)

    /// What is true of the instance now. Asks its readiness path.
    func health(of instance: Instance, process: Policy.Process) async -> InstanceHealth

    /// Ends the instance: SIGTERM, the drain time, SIGKILL of its whole group. Returns once it is gone.
    func stop(name: String, drain: Span) async throws(Failure)

    /// Every instance of the service that runs, whoever started it, also before a restart of the daemon.
    func running(service: ServiceName) async -> [Instance]

    /// The last lines the instance wrote, oldest first; also after its end.
    func output(name: String, lines: Int) async -> [String]
}
