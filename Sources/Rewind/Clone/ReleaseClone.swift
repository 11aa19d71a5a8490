// The clone of one release: made from its snapshot or taken up where somebody left it, and brought on by the recording.

import Logging
import Ports
import Postgres
import Releases
import SystemPackage

/// Where a release's clone comes from and what it is called.
struct CloneSource: Sendable {
    let release: ReleaseID
    /// Perch's role in the live database.
    let admin: ConnectionSettings
    let folder: ReleaseFolder
    let manifest: Manifest
    let policy: Policy.DataRollback
    let faultPoint: FaultPoint

    var names: DatabaseNames { DatabaseNames(live: admin.database, release: release) }

    /// A session of Perch's with one of the two databases.
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

struct ReleaseClone: Sendable {
    var replay: Replay
    private var reader: JournalReader

    /// Makes sure that the database is there and whole, and goes on where its own tables say.
    static func open(
        _ source: CloneSource, _ cluster: Cluster, progress: @Sendable (String) async -> Void
    ) async throws(Failure) -> ReleaseClone {
        let names = source.names
        let restore = Restore(
            names: names, admin: source.admin, manifest: source.manifest, dump: source.folder.dump.string,
            programs: .fitting(serverVersion: await cluster.connection.serverVersion), faultPoint: source.faultPoint)
        try await restore.ensure(cluster, progress: progress)
        // An earlier attempt may have stopped within the switch; a rollback has seen to live before it comes here.
        try await cluster.mark(names.restored, .restored(source.release))
        let connection = try await source.session(names.restored, Replay.session)
        do {
            try await SuspendedDefinitions.suspend(connection)
        } catch {
            throw Failure("cannot prepare database \(names.restored): \(error)", isTransient: error.serverError == nil)
        }
        do {
            let reader = try JournalReader(folder: source.folder.journal)
            let replay = try await Replay.open(
                connection, policy: source.policy, start: reader.identity.start,
                quarantine: try QuarantineFile(source.folder.quarantine), faultPoint: source.faultPoint)
            return ReleaseClone(replay: replay, reader: reader)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                "cannot read the recording: \(error)", hint: "live data is untouched; use rollback.mode: keep")
        }
    }

    /// Its only session.
    var connection: Connection { replay.connection }
    var position: LogSequenceNumber { replay.position }

    /// Brings the clone to `limit`, which is durable in the journal.
    mutating func advance(to limit: LogSequenceNumber) async throws(Failure) {
        try await replay.advance(to: limit, &reader)
    }

    /// Everything that committed before this was called is in the clone when it returns.
    ///
    /// - Parameter control: another session of live.
    mutating func catchUp(
        _ recording: any RecordingTail, _ release: ReleaseID, control: Connection, within limit: Duration
    ) async throws(Failure) {
        let barrier = try await Barrier.commit(release, on: control)
        try await recording.awaitDurable(barrier, timeout: limit)
        try await advance(to: barrier)
    }

    /// - Throws: when the policy wants every decision made before the data goes back.
    mutating func requireDecisions() async throws(Failure) { try await replay.requireDecisions() }

    /// The list of what was kept out or put together is complete and durable then.
    mutating func finishReport() async throws(Failure) { try await replay.finishReport() }
}
