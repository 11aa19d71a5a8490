// Deciding about what is in quarantine: what each side had, what a person chose, what was written.

package import Releases

/// A row as one side had it.
package enum QuarantinedRow: Hashable, Sendable {
    case absent
    /// Column -> text value; columns whose value is not known are left out.
    case row([String: String?])

    package var row: [String: String?]? {
        if case .row(let values) = self { return values }
        return nil
    }
}

extension QuarantinedChange {
    /// Whose values a row can be given.
    package enum Side: String, Hashable, Sendable, Codable, CaseIterable { case before, canary, stable }

    /// One write of a transaction that was kept out; else it is about a write that is in the data.
    package var isKeptOut: Bool { reason == .canaryWrite || reason == .transactionKeptOut }

    /// - Returns: nil when this side did not write the row, or its values are not known.
    package func image(_ side: Side) -> QuarantinedRow? {
        if operation == "TRUNCATE" { return nil }
        let written: QuarantinedRow? = row.map(QuarantinedRow.row) ?? (operation == "DELETE" ? .absent : nil)
        switch (side, reason) {
        case (.before, .canaryWrite), (.before, .transactionKeptOut):
            return before.map(QuarantinedRow.row) ?? (operation == "INSERT" ? .absent : nil)
        case (.before, _): return before.map(QuarantinedRow.row) ?? .absent
        case (.canary, .canaryWrite): return written
        case (.canary, .transactionKeptOut): return nil
        case (.canary, _): return canary.map(QuarantinedRow.row) ?? .absent
        case (.stable, .canaryWrite): return nil
        case (.stable, _): return written
        }
    }

    /// Columns that two of the sides have with different values, in the order of their names.
    package var differingColumns: [String] {
        let rows = Side.allCases.compactMap { image($0)?.row }
        return Set(rows.flatMap(\.keys)).filter { column in
            Set(rows.compactMap { $0[column] }).count > 1
        }.sorted()
    }
}

/// What was decided about an entry.
package struct QuarantineDecision: Hashable, Sendable, Codable {
    package enum How: String, Hashable, Sendable, Codable {
        /// The data has what was chosen.
        case applied
        /// The data was left as it is.
        case discarded
        /// Perch ended while the data was being written; the database tells which it is once it is asked.
        case unsettled
    }
    package var how: How
    /// Of what was applied.
    package var side: QuarantinedChange.Side?
    package var person: String
    package var reason: String?
    /// Milliseconds since 1970.
    package var at: Int64

    package init(how: How, side: QuarantinedChange.Side?, person: String, reason: String?, at: Int64) {
        self.how = how
        self.side = side
        self.person = person
        self.reason = reason
        self.at = at
    }
}

/// A person's wish to give rows the values of one side.
package struct QuarantineOrder: Hashable, Sendable {
    package var ids: [Int]
    /// nil: the canary's of its own writes, stable's of transactions that were kept out; of conflicts it must be said.
    package var side: QuarantinedChange.Side?
    /// Only these; empty: the entry's column, else those in which the sides differ.
    package var columns: [String]
    package var isWholeRow: Bool
    /// Entry -> its row as the person saw it: it must still be that.
    package var seen: [Int: QuarantinedRow]
    /// Also what was decided before.
    package var isAgain: Bool
    /// Everything is tried, nothing is kept.
    package var isRehearsal: Bool
    package var person: String
    package var reason: String?
    package var at: Instant

    package init(
        ids: [Int], side: QuarantinedChange.Side? = nil, columns: [String] = [], isWholeRow: Bool = false,
        seen: [Int: QuarantinedRow] = [:], isAgain: Bool = false, isRehearsal: Bool = false, person: String,
        reason: String? = nil, at: Instant
    ) {
        self.ids = ids
        self.side = side
        self.columns = columns
        self.isWholeRow = isWholeRow
        self.seen = seen
        self.isAgain = isAgain
        self.isRehearsal = isRehearsal
        self.person = person
        self.reason = reason
        self.at = at
    }
}

/// One row that a decision wrote.
package struct QuarantineWrite: Hashable, Sendable, Codable {
    package enum Operation: String, Hashable, Sendable, Codable { case insert, update, delete }
    package var operation: Operation
    package var table: String
    package var key: [String: String?]
    /// nil: there was no such row.
    package var from: [String: String?]?
    /// With what triggers made of it; nil: there is none any more.
    package var to: [String: String?]?

    package init(
        operation: Operation, table: String, key: [String: String?], from: [String: String?]?, to: [String: String?]?
    ) {
        self.operation = operation
        self.table = table
        self.key = key
        self.from = from
        self.to = to
    }
}
