// What a recording is, for the daemon that finds it after a restart.

import Foundation
import Ports
import Postgres
import Releases
import SystemPackage

/// `recording.json`. Written before the first transaction, and once more when the recording ends.
struct RecordingFile: Hashable, Sendable, Codable {
    var release: ReleaseID
    var database: String
    var slot: String
    var publication: String
    /// Part of the canary's marks; see ``Attribution``.
    var nonce: String
    var canaryRole: String
    /// As in ``Attribution``.
    var stableRole: String?
    var systemIdentifier: UInt64
    var timeline: UInt32
    var start: LogSequenceNumber
    /// How it ended; nil while it can go on. Broken and over budget are for ever.
    var end: RecordingStatus?

    var identity: JournalIdentity {
        JournalIdentity(
            systemIdentifier: systemIdentifier, timeline: timeline, database: database, slot: slot, start: start)
    }

    var attribution: Attribution {
        Attribution(release: release, canaryRole: canaryRole, stableRole: stableRole, nonce: nonce)
    }

    /// - Returns: nil when this release has no recording.
    static func read(_ folder: ReleaseFolder) throws(Failure) -> RecordingFile? {
        guard let bytes = FileManager.default.contents(atPath: folder.recording.string) else { return nil }
        do {
            return try JSONDecoder().decode(RecordingFile.self, from: bytes)
        } catch {
            throw Failure(
                "\(folder.recording): \(error)", hint: "the recording is damaged: a data rollback is not possible")
        }
    }

    /// Durable when it returns.
    func write(_ folder: ReleaseFolder) throws(Failure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes: Data
        do {
            bytes = try encoder.encode(self)
        } catch {
            throw Failure("\(folder.recording): \(error)")
        }
        try writeDurably(bytes, to: folder.recording.string)
    }
}
