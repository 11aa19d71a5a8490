// What a release left in the database and on the disk, whole or half made. Each step may find nothing to do.

import Foundation
import Ports
import Postgres
import Releases
import SystemPackage

enum Leftovers {
    /// Marks, publication and slot. The recorder must have stopped.
    static func removeFromDatabase(
        _ release: ReleaseID, admin: ConnectionSettings, deadline: Duration = .seconds(30)
    ) async throws(Failure) {
        let session = try await SnapshotRun.open(admin)
        // The slot first: it is what a production server cannot bear for long.
        try await ReplicationSlot.drop("perch_\(release.sqlName)", on: session, deadline: deadline)
        try await SchemaWatch.remove(of: release, on: session)
        try await Attribution.remove(of: release, on: session, deadline: deadline)
        do {
            try await session.execute("drop publication if exists \(quoteIdentifier("perch_\(release.sqlName)"))")
        } catch {
            throw Failure("publication of \(release): \(error)", isTransient: error.serverError == nil)
        }
        await session.close()
    }

    /// The restored database of a rollback that did not come to its switch.
    static func dropRestored(_ release: ReleaseID, admin: ConnectionSettings) async throws(Failure) {
        let cluster = try await Cluster.open(admin)
        let name = DatabaseNames(live: admin.database, release: release).restored
        switch try await cluster.find(name)?.mark {
        case .restoring(release), .restored(release), .switching(release): try await cluster.drop(name)
        case nil, .restoring, .restored, .switching, .previous: break
        }
        await cluster.connection.close()
    }

    /// The dump, and with it the manifest that promises it; first the promise.
    static func removeDump(_ folder: ReleaseFolder) throws(Failure) {
        try remove(folder.root.appending(Manifest.fileName))
        try remove(folder.dump)
    }

    /// Everything of a snapshot that is to be taken again.
    static func removeRecording(_ folder: ReleaseFolder) throws(Failure) {
        try removeDump(folder)
        try remove(folder.recording)
        try remove(folder.journal)
        try remove(folder.quarantine)
        try remove(folder.decisions)
    }

    private static func remove(_ path: FilePath) throws(Failure) {
        do {
            try FileManager.default.removeItem(atPath: path.string)
        } catch CocoaError.fileNoSuchFile {
            return
        } catch {
            throw Failure("\(path) cannot be removed: \(error.localizedDescription)")
        }
    }
}
