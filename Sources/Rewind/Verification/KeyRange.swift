// Parts of a large table, each compared by itself, so that a comparison that was cut off goes on where it was.

import Merge
import Postgres

/// Rows behind one key up to another.
struct KeyRange: Hashable, Sendable {
    /// Rows of a part.
    static let rows = 200_000

    /// Of the key, in its order.
    let columns: [RestoredTable.Column]
    /// The key's values as text; nil: from the first row.
    var after: [String?]?
    /// nil: to the last row, also those beyond the last of the clone.
    var upTo: [String?]?

    /// Over a FROM item named `whole`; parameters begin with `first`.
    func condition(first: Int) -> String {
        let names = "(\(columns.map { "whole.\(quoteIdentifier($0.name))" }.joined(separator: ", ")))"
        var terms: [String] = []
        var number = first
        for (comparison, bound) in [(">", after), ("<=", upTo)] where bound != nil {
            let values = columns.indices.map { "$\(number + $0)::\(columns[$0].type)" }
            terms.append("\(names) \(comparison) (\(values.joined(separator: ", ")))")
            number += columns.count
        }
        return terms.isEmpty ? "true" : terms.joined(separator: " and ")
    }

    var parameters: [String?] { (after ?? []) + (upTo ?? []) }

    /// The next part of a table; nil when this was the last.
    var next: KeyRange? { upTo.map { KeyRange(columns: columns, after: $0, upTo: nil) } }

    /// Ends the part after so many rows of the clone, when there are more.
    mutating func cut(_ table: RestoredTable, after rows: Int, on clone: Connection) async throws(PostgresError) {
        let names = columns.map { "whole.\(quoteIdentifier($0.name))" }.joined(separator: ", ")
        let bound = try await clone.query(
            """
            select \(names) from only \(table.name.quoted) whole where \(condition(first: 1))
            order by \(names) offset \(rows - 1) limit 1
            """, parameters)
        upTo = bound.rows.first.map { Array($0) }
    }
}

/// How far a table was compared, kept in the clone itself.
struct VerifiedUpTo: Sendable {
    let clone: Connection

    /// - Returns: nil when nothing of the table was compared.
    func read(_ table: RestoredTable) async throws(PostgresError) -> (key: [String?]?, rows: Int64, isWhole: Bool)? {
        let found = try await clone.query(
            "select up_to, rows, is_whole from perch.merge_verified where \"table\" = $1::bigint", ["\(table.oid)"])
        guard let row = found.rows.first else { return nil }
        let key = row[0].map { text in [Value](arrayText: text).map(\.shown) }
        return (key, row[1].flatMap { Int64($0) } ?? 0, row[2] == "t")
    }

    /// - Parameters:
    ///   - range: equal in both.
    ///   - rows: of the table so far.
    func note(_ table: RestoredTable, _ range: KeyRange?, rows: Int64) async throws {
        let key = try range?.upTo.map { bound in try bound.map { $0.map { Value($0) } ?? .null }.arrayText() }
        _ = try await clone.query(
            """
            insert into perch.merge_verified values ($1::bigint, $2, $3::bigint, $4::boolean)
            on conflict ("table") do update set up_to = excluded.up_to, rows = excluded.rows, is_whole = excluded.is_whole
            """, ["\(table.oid)", key, "\(rows)", key == nil ? "t" : "f"])
    }
}
