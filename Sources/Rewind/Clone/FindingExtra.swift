// What each side had written when they met: beside a finding a person sees the row without the canary, the canary's and
// stable's. Pure: no clock, no I/O.

import Merge
import Ports
import Postgres

/// What a person wants to see beside a finding.
struct FindingExtra: Hashable, Sendable {
    /// Of stable's last change: `UPDATE`.
    var operation: String
    /// The row as the canary left it; nil when it left none, or none is known.
    var canary: Row?
    /// The row as stable's change made it; nil for a delete.
    var stable: Row?
    /// Of the last transaction, milliseconds since 1970.
    var committedAt: Int64

    /// - Parameter engine: as it was before the batch that made the findings.
    /// - Returns: one for each finding, in their order.
    static func of(
        _ findings: [Merge.Finding], _ transactions: ArraySlice<RecordedTransaction>,
        _ sources: ArraySlice<SourceTransaction>, _ schema: CloneSchema, _ engine: MergeEngine
    ) -> [FindingExtra] {
        if findings.isEmpty { return [] }
        let wanted = Set(findings.map(\.row) + findings.compactMap(\.movedFrom))
        var canary: [RowID: Row] = [:]
        /// Canary's and stable's row at each transaction that a finding names.
        var met: [UInt64: [RowID: (operation: String, canary: Row?, stable: Row?)]] = [:]
        for source in sources {
            for (place, change) in source.changes.enumerated() {
                guard let (kind, before, after) = schema.sides(change) else { continue }
                let operation = place > 0 && schema.isMove(source.changes[place - 1], change) ? "UPDATE" : kind
                guard let id = [after?.id, before].compactMap({ $0 }).first(where: wanted.contains) else { continue }
                if source.origin == .canary {
                    canary[id] = after?.row
                } else {
                    let left = canary[id] ?? before.flatMap { canary[$0] ?? engine.taint($0)?.live }
                    let image = left ?? engine.taint(id)?.live
                    met[source.commitLSN, default: [:]][id] = (
                        operation, image, after.map { filled($0.row, from: image) }
                    )
                }
            }
        }
        let committedAt = Dictionary(
            transactions.map { ($0.commitLSN.rawValue, $0.committedAt.millisecondsSince1970) }
        ) { first, _ in first }
        return findings.map { finding in
            let sides = met[finding.lastCommitLSN]?[finding.row]
            // A row that no change of the transaction named got live's values because of another.
            return FindingExtra(
                operation: sides?.operation ?? (finding.saved == nil ? "INSERT" : "UPDATE"),
                canary: sides == nil ? canary[finding.row] ?? engine.taint(finding.row)?.live : sides?.canary,
                stable: sides?.stable, committedAt: committedAt[finding.lastCommitLSN] ?? 0)
        }
    }

    private static func filled(_ row: Row, from base: Row?) -> Row {
        guard let base else { return row }
        return zip(row, base).map { $0 == .unchanged ? $1 : $0 }
    }
}

extension CloneSchema {
    /// Whether the two are one UPDATE that moves a row to another partition.
    fileprivate func isMove(_ change: Change, _ next: Change) -> Bool {
        guard case .delete(let source, _) = change, case .insert(let target, _) = next, source != target,
            let root = self[source].root
        else { return false }
        return self[target].root == root
    }

    /// - Returns: nil for a TRUNCATE.
    fileprivate func sides(_ change: Change) -> (operation: String, before: RowID?, after: (id: RowID, row: Row)?)? {
        switch change {
        case .insert(let table, let new): return ("INSERT", nil, (id(table, new), new))
        case .update(let table, let old, let new):
            let before = old.map { id(table, $0) } ?? id(table, new)
            let after = id(table, new)
            return ("UPDATE", before, (after.key.contains(.unchanged) ? before : after, new))
        case .delete(let table, let old): return ("DELETE", id(table, old), nil)
        case .truncate: return nil
        }
    }

    private func id(_ table: TableID, _ row: Row) -> RowID {
        let key = self[table].key
        return RowID(table: table, key: key.isEmpty ? row : key.map { row[$0] })
    }

    private func id(_ table: TableID, _ old: OldRow) -> RowID {
        switch old {
        case .key(let values): RowID(table: table, key: values)
        case .full(let row): id(table, row)
        }
    }
}
