// The data side of a release: snapshot, recording, taking the canary's writes out. Every verb is idempotent and named by
// the release; asking again after a crash continues or starts over, never applies twice.

package import Releases

/// A finding of preflight.
package struct Finding: Hashable, Sendable, Codable {
    package enum Level: String, Hashable, Sendable, Codable { case ok, warning, failure }
    package var level: Level
    /// What was looked at: `wal_level`, `replica identity`, `large objects`.
    package var check: String
    package var message: String
    package var hint: String?

    package init(level: Level, check: String, message: String, hint: String? = nil) {
        self.level = level
        self.check = check
        self.message = message
        self.hint = hint
    }
}

/// How the recording stands.
package struct RecordingStatus: Hashable, Sendable, Codable {
    package enum State: String, Hashable, Sendable, Codable {
        case recording, stopped
        /// The journal has a gap or the slot is gone: a data rollback is no longer possible.
        case broken
        /// WAL held by our slot passed the policy's budget; the slot was dropped.
        case overBudget
    }
    package var state: State
    /// Why, when broken or over budget.
    package var reason: String?
    /// Everything up to here is durable in the journal.
    package var durableLSN: String
    package var stableTransactions: Int
    package var canaryTransactions: Int
    package var canaryRows: Int
    package var journalBytes: Int64
    /// WAL the server keeps because of our slot.
    package var heldWALBytes: Int64

    package init(
        state: State, reason: String?, durableLSN: String, stableTransactions: Int, canaryTransactions: Int,
        canaryRows: Int, journalBytes: Int64, heldWALBytes: Int64
    ) {
        self.state = state
        self.reason = reason
        self.durableLSN = durableLSN
        self.stableTransactions = stableTransactions
        self.canaryTransactions = canaryTransactions
        self.canaryRows = canaryRows
        self.journalBytes = journalBytes
        self.heldWALBytes = heldWALBytes
    }
}

/// A change that was kept out of the data, with why.
package struct QuarantinedChange: Hashable, Sendable, Codable {
    package enum Reason: String, Hashable, Sendable, Codable {
        /// The canary wrote it.
        case canaryWrite
        /// Stable changed a row that the canary had changed: its image carries the canary's values.
        case bothWrote
        /// Stable inserted a key that the restored data still has.
        case insertExists
        /// Stable changed a row that only the canary had made.
        case updateMissing
        /// A row it refers to is the canary's.
        case foreignKey
        /// A unique value is taken.
        case unique
        /// A CHECK, NOT NULL or other constraint of the restored data refused it.
        case constraint
    }
    package var id: Int
    package var reason: Reason
    package var origin: Arm
    package var table: String
    package var operation: String
    /// Column -> text value.
    package var key: [String: String?]
    /// The row as it was written; nil for a delete.
    package var row: [String: String?]?
    package var commitLSN: String
    package var xid: UInt32
    /// Milliseconds since 1970.
    package var committedAt: Int64
    package var detail: String

    package init(
        id: Int, reason: Reason, origin: Arm, table: String, operation: String, key: [String: String?],
        row: [String: String?]?, commitLSN: String, xid: UInt32, committedAt: Int64, detail: String
    ) {
        self.id = id
        self.reason = reason
        self.origin = origin
        self.table = table
        self.operation = operation
        self.key = key
        self.row = row
        self.commitLSN = commitLSN
        self.xid = xid
        self.committedAt = committedAt
        self.detail = detail
    }
}

/// What the data side needs while it switches databases.
package protocol SwitchGate: Sendable {
    /// Requests wait from now on and none is in flight any more.
    func hold(deadline: Span) async throws(Failure)
    /// The switched database is in place: the service's instances must be able to use it before requests go on.
    func reconnect() async throws(Failure)
    /// Requests go on.
    func letGo() async
}

package protocol DataPort: Sendable {
    /// Everything that must hold before a snapshot; also `perch check`.
    func preflight(_ policy: Policy) async -> [Finding]

    /// The URL an instance of this arm connects with. Makes sure that the canary's role can log in.
    func databaseURL(for arm: Arm, policy: Policy) async throws(Failure) -> String

    /// Publication, slot, markers, dump and a running recording; returns when all of it is durable.
    ///
    /// - Parameter progress: called with a sentence now and then.
    func snapshot(
        release: ReleaseID, policy: Policy, progress: @escaping @Sendable (String) async -> Void
    ) async throws(Failure) -> SnapshotSummary

    /// Makes sure that the recording of a release runs (after a restart of the daemon). Returns before it has reached the
    /// server: ``recording(release:)`` tells how it goes.
    func resumeRecording(release: ReleaseID, policy: Policy) async throws(Failure)

    /// This daemon records nothing any more; the slots keep what another is to record.
    func stopRecording() async

    /// nil when this release has no recording.
    func recording(release: ReleaseID) async -> RecordingStatus?

    /// The canary's role can no longer log in, has no sessions, and its last transactions are in the journal.
    func fenceCanary(release: ReleaseID, policy: Policy) async throws(Failure)

    /// Takes the canary's writes out: restore, replay, switch. Live data is untouched until the switch commits.
    func rewind(
        release: ReleaseID, policy: Policy, gate: any SwitchGate,
        progress: @escaping @Sendable (String) async -> Void
    ) async throws(Failure) -> RewindSummary

    /// Slot, publication, markers and half-made databases are gone; the dump and the journal stay.
    func endRecording(release: ReleaseID, policy: Policy) async throws(Failure)

    /// Also the dump is gone; the journal's quarantine stays readable.
    func cleanUp(release: ReleaseID, policy: Policy) async throws(Failure)

    /// What is due while the service has no release: databases kept from before rollbacks are dropped when their time is
    /// over, a slot that nobody reads when it passes the budget, and a live database that a rewind left closed is opened.
    ///
    /// - Returns: what was done, a sentence each.
    func tidyUp(policy: Policy, now: Instant) async throws(Failure) -> [String]

    func quarantine(release: ReleaseID) async throws(Failure) -> [QuarantinedChange]

    /// The recording as JSON lines, a recorded change each line group; see docs/recording.md.
    func exportRecording(release: ReleaseID, to sink: @escaping @Sendable (String) async throws -> Void)
        async throws(Failure)
}
