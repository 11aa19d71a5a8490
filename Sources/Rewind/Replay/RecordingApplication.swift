// A recording brought into a database by itself, without the rollback around it: what `bench-rewind` measures.

package import Ports
package import Postgres
package import Releases

/// A release's whole recording on its way into a database that is as the release's snapshot saw it.
package struct RecordingApplication {
    private let connection: Connection
    private var replay: Replay
    private var reader: JournalReader

    /// - Parameters:
    ///   - database: of the snapshot's rows; nobody else writes in it. Perch's own tables are added.
    ///   - dataFolder: of the daemon that recorded.
    package static func open(
        _ database: ConnectionSettings, dataFolder: String, release: ReleaseID, policy: Policy.DataRollback
    ) async throws(Failure) -> RecordingApplication {
        let folder = ReleaseFolder(dataFolder: dataFolder, release: release)
        do {
            let reader = try JournalReader(folder: folder.journal)
            let connection = try await Connection.open(database)
            try await connection.execute(
                "\(Replay.session); \(CloneState.creation(position: reader.identity.start))")
            try await SuspendedDefinitions.suspend(connection)
            let replay = try await Replay.open(
                connection, policy: policy, start: reader.identity.start,
                quarantine: try QuarantineFile(folder.quarantine), faultPoint: { _ in })
            return RecordingApplication(connection: connection, replay: replay, reader: reader)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot prepare database \(database.database): \(error)")
        }
    }

    /// Returns when everything up to `end` is in the database.
    package mutating func run(upTo end: LogSequenceNumber) async throws(Failure) {
        try await replay.advance(to: end, &reader)
    }

    package var stableTransactions: Int { replay.report.counts.stableTransactions }
    package var changes: Int { replay.report.counts.changes }

    package func close() async { await connection.close() }
}
