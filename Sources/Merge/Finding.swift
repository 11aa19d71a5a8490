// Lines of the report: where the clone is not simply what stable wrote, and why. Rows named here are *listed*.

/// One row, or one column of it, with a reason. The report keeps one finding per row, reason and column; later ones of the
/// same kind are absorbed.
package struct Finding: Hashable, Sendable, Codable {
    package enum Reason: String, Hashable, Sendable, Codable, CaseIterable {
        /// Stable inserted a key that the clone still had: stable's row replaced it.
        case insertExists = "insert_exists"
        /// Stable changed a row that only the canary had made: the clone took it as it is in live.
        case updateMissing = "update_missing"
        /// The same with `canary_row: drop`: the clone stays without the row.
        case dropped
        /// Stable changed a value the canary had changed; the clone has stable's.
        case overwritten
        /// The same; the clone's value moved by stable's difference.
        case added
        /// The rule `add` met a NULL, no number or an overflow; the clone has stable's value.
        case addImpossible = "add_impossible"
        /// The rule `hold`; the clone has stable's value.
        case held
        /// Stable's statement left a value the canary had changed as it was, or wrote the same: the clone keeps its own.
        case kept
        /// Stable deleted a row the canary had changed.
        case deleteModified = "delete_modified"
        /// Two rows of the clone had the same entry in a unique index; this one took live's.
        case unique
        /// A row that refers to it was stable's, so this one was taken from live.
        case foreignKeyParent = "fk_parent"
        /// What it refers to is gone from the clone; it took live's reference, or live's absence.
        case foreignKeyChild = "fk_child"
        /// Its parent went in the clone alone, so the clone did what the database does then.
        case foreignKeyAction = "fk_action"
        /// Live's foreign key changed or deleted it because of a parent it does not have in the clone; the clone keeps it.
        case spared
        /// Stable gave a tainted row another key. Open: it deleted one and inserted this one in another partition right
        /// behind it, under a key that has nothing in common with the old; one row or two, the stream does not say.
        case moved
        /// A CHECK or NOT NULL of the clone refused the merged row; it took live's.
        case check
        /// The clone itself refused the row for another constraint; it took live's.
        case constraint
        /// Written by nobody's role, and the policy says `hold`.
        case unattributed
        /// A value that heal had removed came back as a write of stable's: a late save of an old form.
        case writeback
    }

    /// With an empty key: all rows of a table, emptied by nobody's role.
    package var row: RowID
    package var reason: Reason
    /// nil when it is about the whole row.
    package var column: String?
    /// A person has to decide.
    package var isOpen: Bool
    /// The clone's row before; nil where it had none. Of the first of its kind.
    package var saved: Row?
    /// Live's row before stable's change, with the canary's values; nil where it had none. Of the last of its kind, as
    /// the next two.
    package var live: Row?
    /// Live's row after stable's change; nil when stable deleted it, or changed another row and this one only gave way.
    package var stable: Row?
    /// The row on whose account this one was changed: the other holder of a unique value, the child of a parent, the
    /// parent of a child.
    package var counterpart: RowID?
    /// The key under which it was listed before stable moved the row.
    package var movedFrom: RowID?
    /// Of the transaction that was first of this kind, and of the last.
    package var firstCommitLSN: UInt64
    package var lastCommitLSN: UInt64
    /// Of the last.
    package var xid: UInt32
    package var count: Int

    package init(
        row: RowID, reason: Reason, column: String?, isOpen: Bool, saved: Row?, live: Row?, stable: Row?,
        counterpart: RowID?, movedFrom: RowID?, firstCommitLSN: UInt64, lastCommitLSN: UInt64, xid: UInt32, count: Int
    ) {
        self.row = row
        self.reason = reason
        self.column = column
        self.isOpen = isOpen
        self.saved = saved
        self.live = live
        self.stable = stable
        self.counterpart = counterpart
        self.movedFrom = movedFrom
        self.firstCommitLSN = firstCommitLSN
        self.lastCommitLSN = lastCommitLSN
        self.xid = xid
        self.count = count
    }

    /// What was first stays, what was last is noted. The same for any grouping of the findings into batches. What is
    /// listed again under a new key comes late and is old.
    package mutating func absorb(_ other: Finding) {
        isOpen = isOpen || other.isOpen
        saved = saved ?? other.saved
        movedFrom = movedFrom ?? other.movedFrom
        firstCommitLSN = min(firstCommitLSN, other.firstCommitLSN)
        count += other.count
        guard other.lastCommitLSN >= lastCommitLSN else { return }
        live = other.live
        stable = other.stable
        counterpart = other.counterpart
        lastCommitLSN = other.lastCommitLSN
        xid = other.xid
    }
}

/// A stable transaction that mode `cascade` kept out as a whole, for replay by hand.
package struct QuarantinedTransaction: Hashable, Sendable {
    package var transaction: SourceTransaction
    /// Why: the findings it would have made, at least one of them open.
    package var conflicts: [Finding]
}

/// Findings in the order they were made, one per row, reason and column.
package struct FindingList: Hashable, Sendable {
    private struct Place: Hashable {
        var row: RowID
        var reason: Finding.Reason
        var column: String?
    }

    package private(set) var all: [Finding] = []
    private var places: [Place: Int] = [:]
    private var byRow: [RowID: [Int]] = [:]

    package init() {}

    package var isEmpty: Bool { all.isEmpty }

    package subscript(row: RowID) -> [Finding] { (byRow[row] ?? []).map { all[$0] } }

    package mutating func add(_ finding: Finding) {
        let place = Place(row: finding.row, reason: finding.reason, column: finding.column)
        if let known = places[place] {
            all[known].absorb(finding)
        } else {
            places[place] = all.count
            byRow[finding.row, default: []].append(all.count)
            all.append(finding)
        }
    }
}
