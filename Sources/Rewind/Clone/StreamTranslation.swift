// Recorded transactions in the merge's terms: tables by the restored database's oids, values in the order of its columns.

import Merge
import Ports
import Postgres
import Releases

struct StreamTranslation: Sendable {
    /// How a relation of the stream lies over a table.
    private struct Layout: Sendable {
        var relation: RelationDefinition
        var table: CloneTable
        /// For each column of the table its place in the relation; nil when the relation does not have it any more.
        var places: [Int?]
        /// Places of the key's columns.
        var key: [Int]
    }

    let schema: CloneSchema
    /// All writes are wanted: nobody's are the canary's.
    let keepsAll: Bool
    private var layouts: [UInt32: Layout] = [:]

    init(_ schema: CloneSchema, keepsAll: Bool) {
        self.schema = schema
        self.keepsAll = keepsAll
    }

    /// - Throws: when the restored database has no such table or column, so the change has no place there.
    mutating func translate(_ transaction: RecordedTransaction) throws(Failure) -> SourceTransaction {
        var changes: [Change] = []
        changes.reserveCapacity(transaction.changes.count)
        for change in transaction.changes {
            if let translated = try translate(change, transaction.origin) { changes.append(translated) }
        }
        return SourceTransaction(
            xid: transaction.xid, commitLSN: transaction.commitLSN.rawValue, endLSN: transaction.endLSN.rawValue,
            origin: origin(transaction), changes: changes)
    }

    private func origin(_ transaction: RecordedTransaction) -> Origin {
        if keepsAll { return .stable }
        return switch transaction.origin {
        case .stable: .stable
        case .canary: .canary
        case .neither: .unattributed
        case .heal: .heal
        }
    }

    /// - Returns: nil for what the canary did to a table of its own.
    mutating func translate(_ change: RecordedChange, _ origin: RecordedOrigin) throws(Failure) -> Change? {
        switch change {
        case .insert(let relation, let new):
            guard let layout = try layout(relation, origin) else { return nil }
            return .insert(layout.table.id, new: try row(new, layout, mayBeUnchanged: false))
        case .update(let relation, let old, let new):
            guard let layout = try layout(relation, origin) else { return nil }
            return .update(
                layout.table.id, old: try old.map { old throws(Failure) in try self.old(old, layout) },
                new: try row(new, layout, mayBeUnchanged: true))
        case .delete(let relation, let old):
            guard let layout = try layout(relation, origin) else { return nil }
            return .delete(layout.table.id, old: try self.old(old, layout))
        case .truncate(let relations, _, _):
            var tables: [TableID] = []
            for relation in relations {
                if let layout = try layout(relation, origin) { tables.append(layout.table.id) }
            }
            return .truncate(tables)
        }
    }

    private mutating func layout(_ relation: RelationDefinition, _ origin: RecordedOrigin) throws(Failure) -> Layout? {
        if let known = layouts[relation.oid], known.relation == relation { return known }
        guard let table = schema[TableName(relation)] else {
            guard origin != .canary || keepsAll else { return nil }
            throw Failure(
                "table \(TableName(relation)) was recorded but is not in the snapshot",
                hint: "it was made after the snapshot; roll back with rollback.mode: keep and repair by hand")
        }
        let places = table.columns.map { column in relation.columns.firstIndex { $0.name == column.name } }
        let key = table.key.compactMap { places[$0] }
        let isIdentified = relation.replicaIdentity == .full || key.allSatisfy { relation.columns[$0].isKey }
        guard key.count == table.key.count, isIdentified || relation.replicaIdentity == .nothing else {
            throw Failure(
                "the replica identity of table \(table.name) changed while it was recorded",
                hint: "live data is untouched; use rollback.mode: keep and repair by hand")
        }
        let layout = Layout(relation: relation, table: table, places: places, key: key)
        layouts[relation.oid] = layout
        return layout
    }

    private func row(_ values: [TupleValue], _ layout: Layout, mayBeUnchanged: Bool) throws(Failure) -> Row {
        var row: Row = []
        row.reserveCapacity(layout.places.count)
        for (place, column) in zip(layout.places, layout.table.columns) {
            guard let place else {
                // An UPDATE leaves a column that is not there any more as it was.
                guard mayBeUnchanged else {
                    throw Failure(
                        "column \(column.name) of table \(layout.table.name) was dropped while it was recorded",
                        hint: "live data is untouched; use rollback.mode: keep and repair by hand")
                }
                row.append(.unchanged)
                continue
            }
            row.append(Value(values[place]))
        }
        return row
    }

    private func old(_ tuple: OldTuple, _ layout: Layout) throws(Failure) -> OldRow {
        switch tuple.kind {
        case .key: .key(layout.key.map { Value(tuple.values[$0]) })
        case .full: .full(try row(tuple.values, layout, mayBeUnchanged: false))
        }
    }
}

extension Value {
    init(_ value: TupleValue) {
        switch value {
        case .null: self = .null
        case .unchangedToast: self = .unchanged
        case .text(let bytes): self = .text(bytes)
        }
    }

    /// Readable even where it is not UTF-8; nil for NULL and for what was not sent.
    var shown: String? {
        guard case .text(let bytes) = self else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
