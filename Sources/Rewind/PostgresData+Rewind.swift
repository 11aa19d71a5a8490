// Taking the canary's writes out, for the controller.

package import Ports
import Postgres
package import Releases
import SystemPackage

extension PostgresData {
    package func rewind(
        release: ReleaseID, policy: Policy, gate: any SwitchGate,
        progress: @escaping @Sendable (String) async -> Void
    ) async throws(Failure) -> RewindSummary {
        try await rewind(release: release, policy: policy, gate: gate, progress: progress) { _ in }
    }

    /// - Parameter faultPoint: called at each named place on the way.
    func rewind(
        release: ReleaseID, policy: Policy, gate: any SwitchGate, progress: @escaping @Sendable (String) async -> Void,
        faultPoint: @escaping FaultPoint
    ) async throws(Failure) -> RewindSummary {
        let (database, admin) = try admin(policy)
        switch database.rollback.mode {
        case .keep:
            return RewindSummary(
                mode: "keep", notUndone: ["what the canary wrote stays in the data, as the policy says"])
        case .swap, .heal, .auto: break
        }
        let (source, file) = try cloneSource(release, admin, database, faultPoint)
        let run = RewindRun(
            source: source, attribution: file.attribution,
            recording: ReleaseRecording(data: self, release: release, policy: policy, slot: file.slot), gate: gate,
            pooler: try PgBouncer.of(database, live: admin.database, self),
            keptClone: { [clones] in await clones.take(release) }, log: logger, progress: progress)
        do throws(Failure) {
            let summary = try await run.run()
            clones.giveBack(release)
            return summary
        } catch {
            clones.giveBack(release)
            throw error
        }
    }

    package func undoHeal(
        release: ReleaseID, policy: Policy, skipsChanged: Bool, isRehearsal: Bool
    ) async throws(Failure) -> HealUndone {
        let (_, admin) = try admin(policy)
        let live: Connection
        do {
            live = try await Connection.open(admin)
            try await live.execute(Replay.session)
        } catch {
            throw Failure(
                "cannot prepare a session with database \(admin.database): \(error)",
                isTransient: error.serverError == nil)
        }
        let undo = HealUndo(healed: HealedRows(release: release), live: live)
        do throws(Failure) {
            let undone = try await undo.run(skipsChanged: skipsChanged, isRehearsal: isRehearsal)
            await live.close()
            return undone
        } catch {
            await live.close()
            throw error
        }
    }

    private func cloneSource(
        _ release: ReleaseID, _ admin: ConnectionSettings, _ database: Policy.Database,
        _ faultPoint: @escaping FaultPoint
    ) throws(Failure) -> (CloneSource, RecordingFile) {
        let folder = folder(release)
        guard let manifest = try Manifest.read(from: folder.root.string), let file = try RecordingFile.read(folder)
        else {
            throw Failure(
                "\(release) has no snapshot in \(folder.root)",
                hint: "data can be rolled back only to a snapshot taken before the release; use rollback.mode: keep")
        }
        guard manifest.database == admin.database else {
            throw Failure(
                "the snapshot of \(release) is of database \(manifest.database), the policy names \(admin.database)",
                hint: "put database.admin_url back to what it was when the release began")
        }
        let source = CloneSource(
            release: release, admin: admin, folder: folder, manifest: manifest, policy: database.rollback,
            faultPoint: faultPoint)
        return (source, file)
    }

    /// Makes sure that the clone of a release is kept in step, where the policy wants one.
    func keepClone(_ release: ReleaseID, _ policy: Policy) throws(Failure) {
        let (database, admin) = try admin(policy)
        guard database.snapshot == .clone, recorder(of: release) != nil, !clones.isKnown(release) else { return }
        let (source, file) = try cloneSource(release, admin, database) { _ in }
        let recording = ReleaseRecording(data: self, release: release, policy: policy, slot: file.slot)
        clones.keep(CloneKeeper(source, recording: recording, logger: logger), of: release)
    }
}

/// The recorder of a release, whichever one it is at the moment: one that stopped is replaced by another.
private struct ReleaseRecording: RecordingTail {
    let data: PostgresData
    let release: ReleaseID
    let policy: Policy
    let slot: String

    func durableEnd() async throws(Failure) -> LogSequenceNumber { try await recorder().durableEnd() }

    func awaitDurable(_ position: LogSequenceNumber, timeout: Duration) async throws(Failure) {
        try await recorder().awaitDurable(position, timeout: timeout)
    }

    func canaryTransactions() async throws(Failure) -> Int { try recorder().status.canaryTransactions }

    func suspend() async { await data.recorder(of: release)?.suspend() }

    func resume() async throws(Failure) {
        try await data.record(release, policy)
        guard let status = await data.recording(release: release) else { throw missing }
        switch status.state {
        case .recording, .stopped: try await recorder().resume()
        case .broken, .overBudget:
            throw Failure(
                "the recording of \(release) is \(status.state.rawValue): \(status.reason ?? "no reason was given")",
                hint: "writes since then are not known, so the data cannot be rewound; "
                    + "`perch quarantine list \(release)` shows what was recorded of the canary")
        }
    }

    private func recorder() throws(Failure) -> Recorder {
        guard let recorder = data.recorder(of: release) else { throw missing }
        return recorder
    }

    private var missing: Failure { Failure("the recording of \(release) does not run", isTransient: true) }
}
