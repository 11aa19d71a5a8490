// What a person sees who has to decide about a finding: values side by side.

/// One column of a finding's row.
package struct ComparedValue: Hashable, Sendable, Codable {
    package var column: String
    /// The clone's before; nil where it had no such row. So with the others.
    package var saved: Value?
    /// Live's before stable's change: the canary's.
    package var live: Value?
    /// Live's after stable's change.
    package var stable: Value?
}

extension Schema {
    package subscript(table: TableID) -> TableSchema? { tables[table]?.schema }

    /// The finding's column, or every column in which its images differ; empty when the table is not known.
    package func compared(_ finding: Finding) -> [ComparedValue] {
        guard let columns = self[finding.row.table]?.columns else { return [] }
        let images = [finding.saved, finding.live, finding.stable].filter { $0 != nil }
        return columns.indices.compactMap { position in
            let values = images.map { $0![position] }
            let isShown =
                finding.column.map { $0 == columns[position].name }
                ?? (images.count < 2 || values.contains { $0 != values[0] })
            guard isShown else { return nil }
            return ComparedValue(
                column: columns[position].name, saved: finding.saved?[position], live: finding.live?[position],
                stable: finding.stable?[position])
        }
    }
}
