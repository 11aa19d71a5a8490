// Documents about what a rollback kept out of the data, and what people decide about it.

package import Releases

/// A row as one side had it.
package struct SideLine: Hashable, Sendable, Codable {
    package var isThere: Bool
    /// Column -> text value; columns that are not known are left out.
    package var row: [String: String?]?

    package init(isThere: Bool, row: [String: String?]?) {
        self.isThere = isThere
        self.row = row
    }
}

package struct DecisionLine: Hashable, Sendable, Codable {
    /// `applied`, `discarded`, or `unsettled`: the next decision finds out.
    package var how: String
    /// Whose row was taken: `before`, `canary`, `stable`.
    package var side: String?
    package var person: String
    package var reason: String?
    package var at: String

    package init(how: String, side: String?, person: String, reason: String?, at: String) {
        self.how = how
        self.side = side
        self.person = person
        self.reason = reason
        self.at = at
    }
}

/// A write that was kept out of the data, or one of stable's that met one.
package struct QuarantineLine: Hashable, Sendable, Codable {
    /// Of the same entry for as long as the release is known.
    package var id: Int
    /// `canary-write`, `transaction-kept-out`, `conflict`.
    package var kind: String
    package var reason: String
    package var origin: String
    package var table: String
    package var operation: String
    package var key: [String: String?]
    /// The column it is about; nil when it is the whole row.
    package var column: String?
    package var row: [String: String?]?
    /// nil where a side did not write the row or is not known.
    package var before: SideLine?
    package var canary: SideLine?
    package var stable: SideLine?
    /// In the live database; nil when it was not asked for or cannot be told.
    package var now: SideLine?
    /// Columns in which two of the sides differ.
    package var differing: [String]
    package var commitLSN: String
    package var xid: Int
    package var committedAt: String
    package var detail: String
    package var isOpen: Bool
    package var count: Int
    package var decision: DecisionLine?

    package init(
        id: Int, kind: String = "conflict", reason: String, origin: String, table: String, operation: String,
        key: [String: String?], column: String? = nil, row: [String: String?]?, before: SideLine? = nil,
        canary: SideLine? = nil, stable: SideLine? = nil, now: SideLine? = nil, differing: [String] = [],
        commitLSN: String, xid: Int = 0, committedAt: String, detail: String, isOpen: Bool = false, count: Int = 1,
        decision: DecisionLine? = nil
    ) {
        self.id = id
        self.kind = kind
        self.reason = reason
        self.origin = origin
        self.table = table
        self.operation = operation
        self.key = key
        self.column = column
        self.row = row
        self.before = before
        self.canary = canary
        self.stable = stable
        self.now = now
        self.differing = differing
        self.commitLSN = commitLSN
        self.xid = xid
        self.committedAt = committedAt
        self.detail = detail
        self.isOpen = isOpen
        self.count = count
        self.decision = decision
    }
}

package struct QuarantineList: Hashable, Sendable, Codable {
    package var changes: [QuarantineLine]
    /// Why `now` is missing although it was asked for.
    package var unread: String?
    package init(changes: [QuarantineLine], unread: String? = nil) {
        self.changes = changes
        self.unread = unread
    }
}

/// Which entries: those with these numbers, and those of this transaction.
package struct QuarantineSelection: Hashable, Sendable, Codable {
    package var items: [Int]?
    /// Commit LSN or transaction number.
    package var transaction: String?

    package init(items: [Int]?, transaction: String? = nil) {
        self.items = items
        self.transaction = transaction
    }

    package static let everything = QuarantineSelection(items: nil)

    package func covers(_ line: QuarantineLine) -> Bool {
        guard items != nil || transaction != nil else { return true }
        return items?.contains(line.id) == true || transaction == line.commitLSN || transaction == String(line.xid)
    }
}

package struct ApplyRequest: Hashable, Sendable, Codable {
    package struct Seen: Hashable, Sendable, Codable {
        package var id: Int
        package var now: SideLine
        package init(id: Int, now: SideLine) {
            self.id = id
            self.now = now
        }
    }

    package var items: [Int]?
    package var transaction: String?
    /// `before`, `canary`, `stable`.
    package var take: String?
    package var columns: [String]?
    package var wholeRow: Bool?
    /// Also what was decided before.
    package var again: Bool?
    package var dryRun: Bool?
    /// Rows that must still be as they were seen.
    package var seen: [Seen]?
    package var reason: String?

    package init(
        items: [Int]?, transaction: String? = nil, take: String? = nil, columns: [String]? = nil,
        wholeRow: Bool? = nil, again: Bool? = nil, dryRun: Bool? = nil, seen: [Seen]? = nil, reason: String? = nil
    ) {
        self.items = items
        self.transaction = transaction
        self.take = take
        self.columns = columns
        self.wholeRow = wholeRow
        self.again = again
        self.dryRun = dryRun
        self.seen = seen
        self.reason = reason
    }

    package var selection: QuarantineSelection { .init(items: items, transaction: transaction) }
}

package struct DiscardRequest: Hashable, Sendable, Codable {
    package var items: [Int]?
    package var transaction: String?
    package var reason: String?

    package init(items: [Int]?, transaction: String? = nil, reason: String? = nil) {
        self.items = items
        self.transaction = transaction
        self.reason = reason
    }

    package var selection: QuarantineSelection { .init(items: items, transaction: transaction) }
}

/// What a decision did.
package struct DecisionResult: Hashable, Sendable, Codable {
    package struct Write: Hashable, Sendable, Codable {
        /// `insert`, `update`, `delete`.
        package var operation: String
        package var table: String
        package var key: [String: String?]
        package var from: [String: String?]?
        package var to: [String: String?]?

        package init(
            operation: String, table: String, key: [String: String?], from: [String: String?]?, to: [String: String?]?
        ) {
            self.operation = operation
            self.table = table
            self.key = key
            self.from = from
            self.to = to
        }
    }

    package var release: ReleaseID
    /// The entries it was about.
    package var items: [Int]
    package var dryRun: Bool
    /// None where every row was as wanted already.
    package var writes: [Write]

    package init(release: ReleaseID, items: [Int], dryRun: Bool, writes: [Write]) {
        self.release = release
        self.items = items
        self.dryRun = dryRun
        self.writes = writes
    }
}

/// Of undoing a heal.
package struct UndoHealRequest: Hashable, Sendable, Codable {
    /// Rows that somebody wrote since stay as they are. Without it they are an error, and nothing is done.
    package var skipChanged: Bool?
    package var dryRun: Bool?

    package init(skipChanged: Bool? = nil, dryRun: Bool? = nil) {
        self.skipChanged = skipChanged
        self.dryRun = dryRun
    }
}

/// What undoing a heal did, or would do.
package struct UndoHealResult: Hashable, Sendable, Codable {
    package var release: ReleaseID
    /// Put back.
    package var rows: Int
    /// Not as heal left them; a name each.
    package var changedSince: [String]
    package var dryRun: Bool

    package init(release: ReleaseID, rows: Int, changedSince: [String], dryRun: Bool) {
        self.release = release
        self.rows = rows
        self.changedSince = changedSince
        self.dryRun = dryRun
    }
}
