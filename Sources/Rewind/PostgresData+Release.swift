// The verbs of a release on the way forward: snapshot, fence, cleaning up.

import Logging
package import Ports
import Postgres
package import Releases
import SystemPackage

extension PostgresData {
    /// Asked again after a crash: a whole snapshot whose recording goes on is taken as it is, anything else is begun anew.
    package func snapshot(
        release: ReleaseID, policy: Policy, progress: @escaping @Sendable (String) async -> Void
    ) async throws(Failure) -> SnapshotSummary {
        let (database, admin) = try admin(policy)
        guard database.snapshot != .none else {
            throw Failure(
                "the policy of \(policy.service) takes no snapshots", hint: "set database.snapshot: {mode: dump}")
        }
        let folder = folder(release)
        if let manifest = try? Manifest.read(from: folder.root.string), manifest.database == admin.database {
            try await record(release, policy)
            if try await isStreaming(release) {
                try keepClone(release, policy)
                return manifest.summary
            }
        }
        try await startOver(release, admin)
        let run = SnapshotRun(
            release: release, canaryRole: database.canaryRole, stableRole: try stableRole(database), folder: folder,
            admin: admin,
            recorderSettings: recorderSettings(database), logger: logger, progress: progress)
        do throws(Failure) {
            let summary = try await run.run { [self] recorder in keep(recorder) }.summary
            try keepClone(release, policy)
            return summary
        } catch {
            await withoutCancellation { [self] in
                do {
                    try await startOver(release, admin)
                } catch {
                    logger.error(
                        "leftovers of the failed snapshot remain",
                        metadata: ["release": "\(release)", "error": "\(error)"])
                }
            }
            throw error
        }
    }

    /// - Returns: nil when writes of neither role count as stable's anyway.
    private func stableRole(_ database: Policy.Database) throws(Failure) -> String? {
        guard database.rollback.unattributed != .stable else { return nil }
        guard let role = try settings(database.url).parameters["user"] else {
            throw Failure(
                "database.url names no user, so writes of neither role cannot be told from stable's",
                hint: "name the user in the URL, or write rollback: {unattributed: stable}")
        }
        return role
    }

    /// - Returns: false when the recording has ended for ever.
    private func isStreaming(_ release: ReleaseID) async throws(Failure) -> Bool {
        guard let recorder = recorder(of: release) else { return false }
        do {
            try await recorder.awaitStreaming(timeout: .seconds(15))
            return true
        } catch {
            if error.isTransient { throw error }
            return false
        }
    }

    private func startOver(_ release: ReleaseID, _ admin: ConnectionSettings) async throws(Failure) {
        await clones.remove(release)
        await removeRecorder(of: release)?.stop()
        try await Leftovers.removeFromDatabase(release, admin: admin)
        try await Leftovers.dropRestored(release, admin: admin)
        try Leftovers.removeRecording(folder(release))
    }

    package func fenceCanary(release: ReleaseID, policy: Policy) async throws(Failure) {
        let (database, admin) = try admin(policy)
        try await CanaryRole(name: database.canaryRole, admin: admin).fence(deadline: .seconds(20))
        guard try RecordingFile.read(folder(release)) != nil else { return }
        try await resumeRecording(release: release, policy: policy)
        guard let recorder = recorder(of: release), recorder.status.state == .recording else { return }
        let session = try await SnapshotRun.open(admin)
        let barrier = try await Barrier.commit(release, on: session)
        await session.close()
        try await recorder.awaitDurable(barrier, timeout: .seconds(30))
    }

    package func endRecording(release: ReleaseID, policy: Policy) async throws(Failure) {
        let (_, admin) = try admin(policy)
        let folder = folder(release)
        await clones.remove(release)
        if let recorder = removeRecorder(of: release) {
            await recorder.stop()
            try recorder.writeEnd()
        } else if var file = try RecordingFile.read(folder), file.end == nil {
            file.end = await recording(release: release)
            try file.write(folder)
        }
        try await Leftovers.removeFromDatabase(release, admin: admin)
        try await Leftovers.dropRestored(release, admin: admin)
    }

    package func cleanUp(release: ReleaseID, policy: Policy) async throws(Failure) {
        try await endRecording(release: release, policy: policy)
        try Leftovers.removeDump(folder(release))
    }

    package func tidyUp(policy: Policy, now: Instant) async throws(Failure) -> [String] {
        let (database, admin) = try admin(policy)
        let cluster = try await Cluster.open(admin)
        let marked = try await cluster.query(
            """
            select datname, shobj_description(oid, 'pg_database') from pg_database
            where shobj_description(oid, 'pg_database') like 'perch: %' order by 1
            """, [], "look for databases of rollbacks")
        var done: [String] = []
        var begun: [(database: String, mark: DatabaseMark)] = []
        for row in marked.rows {
            guard let name = row[0], let mark = DatabaseMark(comment: row[1]) else { continue }
            switch mark {
            case .previous(let release, let since):
                guard release.service == policy.service, name != admin.database else { continue }
                if name == DatabaseNames(live: admin.database, release: release).previous { begun.append((name, mark)) }
                guard since.advanced(by: database.rollback.keepBefore) <= now else { continue }
                try await cluster.drop(name)
                done.append("dropped database \(name): its time is over")
            case .switching(let release):
                guard release.service == policy.service,
                    name == DatabaseNames(live: admin.database, release: release).restored
                else { continue }
                begun.append((name, mark))
                guard try await cluster.openClosed(admin.database) else { continue }
                done.append("opened database \(admin.database), which the rollback of \(release) had left closed")
            case .restoring, .restored: continue
            }
        }
        if let pooler = try PgBouncer.of(database, live: admin.database, self) {
            for (name, mark) in begun {
                done += try await letClientsGo(pooler, after: mark, of: name, cluster, database.rollback)
            }
        }
        await cluster.connection.close()
        let session = try await SnapshotRun.open(admin)
        let limit = Instant(
            millisecondsSince1970: now.millisecondsSince1970 - database.rollback.keepBefore.milliseconds)
        done += try await HealedRows.dropOld(policy.service, before: limit, session)
        done += try await dropForgottenSlots(policy.service, database, session)
        await session.close()
        return done
    }

    /// A halted release keeps its slot, but nobody records it after a restart: past the budget the slot goes all the same.
    private func dropForgottenSlots(
        _ service: ServiceName, _ database: Policy.Database, _ session: Connection
    ) async throws(Failure) -> [String] {
        var dropped: [String] = []
        let slots: [String]
        do {
            slots = try await session.names(
                """
                select slot_name from pg_replication_slots
                where database = current_database() and starts_with(slot_name, 'perch_') and not active
                  and pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > $1::bigint
                """, ["\(database.recordingBudgetBytes)"])
        } catch {
            throw Failure("cannot look for slots of \(service): \(error)", isTransient: true)
        }
        for slot in slots {
            let number = slot.dropFirst("perch_".count).split(separator: "_").last.flatMap { Int($0) } ?? 0
            guard number > 0, case let release = ReleaseID(service: service, number: number),
                slot == "perch_\(release.sqlName)", recorder(of: release) == nil
            else { continue }
            try await endForgotten(release)
            try await ReplicationSlot.drop(slot, on: session, deadline: .seconds(10))
            dropped.append("dropped slot \(slot): nobody reads it, and the WAL it held passed the budget")
        }
        return dropped
    }

    private func endForgotten(_ release: ReleaseID) async throws(Failure) {
        guard var file = try RecordingFile.read(folder(release)), var end = await recording(release: release) else {
            return
        }
        end.state = .overBudget
        end.reason = "nobody read slot \(file.slot), and the WAL it held passed the budget"
        file.end = end
        try file.write(folder(release))
    }
}

/// Runs `body` to its end also when the caller was cancelled: what it undoes must not stay.
private func withoutCancellation(_ body: @escaping @Sendable () async -> Void) async {
    await Task(operation: body).value
}
