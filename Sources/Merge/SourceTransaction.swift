// What goes into the merge: committed transactions in commit order, each with whose it is.

/// Whose a transaction is, as a whole.
package enum Origin: String, Hashable, Sendable, Codable {
    case stable, canary
    /// Perch's own, which brings live back to the clone's rows.
    case heal
    /// Without a mark of stable's or the canary's role; see ``MergePolicy/Unattributed``.
    case unattributed
}

/// A row before its UPDATE or DELETE, as far as the stream says.
package enum OldRow: Hashable, Sendable {
    /// The key's values, in the key's order.
    case key([Value])
    /// REPLICA IDENTITY FULL.
    case full(Row)
}

/// One row written, or tables emptied.
package enum Change: Hashable, Sendable {
    case insert(TableID, new: Row)
    /// `old` is nil when the key did not change and the table's identity is not FULL. Only `new` of an update has
    /// values that are ``Value/unchanged``.
    case update(TableID, old: OldRow?, new: Row)
    case delete(TableID, old: OldRow)
    /// The tables of one TRUNCATE, with those that CASCADE added.
    case truncate([TableID])

    /// nil for TRUNCATE.
    var table: TableID? {
        switch self {
        case .insert(let table, _), .update(let table, _, _), .delete(let table, _): table
        case .truncate: nil
        }
    }
}

package struct SourceTransaction: Hashable, Sendable {
    /// The top-level transaction's id.
    package var xid: UInt32
    /// Where the commit record begins; orders transactions.
    package var commitLSN: UInt64
    /// Where it ends: a position that says "this transaction is included".
    package var endLSN: UInt64
    package var origin: Origin
    /// In the order they were made; what was rolled back to a savepoint is not among them.
    package var changes: [Change]

    package init(xid: UInt32, commitLSN: UInt64, endLSN: UInt64, origin: Origin, changes: [Change]) {
        self.xid = xid
        self.commitLSN = commitLSN
        self.endLSN = endLSN
        self.origin = origin
        self.changes = changes
    }
}

/// Stream and clone do not belong together, or the stream has a gap. Nothing of the batch may be applied.
package enum MergeError: Error, Hashable, Sendable {
    case unknownTable(TableID, commitLSN: UInt64)
    /// A row has another number of values than its table has columns.
    case shape(TableID, commitLSN: UInt64)
    /// An UPDATE or DELETE of a row that live cannot have had.
    case notInLive(RowID, commitLSN: UInt64)
    /// An INSERT of a row that live must have had already.
    case alreadyInLive(RowID, commitLSN: UInt64)
    /// The clone lacks a row that is not tainted.
    case notInClone(RowID, commitLSN: UInt64)
    /// The stream says nothing of a column that must be known here.
    case valueMissing(RowID, commitLSN: UInt64)
}
