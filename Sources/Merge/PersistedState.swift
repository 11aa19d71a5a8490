// What a merge needs to go on after a crash, beside the clone itself, as values for the clone's own tables. It is written in
// the transaction of the clone that applies the batch, so the two are always of one position.

/// A row that differs between live and clone: what live has. The clone's own row is in the clone.
package struct TaintRecord: Hashable, Sendable, Codable {
    package var row: RowID
    /// nil when live has no such row.
    package var live: Row?
    /// Top-level transaction that wrote live's row last; 0 when that is not known.
    package var xid: UInt32

    package init(row: RowID, live: Row?, xid: UInt32) {
        self.row = row
        self.live = live
        self.xid = xid
    }
}

/// A row of a table without a key.
package struct CopiesRecord: Hashable, Sendable, Codable {
    package var row: RowID
    /// Live's copies minus the clone's, never 0; in a table that the canary emptied, live's copies.
    package var count: Int
    package var xid: UInt32

    package init(row: RowID, count: Int, xid: UInt32) {
        self.row = row
        self.count = count
        self.xid = xid
    }
}

/// The canary emptied this table: rows without a record are absent in live, whatever the clone has. Records there also
/// name rows that are equal in both.
package struct EmptiedTable: Hashable, Sendable, Codable {
    package var table: TableID
    package var xid: UInt32

    package init(table: TableID, xid: UInt32) {
        self.table = table
        self.xid = xid
    }
}

/// What heal took out of a row of live, to recognise it when an old form brings it back.
package struct Ghost: Hashable, Sendable, Codable {
    package var row: RowID
    /// Column -> the canary's value.
    package var values: [String: Value]
    package var healedLSN: UInt64

    package init(row: RowID, values: [String: Value], healedLSN: UInt64) {
        self.row = row
        self.values = values
        self.healedLSN = healedLSN
    }
}

package struct PersistedState: Hashable, Sendable, Codable {
    package var taints: [RowID: TaintRecord] = [:]
    package var copies: [RowID: CopiesRecord] = [:]
    package var emptied: [TableID: EmptiedTable] = [:]
    package var ghosts: [RowID: Ghost] = [:]
    /// `endLSN` of the last transaction that is in clone and state.
    package var position: UInt64 = 0

    package init() {}
}

/// What a batch changes in the persisted state and in the report, in this order: tables forgotten, records removed,
/// records written.
package struct StateDelta: Hashable, Sendable {
    /// Every taint, copies record and emptied mark of these tables goes.
    package var forgotten: [TableID] = []
    package var taintsRemoved: [RowID] = []
    package var taints: [TaintRecord] = []
    package var copiesRemoved: [RowID] = []
    package var copies: [CopiesRecord] = []
    package var emptied: [EmptiedTable] = []
    package var ghostsRemoved: [RowID] = []
    package var ghosts: [Ghost] = []
    /// To be absorbed into what the report has for the same row, reason and column; see ``Finding/absorb(_:)``.
    package var findings: [Finding] = []
    package var quarantined: [QuarantinedTransaction] = []
    package var position: UInt64 = 0

    package init() {}
}

extension PersistedState {
    package mutating func apply(_ delta: StateDelta) {
        let gone = Set(delta.forgotten)
        if !gone.isEmpty {
            taints = taints.filter { !gone.contains($0.key.table) }
            copies = copies.filter { !gone.contains($0.key.table) }
            emptied = emptied.filter { !gone.contains($0.key) }
        }
        for row in delta.taintsRemoved { taints[row] = nil }
        for record in delta.taints { taints[record.row] = record }
        for row in delta.copiesRemoved { copies[row] = nil }
        for record in delta.copies { copies[record.row] = record }
        for record in delta.emptied { emptied[record.table] = record }
        for row in delta.ghostsRemoved { ghosts[row] = nil }
        for ghost in delta.ghosts { ghosts[ghost.row] = ghost }
        position = delta.position
    }
}
