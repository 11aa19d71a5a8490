// What a recording holds that nobody appends to at the moment.

import Ports
import Postgres

enum StoppedRecording {
    /// Goes over the whole journal.
    static func status(_ storage: any JournalStorage) throws(JournalError) -> RecordingStatus {
        var walk = try JournalWalk(storage)
        var tally = JournalTally()
        while let step = try walk.next() {
            if case .commit(let origin, let rows) = step { tally.add(origin, rows: rows) }
        }
        return RecordingStatus(
            state: .stopped, reason: nil, durableLSN: walk.lsn.description,
            stableTransactions: tally.stableTransactions, canaryTransactions: tally.canaryTransactions,
            canaryRows: tally.canaryRows, journalBytes: walk.precedingBytes + Int64(walk.goodEnd), heldWALBytes: 0)
    }
}
