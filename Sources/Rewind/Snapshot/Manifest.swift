// What a snapshot is, beside its dump: written last, so that a folder with a manifest holds a whole snapshot.

import Foundation
import Glibc
import Ports
import Postgres
import Releases

struct Manifest: Hashable, Sendable, Codable {
    var release: ReleaseID
    /// The dump and the journal meet here: the dump holds what committed before, the journal what committed after.
    var lsn: LogSequenceNumber
    var systemIdentifier: String
    var timeline: UInt32
    var database: String
    /// `15.14`
    var serverVersion: String
    /// `pg_dump (PostgreSQL) 15.14`
    var dumpProgram: String
    var settings: DatabaseSettings
    /// As ``SchemaFingerprint`` reads it.
    var schema: [String]
    /// Of the leaves, read in the dump's own snapshot.
    var tables: [TableFingerprint]
    /// Of the dump on disk.
    var bytes: Int64
    var tookMilliseconds: Int64

    static let fileName = "manifest.json"

    var summary: SnapshotSummary {
        SnapshotSummary(
            lsn: lsn.description, systemIdentifier: systemIdentifier, serverVersion: serverVersion,
            tables: tables.count, bytes: bytes, tookMilliseconds: tookMilliseconds)
    }

    /// - Returns: nil when the folder holds no whole snapshot.
    static func read(from folder: String) throws(Failure) -> Manifest? {
        let path = "\(folder)/\(fileName)"
        guard let bytes = FileManager.default.contents(atPath: path) else { return nil }
        do {
            return try JSONDecoder().decode(Manifest.self, from: bytes)
        } catch {
            throw Failure("\(path): \(error)", hint: "the snapshot is damaged: a data rollback is not possible")
        }
    }

    /// Durable when it returns.
    func write(to folder: String) throws(Failure) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try writeDurably(try encoder.encode(self), to: "\(folder)/\(Self.fileName)")
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("\(folder)/\(Self.fileName): \(error)")
        }
    }
}

/// Writes beside, syncs, renames, syncs the folder: a reader sees the old file or the whole new one, also after a crash.
func writeDurably(_ bytes: Data, to path: String) throws(Failure) {
    let fresh = "\(path).new"
    let descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw systemFailure(fresh) }
    let isWritten = bytes.withUnsafeBytes { buffer -> Bool in
        var done = 0
        while done < buffer.count {
            let written = Glibc.write(descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done)
            guard written > 0 else { return false }
            done += written
        }
        return true
    }
    guard isWritten, fsync(descriptor) == 0 else {
        let failure = systemFailure(fresh)
        close(descriptor)
        throw failure
    }
    close(descriptor)
    guard rename(fresh, path) == 0 else { throw systemFailure(path) }
    let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw systemFailure(path) }
    defer { close(folder) }
    guard fsync(folder) == 0 else { throw systemFailure(path) }
}

private func systemFailure(_ path: String) -> Failure {
    Failure("\(path): \(String(cString: strerror(errno)))", isTransient: errno == ENOSPC)
}
