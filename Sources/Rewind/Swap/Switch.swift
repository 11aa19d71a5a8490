// The switch: requests are held, live is closed, what is left is replayed, both databases are renamed in one transaction,
// requests go on. The two were compared before; nothing in it takes longer for a larger database.
//
//   hold -> pause -> fence -> barrier -> tail -> decisions -> sequences -> rename | -> resume -> reconnect -> let go
//                                                                                 |
//            any failure: live is opened again, requests go on                    | no way back: only forward
//
// Every wait ends with the policy's freeze. The slot stays until after the rename: if live is opened again, the recording
// goes on without a gap.

import Ports
import Postgres
import Releases

import struct Foundation.Date

struct Switch {
    let run: RewindRun
    private(set) var cluster: Cluster
    /// A session with live that outlives the fence.
    let control: Connection
    /// What the comparison before it said.
    let verified: Verification.Result
    /// Why this way.
    let why: String
    let notUndone: [String]
    var clone: ReleaseClone

    private var names: DatabaseNames { run.names }

    init(
        run: RewindRun, cluster: Cluster, control: Connection, verified: Verification.Result, why: String,
        notUndone: [String], clone: ReleaseClone
    ) {
        self.run = run
        self.cluster = cluster
        self.control = control
        self.verified = verified
        self.why = why
        self.notUndone = notUndone
        self.clone = clone
    }

    mutating func perform() async throws(Failure) -> RewindSummary {
        await run.progress("holding requests to switch \(names.live)")
        try await cluster.mark(names.restored, .switching(run.release))
        let budget = Budget(run.policy.freeze)
        do {
            try await reach(run.faultPoint, "switch.hold")
            try await run.gate.hold(deadline: run.policy.freeze)
            try await pausePooler(budget)
            try await switchHeld(budget)
        } catch {
            try await undo(error)
            throw error
        }
        return try await Aftermath(run: run).finish(cluster, heldSince: budget.begin)
    }

    /// Half of the time goes to clients that have to end their transactions; the other half is the switch's.
    private func pausePooler(_ budget: Budget) async throws(Failure) {
        guard let pooler = run.pooler else { return }
        try budget.require(before: "PgBouncer was paused")
        try await pooler.pause(within: budget.left / 2)
        try await reach(run.faultPoint, "switch.paused")
    }

    private mutating func switchHeld(_ budget: Budget) async throws(Failure) {
        let live = try await fence(budget)
        try await reach(run.faultPoint, "switch.fenced")
        try await replayTail(budget)
        try await reach(run.faultPoint, "switch.tail")
        try await clone.requireDecisions()
        try await putDefinitionsBack()
        try await Sequences.carryOver(from: control, to: clone.connection)
        try await reach(run.faultPoint, "switch.sequences")
        try await compareSchemas()
        try await reach(run.faultPoint, "switch.verified")
        try await clone.finishReport()
        var summary = RewindSummary(clone.replay, mode: "swap", why: why, verified, notUndone)
        summary.previousDatabase = names.previous
        try Outcome(summary: summary, heldSince: wallClock()).write(to: run.outcome)
        let settings: DatabaseSettings
        do {
            settings = try await DatabaseSettings.read(names.live, on: cluster.connection)
        } catch {
            throw Failure("cannot read the settings of \(names.live): \(error)", isTransient: true)
        }
        await run.recording.suspend()
        await closeSessions()
        try await reach(run.faultPoint, "switch.closed")
        try await rename(live, settings, budget)
    }

    /// Closes live for everybody but our sessions and the recording's.
    ///
    /// - Returns: live's oid.
    private func fence(_ budget: Budget) async throws(Failure) -> String {
        guard let live = try await cluster.find(names.live) else {
            throw Failure("database \(names.live) is gone")
        }
        let ours: [Int32] = [await control.backendPID]
        let feeding = try await cluster.query(
            "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1", [run.recording.slot],
            "find the recording's session")
        guard let pid = feeding.scalar.flatMap({ Int32($0) }) else {
            throw Failure("the recording has no session with the server", isTransient: true)
        }
        try await cluster.allowConnections(to: names.live, false)
        try await cluster.endSessions(of: names.live, oid: live.oid, except: ours + [pid], until: budget.end)
        return live.oid
    }

    /// Whatever committed before the fence is in the journal once our own message behind it is.
    private mutating func replayTail(_ budget: Budget) async throws(Failure) {
        let barrier = try await Barrier.commit(run.release, on: control)
        try budget.require(before: "the last writes were recorded")
        try await run.recording.awaitDurable(barrier, timeout: budget.left)
        try await reach(run.faultPoint, "switch.barrier")
        do {
            try await budget.bound(clone.connection)
        } catch {
            throw Failure("lost database \(names.restored): \(error)", isTransient: true)
        }
        do throws(Failure) {
            try await clone.advance(to: barrier)
        } catch {
            try budget.require(before: "the last writes were replayed")
            throw error
        }
        try budget.require(before: "the last writes were replayed")
    }

    private func closeSessions() async {
        for connection in [control, clone.connection] { await connection.close() }
    }

    private func putDefinitionsBack() async throws(Failure) {
        do {
            try await SuspendedDefinitions.putBack(clone.connection)
        } catch {
            throw Failure("cannot put the definitions of \(names.restored) back: \(error)", isTransient: true)
        }
    }

    /// Live's schema may differ from the snapshot's only by what the canary did.
    private func compareSchemas() async throws(Failure) {
        do {
            let restored = Set(try await SchemaFingerprint.lines(on: clone.connection))
            if let line = restored.symmetricDifference(run.source.manifest.schema).min() {
                throw Failure(
                    "the schema of \(names.restored) is not the snapshot's any more: \(line.prefix(200))",
                    hint: "live data is untouched; drop database \(names.restored) and ask again")
            }
            guard !clone.replay.canaryChangedSchema else { return }
            if let line = restored.symmetricDifference(try await SchemaFingerprint.lines(on: control)).min() {
                throw Failure(
                    "the schema of \(names.live) changed since the snapshot: \(line.prefix(200))",
                    hint: "live data is untouched; undo the change, or use rollback.mode: keep")
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot compare the schemas: \(error)", isTransient: true)
        }
    }

    // MARK: The two names

    private mutating func rename(_ live: String, _ settings: DatabaseSettings, _ budget: Budget) async throws(Failure) {
        guard let restored = try await cluster.find(names.restored) else {
            throw Failure("database \(names.restored) is gone")
        }
        try await cluster.endSessions(of: names.live, oid: live, except: [], until: budget.end)
        try await cluster.endSessions(of: names.restored, oid: restored.oid, except: [], until: budget.end)
        try budget.require(before: "the databases were renamed")
        let statements =
            ["BEGIN", "SET LOCAL lock_timeout = \(max(1, budget.left.milliseconds))"]
            + renaming(settings, since: wallClock())
        do {
            _ = try await cluster.connection.pipeline(statements.map { ($0, []) })
            try await reach(run.faultPoint, "switch.renaming")
            _ = try await cluster.connection.query("COMMIT")
        } catch {
            // Whether it happened is for the server to say; a COMMIT whose answer was lost may have.
            try? await cluster.connection.execute("ROLLBACK")
            let failure = (error as? Failure) ?? Failure("cannot rename the databases: \(error)", isTransient: true)
            guard let again = try? await Cluster.open(run.source.admin) else { throw failure }
            cluster = again
            guard try await run.hasSwitched(again) else { throw failure }
        }
    }

    /// The previous database can be looked at, by its owner and by superusers only, and whoever does cannot write by
    /// accident: sessions begin read-only. The service cannot come back to it, for it does not know the name.
    private func renaming(_ settings: DatabaseSettings, since: Instant) -> [String] {
        let live = quoteIdentifier(names.live)
        let previous = quoteIdentifier(names.previous)
        return [
            "ALTER DATABASE \(live) RENAME TO \(previous)",
            "ALTER DATABASE \(quoteIdentifier(names.restored)) RENAME TO \(live)",
            "ALTER DATABASE \(live) OWNER TO \(quoteIdentifier(settings.owner))",
            "COMMENT ON DATABASE \(live) IS NULL",
            "GRANT CONNECT ON DATABASE \(live) TO PUBLIC",
        ] + settings.completion(of: names.live) + [
            "ALTER DATABASE \(previous) ALLOW_CONNECTIONS true",
            "ALTER DATABASE \(previous) SET default_transaction_read_only = on",
            """
            DO $perch$
            DECLARE
                grantee text;
            BEGIN
                FOR grantee IN
                    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', r.rolname) END
                    FROM pg_database d CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
                      LEFT JOIN pg_roles r ON r.oid = a.grantee
                    WHERE d.datname = \(quoteLiteral(names.previous)) AND a.grantee <> d.datdba
                LOOP
                    EXECUTE format('REVOKE ALL ON DATABASE %I FROM %s', \(quoteLiteral(names.previous)), grantee);
                END LOOP;
            END
            $perch$
            """,
            "COMMENT ON DATABASE \(previous) IS \(quoteLiteral(DatabaseMark.previous(run.release, since: since).comment))",
        ]
    }

    // MARK: Back

    /// Opens live again and lets requests go. What cannot be undone now is undone when the rollback is tried again.
    private mutating func undo(_ cause: Failure) async throws(Failure) {
        await closeSessions()
        let stillPaused: Failure?
        do throws(Failure) {
            if await !cluster.connection.isOpen { cluster = try await Cluster.open(run.source.admin) }
            try await cluster.allowConnections(to: names.live, true)
            stillPaused = await unpause()
            // By the mark of a switch the next try knows that there is something to undo.
            if stillPaused == nil { try await cluster.mark(names.restored, .restored(run.release)) }
        } catch {
            // Requests would meet a closed database. The next try opens it; at the latest the hold ends by itself.
            throw Failure(
                "\(cause.message); and database \(names.live) could not be opened again: \(error.message)",
                hint:
                    "alter database \(quoteIdentifier(names.live)) allow_connections true; Perch does so at its next try",
                isTransient: true)
        }
        await run.gate.letGo()
        do throws(Failure) {
            try await run.recording.resume()
        } catch {
            throw Failure("\(cause.message); and the recording does not go on: \(error.message)", hint: cause.hint)
        }
        if let stillPaused {
            throw Failure("\(cause.message); and \(stillPaused.message)", hint: stillPaused.hint, isTransient: true)
        }
    }

    private func unpause() async -> Failure? {
        do throws(Failure) {
            try await run.pooler?.letGo()
            return nil
        } catch {
            return error
        }
    }
}

func wallClock() -> Instant {
    Instant(millisecondsSince1970: Int64(Date().timeIntervalSince1970 * 1_000))
}
