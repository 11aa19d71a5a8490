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
    /// nil when the policy keeps none ready.
    package var clone: CloneStatus?

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

/// How the clone stands that is kept beside live.
package struct CloneStatus: Hashable, Sendable, Codable {
    package enum State: String, Hashable, Sendable, Codable {
        /// Restored from the snapshot.
        case building
        case following
        /// It goes on by itself when it can.
        case interrupted
        /// It cannot go on; a rollback will say the same.
        case failed
    }
    package var state: State
    /// Why, when interrupted or failed.
    package var reason: String?
    /// Stable's writes up to here are in it.
    package var position: String?
    /// From the commit of the oldest transaction of the last round until the clone had it.
    package var lagMilliseconds: Int64 = 0
    /// Rows that are not as in live, because of the canary.
    package var taintedRows = 0
    /// Lines of the report that want a decision.
    package var decisionsOpen = 0

    package init(state: State) { self.state = state }
}

/// A write of the canary that was kept out of the data, or a write of stable that met one.
package struct QuarantinedChange: Hashable, Sendable {
    package enum Reason: String, Hashable, Sendable, Codable {
        /// The canary wrote it; it is not in the data.
        case canaryWrite
        /// Stable changed a row that the canary had changed, and the row as a whole was left as it was without the canary.
        case bothWrote
        /// A row it refers to is the canary's, and it was taken out.
        case foreignKey
        /// Its transaction met a write of the canary's and was kept out as a whole.
        case transactionKeptOut

        // Stable's writes that are in the data:

        /// Stable inserted a key that the restored data still had: stable's row replaced that one.
        case insertExists
        /// Stable changed a row that only the canary had made: it is in the data as it was in live.
        case updateMissing
        /// The same, and the policy says `canary_row: drop`: it is not in the data.
        case dropped
        /// Stable changed a value that the canary had changed: the data has stable's.
        case overwritten
        /// The same; the value without the canary moved by stable's difference.
        case added
        /// The same, but the values cannot be added: the data has stable's.
        case addImpossible
        /// The rule `hold`: the data has stable's value, a person decides.
        case held
        /// Stable's statement left a value of the canary's as it was, or wrote the same: the data has the one before.
        case kept
        /// Stable deleted a row that the canary had changed.
        case deleteModified
        /// Two rows had the same unique value; this one has live's.
        case unique
        /// A row that refers to it is stable's, so this row of the canary's is in the data.
        case foreignKeyParent
        /// What it referred to is gone; it refers to what it does in live, or is gone as in live.
        case foreignKeyChild
        /// What it referred to went, so the database's own action was done: cascade or set null.
        case foreignKeyAction
        /// The database changed it in live because of a row it does not refer to without the canary: it was left alone.
        case spared
        /// Stable gave the row another key.
        case moved
        /// A CHECK or NOT NULL refused the merged row; it is as in live.
        case check
        /// Another constraint of the restored data refused it; it is as in live.
        case constraint
        /// Written by nobody's role, and the policy says `hold`.
        case unattributed
        /// A value that had been taken out came back with a late write of stable's.
        case writeback
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
    /// The column it is about; nil when it is the whole row.
    package var column: String?
    /// Of a write that was kept out: the row in live right before it. Else the row as it was without the canary. nil when
    /// there was none, or it is not known; see ``image(_:)``.
    package var before: [String: String?]?
    /// The row as the canary had left it.
    package var canary: [String: String?]?
    /// A person has to decide.
    package var isOpen: Bool
    /// So many writes of the same row for the same reason.
    package var count: Int
    /// nil while nobody has decided.
    package var decision: QuarantineDecision?

    package init(
        id: Int, reason: Reason, origin: Arm, table: String, operation: String, key: [String: String?],
        row: [String: String?]?, commitLSN: String, xid: UInt32, committedAt: Int64, detail: String,
        column: String? = nil, before: [String: String?]? = nil, canary: [String: String?]? = nil,
        isOpen: Bool = false, count: Int = 1, decision: QuarantineDecision? = nil
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
        self.column = column
        self.before = before
        self.canary = canary
        self.isOpen = isOpen
        self.count = count
        self.decision = decision
    }
}

extension QuarantinedChange: Codable {
    /// What only a merge tells may be missing.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            id: try values.decode(Int.self, forKey: .id), reason: try values.decode(Reason.self, forKey: .reason),
            origin: try values.decode(Arm.self, forKey: .origin), table: try values.decode(String.self, forKey: .table),
            operation: try values.decode(String.self, forKey: .operation),
            key: try values.decode([String: String?].self, forKey: .key),
            row: try values.decodeIfPresent([String: String?].self, forKey: .row),
            commitLSN: try values.decode(String.self, forKey: .commitLSN),
            xid: try values.decode(UInt32.self, forKey: .xid),
            committedAt: try values.decode(Int64.self, forKey: .committedAt),
            detail: try values.decode(String.self, forKey: .detail),
            column: try values.decodeIfPresent(String.self, forKey: .column),
            before: try values.decodeIfPresent([String: String?].self, forKey: .before),
            canary: try values.decodeIfPresent([String: String?].self, forKey: .canary),
            isOpen: try values.decodeIfPresent(Bool.self, forKey: .isOpen) ?? false,
            count: try values.decodeIfPresent(Int.self, forKey: .count) ?? 1,
            decision: try values.decodeIfPresent(QuarantineDecision.self, forKey: .decision))
    }
}

/// What undoing a heal did, or would do.
package struct HealUndone: Hashable, Sendable, Codable {
    package var rows = 0
    /// Not as heal left them; a name each.
    package var changedSince: [String] = []

    package init() {}
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

    /// Puts back what healing a release changed, all of it in one transaction.
    ///
    /// - Parameters:
    ///   - skipsChanged: rows that somebody wrote since stay as they are; else they are an error and nothing is done.
    ///   - isRehearsal: nothing is written.
    func undoHeal(
        release: ReleaseID, policy: Policy, skipsChanged: Bool, isRehearsal: Bool
    ) async throws(Failure) -> HealUndone

    /// Slot, publication, markers and half-made databases are gone; the dump and the journal stay.
    func endRecording(release: ReleaseID, policy: Policy) async throws(Failure)

    /// Also the dump is gone; the journal's quarantine stays readable.
    func cleanUp(release: ReleaseID, policy: Policy) async throws(Failure)

    /// What is due while the service has no release: databases kept from before rollbacks are dropped when their time is
    /// over, a slot that nobody reads when it passes the budget; a live database that a rewind left closed is opened, a pooler
    /// that it left paused resumed.
    ///
    /// - Returns: what was done, a sentence each.
    func tidyUp(policy: Policy, now: Instant) async throws(Failure) -> [String]

    /// What a rollback kept out or met, with what was decided about it; an entry that was decided is not open.
    func quarantine(release: ReleaseID) async throws(Failure) -> [QuarantinedChange]

    /// The rows of entries as they are in the live database now, by the entries' ids. Not of tables without a key.
    func quarantinedRows(release: ReleaseID, policy: Policy, ids: [Int]) async throws(Failure) -> [Int: QuarantinedRow]

    /// Writes what was chosen to the live database in one transaction of Perch's role: all of it or nothing. Asked again
    /// it finds the rows as wanted, or the decision made, and writes nothing.
    ///
    /// - Returns: the rows that were written; none where they were so already.
    /// - Throws: when a row is not what the order says was seen, and when the database refuses one.
    func applyQuarantine(
        release: ReleaseID, policy: Policy, _ order: QuarantineOrder
    ) async throws(Failure) -> [QuarantineWrite]

    /// The entries are decided and the data stays as it is. The decision is durable when it returns.
    func discardQuarantine(
        release: ReleaseID, ids: [Int], person: String, reason: String?, at: Instant
    ) async throws(Failure)

    /// The recording as JSON lines, a recorded change each line group; see docs/recording.md.
    func exportRecording(
        release: ReleaseID, policy: Policy, to sink: @escaping @Sendable (String) async throws -> Void
    ) async throws(Failure)
}
