// A data rollback from the first look to the last: bring the clone to the present, choose the way, go it.
//
//   clone     kept ready beside live, or made from the snapshot now       live works on
//   catch up  rounds, until the recording's end is near                   live works on
//   heal      its rows are copied over those of live: see Heal.swift      live works on
//   swap      compared with live at one moment; then requests are held    see Switch.swift
//
// Asked again after a crash, the run looks at what is there and goes on: a previous database means that the switch has
// happened; a closed live database that it was about to; else the clone says how far it got, and what is left to heal is
// what differs.

import Logging
import Merge
import Ports
import Postgres
import Releases
import SystemPackage

struct RewindRun: Sendable {
    let source: CloneSource
    let attribution: Attribution
    let recording: any RecordingTail
    let gate: any SwitchGate
    /// Where clients wait that do not come through our router.
    let pooler: PgBouncer?
    /// The clone that was kept ready, for this run alone.
    let keptClone: @Sendable () async -> ReleaseClone?
    let log: Logger
    let progress: @Sendable (String) async -> Void

    /// Rounds end when one took less than this, for what came meanwhile takes no longer.
    private static let shortRound = Duration.milliseconds(300)
    /// After these a round may take a quarter of the freeze.
    private static let patientRounds = 10
    private static let maximumRounds = 50
    /// Sessions that verify, on each database.
    private static let lanes = 2
    /// Moments of live that are looked at until every table could be compared.
    private static let moments = 5

    var release: ReleaseID { source.release }
    var policy: Policy.DataRollback { source.policy }
    var names: DatabaseNames { source.names }
    var faultPoint: FaultPoint { source.faultPoint }
    /// What was done, for a run that finds the databases switched.
    var outcome: FilePath { source.folder.outcome }

    func run() async throws(Failure) -> RewindSummary {
        let cluster = try await Cluster.open(source.admin)
        let summary: RewindSummary
        if try await hasSwitched(cluster) {
            summary = try await Aftermath(run: self).finish(cluster, heldSince: nil)
        } else {
            try await reopenAfterCrash(cluster)
            try await recording.resume()
            summary =
                try await isNothingToTakeOut(cluster)
                ? RewindSummary(mode: "none", notUndone: [NotUndone.outside]) : try await takeOut(cluster)
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

    /// A crash between hold and switch leaves live closed or clients waiting at the pooler; production comes first.
    private func reopenAfterCrash(_ cluster: Cluster) async throws(Failure) {
        guard let live = try await cluster.find(names.live) else {
            throw Failure("database \(names.live) does not exist", hint: "look at database.url of the policy")
        }
        let wasSwitching = try await cluster.find(names.restored)?.mark == .switching(release)
        guard !live.allowsConnections else {
            if wasSwitching { try await pooler?.letGo() }
            return
        }
        guard wasSwitching else {
            throw Failure(
                "database \(names.live) allows no connections, and not because of this rollback",
                hint: "alter database \(quoteIdentifier(names.live)) allow_connections true")
        }
        log.warning("live database was left closed, opening it", metadata: ["database": "\(names.live)"])
        try await cluster.allowConnections(to: names.live, true)
        try await pooler?.letGo()
        await gate.letGo()
    }

    private func isNothingToTakeOut(_ cluster: Cluster) async throws(Failure) -> Bool {
        guard policy.unattributed != .canary, try await recording.canaryTransactions() == 0 else { return false }
        let live = try await source.session(names.live, TableFingerprint.pinnedSettings)
        let change = try await SchemaChange.find(since: source.manifest.schema, live: live)
        await live.close()
        return change == .none
    }

    // MARK: From the clone to the way back

    private func takeOut(_ cluster: Cluster) async throws(Failure) -> RewindSummary {
        var clone: ReleaseClone
        if let kept = await keptClone() {
            clone = kept
        } else {
            clone = try await ReleaseClone.open(source, cluster, progress: progress)
        }
        try await catchUp(&clone)
        try await clone.requireDecisions()
        try await reach(faultPoint, "replay.done")
        let control = try await source.session(
            names.live, TableFingerprint.pinnedSettings + "; SET synchronous_commit = local")
        let change = try await SchemaChange.find(since: source.manifest.schema, live: control)
        let way = try WayBack.choose(policy, change, differing: clone.replay.clone.engine.differences)
        switch way {
        case .heal:
            await progress("heals \(names.live) in place: \(way.why)")
            return try await heal(&clone, control, change, way)
        case .swap:
            if policy.mode == .auto { await progress("switches to the clone: \(way.why)") }
            return try await swap(clone, control, cluster, way)
        }
    }

    /// Rounds while live goes on, until a round is short.
    private func catchUp(_ clone: inout ReleaseClone) async throws(Failure) {
        for round in 1...Self.maximumRounds {
            let begin = ContinuousClock.now
            let end = try await recording.durableEnd()
            if end > clone.position { try await clone.advance(to: end) }
            let took = ContinuousClock.now - begin
            if round == 1 || took >= Self.shortRound {
                let counts = clone.replay.report.counts
                await progress(
                    "replayed \(counts.changes) changes of \(counts.stableTransactions) transactions up to \(end)")
            }
            let isShort = took < Self.shortRound
            if isShort || round > Self.patientRounds && took < policy.freeze.duration / 4 { return }
        }
        throw Failure(
            "replay does not catch up with the writes of \(names.live)",
            hint: "live data is untouched; ask again at a quieter time", isTransient: true)
    }

    // MARK: In place

    /// Rows that differ are known, so they are healed first and all is compared then: users meet the canary's rows no
    /// longer than they must.
    private func heal(
        _ clone: inout ReleaseClone, _ control: Connection, _ change: SchemaChange, _ way: WayBack
    ) async throws(Failure) -> RewindSummary {
        let live = try await source.session(names.live, Replay.session)
        var heal = Heal(
            source: source, recording: recording, attribution: attribution, live: live, control: control, log: log,
            progress: progress)
        let begin = ContinuousClock.now
        let rows = try await heal.run(&clone)
        await progress("healed \(rows) rows in \((ContinuousClock.now - begin).seconds); comparing all tables")
        let verified = try await compareWhileLiveWorks(&clone, control)
        try await clone.finishReport()
        var notUndone = try await NotUndone.find(control, after: .heal)
        if case .additive(let added) = change, !added.isEmpty {
            notUndone.append("the canary's changes of the schema stay: \(listed(added))")
        }
        notUndone += verified.notCompared
        for connection in [live, control, clone.connection] { await connection.close() }
        var summary = RewindSummary(clone.replay, mode: "heal", why: way.why, verified, notUndone)
        summary.rowsHealed = rows
        return summary
    }

    // MARK: The clone in live's stead

    private func swap(
        _ opened: ReleaseClone, _ control: Connection, _ cluster: Cluster, _ way: WayBack
    ) async throws(Failure) -> RewindSummary {
        var clone = opened
        let verified = try await compareWhileLiveWorks(&clone, control)
        let notUndone =
            try await NotUndone.find(
                control, after: .swap(canaryChangedSchema: clone.replay.canaryChangedSchema)) + verified.notCompared
        try await refusePreparedTransactions(cluster)
        try await refuseSuperusersSessions(cluster)
        try await pooler?.requireDatabase()
        var change = Switch(
            run: self, cluster: cluster, control: control, verified: verified, why: way.why, notUndone: notUndone,
            clone: clone)
        return try await change.perform()
    }

    /// Holds clone and live against each other, at as many moments as it takes. A difference has to show twice.
    private func compareWhileLiveWorks(
        _ clone: inout ReleaseClone, _ control: Connection
    ) async throws(Failure) -> Verification.Result {
        var doubt: Failure?
        var last: (result: Verification.Result, hidden: Set<TableID>) = (.init(), [])
        for _ in 0..<Self.moments {
            do throws(Failure) {
                last = try await compareNow(&clone, control)
                if last.hidden.isEmpty { break }
            } catch {
                guard doubt == nil, !error.isTransient else { throw error }
                doubt = error
            }
        }
        last.result.skipped = last.hidden.map { clone.replay.clone.schema[$0].name }.sorted()
        return last.result
    }

    private func compareNow(
        _ clone: inout ReleaseClone, _ control: Connection
    ) async throws(Failure) -> (result: Verification.Result, hidden: Set<TableID>) {
        try await clone.catchUp(recording, release, control: control, within: .seconds(30))
        let moment = try await LiveMoment.take(source.admin, lanes: Self.lanes)
        do throws(Failure) {
            try await clone.catchUp(recording, release, control: control, within: .seconds(30))
            let merged = clone.replay.clone
            let hidden = merged.recent.hidden(by: moment.snapshot)
            let tolerances = Tolerances(merged.engine, merged.schema, hidden: hidden)
            let verification = Verification(live: moment.sessions, clone: try await sessions(names.restored))
            let result = try await verification.compare(clone.replay.tables, tolerances)
            for session in verification.clone + moment.sessions { await session.close() }
            try await OrphanCheck(connection: clone.connection, tables: clone.replay.tables).run(tolerances.differing)
            return (result, hidden.tables)
        } catch {
            await moment.close()
            throw error
        }
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

    private func sessions(_ database: String) async throws(Failure) -> [Connection] {
        var sessions: [Connection] = []
        for _ in 0..<Self.lanes {
            sessions.append(try await source.session(database, TableFingerprint.pinnedSettings))
        }
        return sessions
    }
}

extension RewindSummary {
    init(_ replay: Replay, mode: String, why: String, _ verified: Verification.Result, _ notUndone: [String]) {
        let counts = replay.report.counts
        self.init(
            mode: mode, stableTransactionsReplayed: counts.stableTransactions, changesReplayed: counts.changes,
            canaryTransactionsKeptOut: counts.canaryTransactions, canaryRowsQuarantined: counts.canaryRows,
            conflictsQuarantined: counts.findings, rowsMerged: counts.rowsMerged,
            decisionsOpen: replay.report.decisionsOpen, stableTransactionsKeptOut: counts.stableTransactionsKeptOut,
            tablesVerified: verified.tables, rowsVerified: verified.rows, notUndone: notUndone)
        self.why = why
    }
}
