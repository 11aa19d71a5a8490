// A snapshot from nothing to a running recording:
//
//   publication    the tables, listed; committed before there is a slot, or decoding would not find it
//   slot           waits for the transactions that write at that moment; gives a consistent point and its snapshot
//   holder         a session that keeps the snapshot alive for everybody below, and the tables from being rewritten
//   recorder       streams from the consistent point on, so that log does not pile up while the dump is written
//   dump           pg_dump on the snapshot; beside it, fingerprints of every table on the same snapshot
//   marks          triggers that tell the canary's transactions; after the dump, which so is free of them
//   sentinel       a message of ours that must come through the stream
//   manifest       last: where it is, the snapshot is whole
//
// No statement here holds a transaction id while the slot is made: it would wait for itself.

import Glibc
import Logging
import Ports
import Postgres
import Releases
import SystemPackage

import class Foundation.FileManager

struct SnapshotRun: Sendable {
    struct Limits: Sendable {
        /// Longest wait for transactions that write while the slot is made.
        var slot = Duration.seconds(60)
        /// Longest wait for a table's lock, for the dump and for each mark.
        var lock = Duration.seconds(10)
        /// Until the sentinel must have come.
        var sentinel = Duration.seconds(30)
    }

    let release: ReleaseID
    let canaryRole: String
    /// As in ``Attribution``.
    var stableRole: String?
    let folder: ReleaseFolder
    /// The service's database, with Perch's role.
    let admin: ConnectionSettings
    let recorderSettings: Recorder.Settings
    var limits = Limits()
    let logger: Logger
    let progress: @Sendable (String) async -> Void

    var publication: String { "perch_\(release.sqlName)" }
    var slot: String { "perch_\(release.sqlName)" }

    /// - Parameter started: gets the recorder as soon as it runs, so that whoever cleans up after a failure can stop it.
    func run(started: @Sendable (Recorder) -> Void) async throws(Failure) -> Manifest {
        let begin = ContinuousClock.now
        let session = try await Self.open(admin)
        let tables = try await publish(session)
        await progress("making a slot on database \(admin.database)")
        let (identity, holder, snapshot) = try await makeSlot(session)
        let file = RecordingFile(
            release: release, database: identity.database, slot: slot, publication: publication, nonce: Self.nonce(),
            canaryRole: canaryRole, stableRole: stableRole, systemIdentifier: identity.systemIdentifier,
            timeline: identity.timeline,
            start: identity.start)
        let recorder = try startRecorder(file)
        started(recorder)
        try await recorder.awaitStreaming(timeout: .seconds(20))
        try await holdTables(tables, holder)
        await progress("dumping \(tables.leaves.count) tables at \(identity.start)")
        var manifest = try await dump(tables, identity, holder, snapshot)
        await holder.close()
        await progress("marking \(tables.all.count) tables")
        try await mark(file.attribution, tables, session)
        try await passSentinel(file.attribution, recorder, session)
        await session.close()
        manifest.tookMilliseconds = (ContinuousClock.now - begin).milliseconds
        try manifest.write(to: folder.root.string)
        return manifest
    }

    static func open(_ admin: ConnectionSettings) async throws(Failure) -> Connection {
        do {
            let connection = try await Connection.open(admin)
            try await connection.execute(
                "set client_min_messages = warning; set statement_timeout = 0; set idle_session_timeout = 0;"
                    + "set search_path = pg_catalog")
            return connection
        } catch {
            throw Failure("cannot connect to database \(admin.database): \(error)", isTransient: true)
        }
    }

    // MARK: Publication and slot

    private func publish(_ session: Connection) async throws(Failure) -> PublishedTables {
        do {
            let marked = try await session.names(
                "select distinct tgname from pg_trigger where tgname ~ '^perch_mark_' and tgname <> $1",
                [Attribution.triggerName(release)])
            guard marked.isEmpty else {
                throw Failure(
                    "database \(admin.database) has marks of another release: \(listed(marked))",
                    hint: "they would be part of the dump; clean that release up, or drop the triggers")
            }
            let tables = try await PublishedTables.load(on: session)
            let list = tables.leaves.map(\.quoted).joined(separator: ", ")
            try await session.execute(
                "create publication \(quoteIdentifier(publication))\(list.isEmpty ? "" : " for table \(list)")")
            return tables
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                "publication \(publication): \(error)",
                hint: "Perch's role must own the tables and may create in database \(admin.database)",
                isTransient: (error as? PostgresError)?.serverError == nil)
        }
    }

    /// - Returns: whose journal it will be, the session that holds the slot's snapshot, and the snapshot's name.
    private func makeSlot(
        _ session: Connection
    ) async throws(Failure) -> (JournalIdentity, holder: Connection, snapshot: String) {
        let replication: ReplicationConnection
        let holder: Connection
        do {
            replication = try await ReplicationConnection.open(admin)
            holder = try await Connection.open(
                admin.with("keepalives_idle", "30").with("application_name", "perchd snapshot"))
        } catch {
            throw Failure("cannot connect to database \(admin.database): \(error)", isTransient: true)
        }
        do {
            let identity = try await replication.identifySystem()
            guard let systemIdentifier = UInt64(identity.systemIdentifier) else {
                throw Failure("the server's system identifier is '\(identity.systemIdentifier)'")
            }
            let created = try await SlotCreation(
                slot: slot, limit: limits.slot, replication: replication, session: session, progress: progress
            ).run()
            guard let exported = created.snapshotName else { throw Failure("slot \(slot) came without a snapshot") }
            let snapshot = try await hold(exported, holder)
            await replication.close()
            return (
                JournalIdentity(
                    systemIdentifier: systemIdentifier, timeline: identity.timeline, database: admin.database,
                    slot: slot, start: created.consistentPoint), holder, snapshot
            )
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("slot \(slot): \(error)", isTransient: (error as? PostgresError)?.serverError == nil)
        }
    }

    /// The exported snapshot dies with the next command of the slot's connection; the holder's own lives as long as it does.
    private func hold(_ exported: String, _ holder: Connection) async throws(PostgresError) -> String {
        let noTimeouts =
            [
                "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout",
            ] + (await holder.serverVersion >= 170_000 ? ["transaction_timeout"] : [])
        try await holder.execute(noTimeouts.map { "set \($0) = 0" }.joined(separator: ";"))
        try await holder.execute(TableFingerprint.pinnedSettings)
        try await holder.execute(
            "begin isolation level repeatable read read only; set transaction snapshot \(quoteLiteral(exported))")
        guard let name = try await holder.query("select pg_export_snapshot()").scalar else {
            throw .usage("pg_export_snapshot gave no name")
        }
        return name
    }

    // MARK: Recorder

    private func startRecorder(_ file: RecordingFile) throws(Failure) -> Recorder {
        try folder.make()
        do {
            _ = try JournalWriter.create(FolderStorage(folder.journal), file.identity)
        } catch {
            throw Failure("\(error)", hint: "look at the space and the permissions of the data folder")
        }
        try file.write(folder)
        let recorder = Recorder(
            file, in: folder, server: admin, settings: recorderSettings, logger: logger)
        recorder.start()
        return recorder
    }

    private func mark(
        _ attribution: Attribution, _ tables: PublishedTables, _ session: Connection
    ) async throws(Failure) {
        let now: PublishedTables
        do {
            now = try await PublishedTables.load(on: session)
        } catch {
            throw Failure("tables of database \(admin.database): \(error)", isTransient: true)
        }
        guard now == tables else {
            throw Failure(
                "tables of database \(admin.database) came or went while the snapshot was taken",
                hint: "take it while no migration runs", isTransient: true)
        }
        try await attribution.install(on: session, tables: tables.all, deadline: limits.lock)
        if try await !SchemaWatch(attribution: attribution).install(on: session) {
            logger.notice(
                "changes of the schema are recorded only as far as tables' rows show them",
                metadata: ["release": "\(release)", "reason": "Perch's role is not a superuser"])
        }
    }

    private func passSentinel(
        _ attribution: Attribution, _ recorder: Recorder, _ session: Connection
    ) async throws(Failure) {
        let token = Self.nonce()
        do {
            try await Barrier.sendSentinel(token, attribution, on: session)
        } catch {
            throw Failure("sentinel of \(release): \(error)", isTransient: true)
        }
        try await recorder.awaitSentinel(token, timeout: limits.sentinel)
    }

    /// 128 bits from the system's generator.
    static func nonce() -> String {
        var generator = SystemRandomNumberGenerator()
        let digits = (0..<2).map { _ in String(generator.next(), radix: 16) }
        return digits.map { String(repeating: "0", count: 16 - $0.count) + $0 }.joined()
    }
}
