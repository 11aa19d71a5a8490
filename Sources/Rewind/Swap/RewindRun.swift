// A data rollback from the first look to the last: restore, replay until little is left, switch.
//
//   restore   a new database from the snapshot                       live works on
//   replay    rounds, until the recording's end is near              live works on
//   switch    requests held: see Switch.swift
//
// Asked again after a crash, the run looks at what is there and goes on: a previous database means that the switch has
// happened; a closed live database that it was about to; else the restored database says how far its replay got.

import Logging
import Ports
import Postgres
import Releases
import SystemPackage

struct RewindRun: Sendable {
    let release: ReleaseID
    /// Perch's role in the live database.
    let admin: ConnectionSettings
    let folder: ReleaseFolder
    let manifest: Manifest
    let policy: Policy.DataRollback
    let recording: any RecordingTail
    let gate: any SwitchGate
    let faultPoint: FaultPoint
    let log: Logger
    let progress: @Sendable (String) async -> Void

    /// Rounds end when one took less than this, for what came meanwhile takes no longer.
    private static let shortRound = Duration.milliseconds(300)
    /// After these a round may take a quarter of the freeze.
    private static let patientRounds = 10
    private static let maximumRounds = 50
    /// Sessions that verify, on each database.
    private static let lanes = 2

    var names: DatabaseNames { DatabaseNames(live: admin.database, release: release) }
    /// What was done, for a run that finds the databases switched.
    var outcome: FilePath { folder.root.appending("rewind.json") }

    func run() async throws(Failure) -> RewindSummary {
        let cluster = try await Cluster.open(admin)
        let summary: RewindSummary
        if try await hasSwitched(cluster) {
            summary = try await Aftermath(run: self).finish(cluster, heldSince: nil)
        } else {
            try await reopenAfterCrash(cluster)
            try await recording.resume()
            summary =
                try await isNothingToTakeOut(cluster)
                ? RewindSummary(mode: "none", notUndone: [NotUndone.outside]) : try await restoreReplaySwitch(cluster)
        }
        await cluster.connection.close()
        return summary
    }

    // MARK: What is there

    func hasSwitched(_ cluster: Cluster) async throws(Failure) -> Bool {
        guard let previous = try await cluster.find(names.previous) else { return false }
        guard case .previous(release, _) = previous.mark else {
            throw Failure(
                "database \(names.previous) is in the way and was not made by this release's rollback",
                hint: "rename it, then ask for the rollback again")
        }
        return true
    }

    /// A crash between fence and switch leaves live closed; production comes first.
    private func reopenAfterCrash(_ cluster: Cluster) async throws(Failure) {
        guard let live = try await cluster.find(names.live) else {
            throw Failure("database \(names.live) does not exist", hint: "look at database.url of the policy")
        }
        guard !live.allowsConnections else { return }
        guard try await cluster.find(names.restored)?.mark == .switching(release) else {
            throw Failure(
                "database \(names.live) allows no connections, and not because of this rollback",
                hint: "alter database \(quoteIdentifier(names.live)) allow_connections true")
        }
        log.warning("live database was left closed, opening it", metadata: ["database": "\(names.live)"])
        try await cluster.allowConnections(to: names.live, true)
        await gate.letGo()
    }

    private func isNothingToTakeOut(_ cluster: Cluster) async throws(Failure) -> Bool {
        guard policy.unattributed != .canary, try await recording.canaryTransactions() == 0,
            try await cluster.find(names.restored) == nil
        else {
            return false
        }
        let live = try await session(names.live, TableFingerprint.pinnedSettings)
        do {
            let schema = try await SchemaFingerprint.lines(on: live)
            await live.close()
            return Set(schema) == Set(manifest.schema)
        } catch {
            throw Failure("cannot read the schema of \(names.live): \(error)", isTransient: true)
        }
    }

    // MARK: From the snapshot to the end of the recording

    private func restoreReplaySwitch(_ cluster: Cluster) async throws(Failure) -> RewindSummary {
        let restore = Restore(
            names: names, admin: admin, manifest: manifest, dump: folder.dump.string,
            programs: .fitting(serverVersion: await cluster.connection.serverVersion), faultPoint: faultPoint)
        try await restore.ensure(cluster, progress: progress)
        // An earlier attempt may have stopped within the switch.
        try await cluster.mark(names.restored, .restored(release))

        let clone = try await session(names.restored, Replay.session)
        do {
            try await SuspendedDefinitions.suspend(clone)
        } catch {
            throw Failure("cannot prepare database \(names.restored): \(error)", isTransient: error.serverError == nil)
        }
        var reader: JournalReader
        do {
            reader = try JournalReader(folder: folder.journal)
        } catch {
            throw Failure(
                "cannot read the recording: \(error)", hint: "live data is untouched; use rollback.mode: keep")
        }
        var replay = try await Replay.open(
            clone, policy: policy, start: reader.identity.start, quarantine: try QuarantineFile(folder.quarantine),
            faultPoint: faultPoint)
        try await catchUp(&replay, &reader)
        try await replay.requireDecisions()
        try await reach(faultPoint, "replay.done")

        let verification = Verification(
            live: try await sessions(names.live), clone: try await sessions(names.restored))
        let estimate = try await rehearse(verification, clone, replay.tables)
        let control = try await session(
            names.live, TableFingerprint.pinnedSettings + "; SET synchronous_commit = local")
        let notUndone = try await NotUndone.find(control, canaryChangedSchema: replay.canaryChangedSchema)
        try await refusePreparedTransactions(cluster)
        try await refuseSuperusersSessions(cluster)

        var change = Switch(
            run: self, cluster: cluster, control: control, verification: verification, estimate: estimate,
            notUndone: notUndone, replay: replay, reader: reader)
        return try await change.perform()
    }

    /// Replays round after round while live goes on, until a round is short.
    private func catchUp(_ replay: inout Replay, _ reader: inout JournalReader) async throws(Failure) {
        for round in 1...Self.maximumRounds {
            let begin = ContinuousClock.now
            let end = try await recording.durableEnd()
            if end > replay.position { try await replay.advance(to: end, &reader) }
            let took = ContinuousClock.now - begin
            if round == 1 || took >= Self.shortRound {
                await progress(
                    "replayed \(replay.report.counts.changes) changes of \(replay.report.counts.stableTransactions) "
                        + "transactions up to \(end)")
            }
            let isShort = took < Self.shortRound
            if isShort || round > Self.patientRounds && took < policy.freeze.duration / 4 { return }
        }
        throw Failure(
            "replay does not catch up with the writes of \(names.live)",
            hint: "live data is untouched; ask again at a quieter time", isTransient: true)
    }

    /// Statistics for the planner, and a look at how long verifying will take, before anybody has to wait for it.
    private func rehearse(
        _ verification: Verification, _ clone: Connection, _ tables: RestoredTables
    ) async throws(Failure) -> Duration {
        await progress("analyzing database \(names.restored)")
        do {
            try await clone.execute("ANALYZE")
        } catch {
            throw Failure("cannot analyze database \(names.restored): \(error)", isTransient: true)
        }
        let estimate = try await verification.rehearse(tables)
        guard estimate < policy.freeze.duration else {
            throw Failure(
                "verifying \(names.restored) takes \(estimate.seconds), requests may be held for "
                    + policy.freeze.duration.seconds,
                hint: "live data is untouched; raise database.rollback.freeze and ask again")
        }
        return estimate
    }

    /// A prepared transaction keeps its database from being renamed, and nobody may decide for its owner.
    private func refusePreparedTransactions(_ cluster: Cluster) async throws(Failure) {
        let prepared = try await cluster.query(
            "SELECT gid FROM pg_prepared_xacts WHERE database = $1 ORDER BY prepared", [names.live],
            "look for prepared transactions")
        guard let first = prepared.scalar else { return }
        throw Failure(
            "database \(names.live) has \(prepared.rows.count) prepared transactions, the oldest is \(first)",
            hint: "live data is untouched; COMMIT PREPARED or ROLLBACK PREPARED them, then ask again", isTransient: true
        )
    }

    /// Only a superuser may end them, and the switch needs the database empty. Found before anybody has to wait.
    private func refuseSuperusersSessions(_ cluster: Cluster) async throws(Failure) {
        let sessions = try await cluster.query(
            """
            SELECT a.pid, a.usename, a.application_name
            FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
            WHERE a.datname = $1 AND r.rolsuper AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
            ORDER BY a.pid
            """, [names.live], "look for superusers' sessions")
        guard let first = sessions.rows.first else { return }
        throw Failure(
            "superuser \(first[1] ?? "") is in database \(names.live) (pid \(first[0] ?? ""), \(first[2] ?? "")), and "
                + "Perch's role may not end that session",
            hint: "live data is untouched; leave the session, or: select pg_terminate_backend(\(first[0] ?? ""))",
            isTransient: true)
    }

    // MARK: Sessions

    private func sessions(_ database: String) async throws(Failure) -> [Connection] {
        var sessions: [Connection] = []
        for _ in 0..<Self.lanes { sessions.append(try await session(database, TableFingerprint.pinnedSettings)) }
        return sessions
    }

    func session(_ database: String, _ settings: String) async throws(Failure) -> Connection {
        let connection: Connection
        do {
            connection = try await Connection.open(admin.with(database: database))
        } catch {
            throw Failure("cannot connect to database \(database): \(error)", isTransient: true)
        }
        do {
            try await connection.execute(
                "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_session_timeout = 0; \(settings)")
        } catch {
            throw Failure(
                "Perch's role may not do in database \(database) what a rollback needs: \(error)",
                hint: "live data is untouched; give the role the rights of docs/postgresql.md",
                isTransient: error.serverError == nil)
        }
        return connection
    }
}
