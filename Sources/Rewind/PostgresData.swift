// The data side of releases, on PostgreSQL.

package import Logging
package import Ports
import Postgres
package import Releases
import Synchronization
import SystemPackage

/// Keeps one running recorder a release; everything else is in the database and in the data folder, and is found there
/// again after a restart.
package final class PostgresData: DataPort {
    let dataFolder: String
    let logger: Logger
    private let secrets: @Sendable (Secret) throws(Failure) -> String
    private let recorders = Mutex<[ReleaseID: Recorder]>([:])
    /// Releases about whose quarantine something is being decided.
    private let deciding = Mutex<Set<ReleaseID>>([])
    let clones = KeptClones()

    /// - Parameters:
    ///   - dataFolder: where dumps and journals go; exists.
    ///   - secrets: the value of a secret.
    package init(
        dataFolder: String, secrets: @escaping @Sendable (Secret) throws(Failure) -> String, logger: Logger
    ) {
        self.dataFolder = dataFolder
        self.secrets = secrets
        self.logger = logger
    }

    // MARK: What policies name

    /// The policy's database, and how Perch connects to it.
    func admin(_ policy: Policy) throws(Failure) -> (Policy.Database, ConnectionSettings) {
        guard let database = policy.database else {
            throw Failure(
                "the policy of \(policy.service) names no database",
                hint: "add database: to policies/\(policy.service).yaml")
        }
        return (database, try settings(database.adminURL).with("application_name", "perchd"))
    }

    func settings(_ secret: Secret) throws(Failure) -> ConnectionSettings {
        let url = try secrets(secret)
        do {
            return try ConnectionSettings(url: url)
        } catch {
            throw Failure("\(secret): \(error)", hint: "a libpq URI: postgres://user@host:5432/database")
        }
    }

    package func preflight(_ policy: Policy) async -> [Finding] {
        do {
            let (database, admin) = try admin(policy)
            return await Preflight(
                policy: policy, database: database, admin: admin, stable: try settings(database.url),
                pooler: try PgBouncer.of(database, live: admin.database, self), dataFolder: dataFolder
            ).findings()
        } catch {
            return [Finding(level: .failure, check: "reachable", message: error.message, hint: error.hint)]
        }
    }

    package func databaseURL(for arm: Arm, policy: Policy) async throws(Failure) -> String {
        let (database, admin) = try admin(policy)
        switch arm {
        case .stable:
            return try secrets(database.url)
        case .canary:
            let password: String? =
                if let secret = database.canaryPassword { try secrets(secret) } else { nil }
            let canary = try settings(database.url).with(user: database.canaryRole, password: password)
            try await CanaryRole(name: database.canaryRole, admin: admin).allowLogin()
            return canary.url
        }
    }

    // MARK: Recorders

    /// The running recorder; nil after a restart until ``resumeRecording(release:policy:)``.
    func recorder(of release: ReleaseID) -> Recorder? { recorders.withLock { $0[release] } }

    func keep(_ recorder: Recorder) { recorders.withLock { $0[recorder.file.release] = recorder } }

    func removeRecorder(of release: ReleaseID) -> Recorder? {
        recorders.withLock { $0.removeValue(forKey: release) }
    }

    /// One decision at a time.
    func beginDecision(_ release: ReleaseID) throws(Failure) {
        guard deciding.withLock({ $0.insert(release).inserted }) else {
            throw Failure(
                "somebody is deciding about the quarantine of \(release)", hint: "ask again in a moment",
                isTransient: true)
        }
    }

    func endDecision(_ release: ReleaseID) { deciding.withLock { _ = $0.remove(release) } }

    func folder(_ release: ReleaseID) -> ReleaseFolder { ReleaseFolder(dataFolder: dataFolder, release: release) }

    func recorderSettings(_ database: Policy.Database) -> Recorder.Settings {
        Recorder.Settings(budgetBytes: database.recordingBudgetBytes)
    }

    package func resumeRecording(release: ReleaseID, policy: Policy) async throws(Failure) {
        try await record(release, policy)
        try keepClone(release, policy)
    }

    /// The recording alone.
    func record(_ release: ReleaseID, _ policy: Policy) async throws(Failure) {
        let (database, admin) = try admin(policy)
        let recorder: Recorder
        if let running = self.recorder(of: release) {
            recorder = running
        } else {
            let folder = folder(release)
            guard let file = try RecordingFile.read(folder) else {
                throw Failure(
                    "\(release) has no recording in \(folder.root)", hint: "a data rollback is not possible for it")
            }
            guard try await !hasSwitched(release, admin) else { return }
            recorder = Recorder(
                file, in: folder, server: admin, settings: recorderSettings(database), logger: logger)
            keep(recorder)
        }
        switch recorder.status.state {
        case .broken, .overBudget: return
        case .recording, .stopped: break
        }
        recorder.start()
    }

    package func stopRecording() async {
        await clones.stopAll()
        let all = recorders.withLock { recorders in
            let all = Array(recorders.values)
            recorders = [:]
            return all
        }
        for recorder in all { await recorder.stop() }
    }

    /// After the switch the slot is the previous database's: there is nothing left to record.
    private func hasSwitched(_ release: ReleaseID, _ admin: ConnectionSettings) async throws(Failure) -> Bool {
        let cluster = try await Cluster.open(admin)
        let previous = try await cluster.find(DatabaseNames(live: admin.database, release: release).previous)
        await cluster.connection.close()
        guard case .previous(release, _) = previous?.mark else { return false }
        return true
    }

    package func recording(release: ReleaseID) async -> RecordingStatus? {
        if let recorder = recorder(of: release) {
            var status = recorder.status
            status.clone = clones.status(of: release)
            return status
        }
        let folder = folder(release)
        do {
            guard let file = try RecordingFile.read(folder) else { return nil }
            if let end = file.end { return end }
            return try StoppedRecording.status(FolderStorage(folder.journal))
        } catch {
            return RecordingStatus(
                state: .broken, reason: "\(error)", durableLSN: "0/0", stableTransactions: 0, canaryTransactions: 0,
                canaryRows: 0, journalBytes: 0, heldWALBytes: 0)
        }
    }
}
