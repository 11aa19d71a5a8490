// The rows of one statement. Pure: no clock, no I/O.

/// Rows in PostgreSQL's text format; nil is NULL.
package struct QueryResult: Hashable, Sendable {
    package var columns: [String]
    package var rows: [[String?]]
    /// Rows inserted, updated, deleted, selected or copied; 0 for statements that count none.
    package var affected: Int

    package init(columns: [String] = [], rows: [[String?]] = [], affected: Int = 0) {
        self.columns = columns
        self.rows = rows
        self.affected = affected
    }

    /// The value in the first column of that name.
    ///
    /// - Precondition: the row and the column are there; to ask for others is a mistake in our own SQL.
    package subscript(row: Int, column: String) -> String? {
        guard let index = columns.firstIndex(of: column) else {
            preconditionFailure("no column '\(column)' in a result with \(columns.joined(separator: ", "))")
        }
        return rows[row][index]
    }

    /// The first column of the first row; nil when it is NULL or there is no row.
    package var scalar: String? { rows.first?.first ?? nil }
}
