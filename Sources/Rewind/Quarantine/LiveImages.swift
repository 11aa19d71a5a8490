// What live's rows were right before writes that may be kept out of the data: an UPDATE in the stream says what a row became,
// not what it was. Known from the restored database before a batch is merged into it, and from the batch itself:
//
//     live's row before a write  =  the last image in the batch, else what the merge knows of live, else the clone's row

import Merge
import Ports
import Postgres
import Releases

struct LiveImages: Sendable {
    private struct Place: Hashable {
        var transaction: UInt64
        var change: Int
    }

    /// Column -> value, of the changes of one batch.
    private var before: [Place: [String: Value]] = [:]

    /// Nothing is known.
    init() {}

    /// - Parameter connection: of the restored database, which has everything up to the batch and nothing of it.
    init(
        _ batch: [RecordedTransaction], _ schema: CloneSchema, _ policy: Policy.DataRollback, _ connection: Connection
    ) async throws {
        guard policy.writes == .stable else { return }
        var ids: Set<RowID> = []
        for transaction in batch where policy.mayKeepOut(transaction) {
            for change in transaction.changes {
                if let id = Self.touched(change, schema)?.old { ids.insert(id) }
            }
        }
        if ids.isEmpty { return }
        var live = try await Self.rows(ids, schema, connection)
        for transaction in batch {
            for (number, change) in transaction.changes.enumerated() {
                if case .truncate(let relations, _, _) = change {
                    let tables = Set(relations.compactMap { schema[TableName($0)]?.id })
                    live = live.filter { !tables.contains($0.key.table) }
                }
                guard let (old, new, values) = Self.touched(change, schema) else { continue }
                let row = old.flatMap { live[$0] }
                if let row, policy.mayKeepOut(transaction) {
                    before[Place(transaction: transaction.commitLSN.rawValue, change: number)] = row
                }
                if let old { live[old] = nil }
                if let new, ids.contains(new) {
                    live[new] = (row ?? [:]).merging(values.filter { $0.value != .unchanged }) { $1 }
                }
            }
        }
    }

    /// - Returns: nil when it is not known or there was none.
    func row(before change: Int, of transaction: RecordedTransaction) -> [String: String?]? {
        before[Place(transaction: transaction.commitLSN.rawValue, change: change)]?.mapValues(\.shown)
    }

    /// - Returns: nil for TRUNCATE, and for tables without a key.
    private static func touched(
        _ change: RecordedChange, _ schema: CloneSchema
    ) -> (old: RowID?, new: RowID?, values: [String: Value])? {
        let (relation, old, new): (RelationDefinition, [TupleValue]?, [TupleValue]?) =
            switch change {
            case .insert(let relation, let new): (relation, nil, new)
            case .update(let relation, let old, let new): (relation, old?.values ?? new, new)
            case .delete(let relation, let old): (relation, old.values, nil)
            case .truncate:
                (RelationDefinition(oid: 0, schema: "", table: "", replicaIdentity: .nothing, columns: []), nil, nil)
            }
        guard let table = schema[TableName(relation)], !table.key.isEmpty else { return nil }
        func named(_ values: [TupleValue]) -> [String: Value] {
            Dictionary(zip(relation.columns, values).map { ($0.name, Value($1)) }) { first, _ in first }
        }
        func id(_ values: [TupleValue]) -> RowID? {
            let named = named(values)
            let key = table.key.compactMap { named[table.columns[$0].name] }
            return key.count == table.key.count ? RowID(table: table.id, key: key) : nil
        }
        return (old.flatMap(id), new.flatMap(id), new.map(named) ?? [:])
    }

    private static func rows(
        _ ids: Set<RowID>, _ schema: CloneSchema, _ connection: Connection
    ) async throws -> [RowID: [String: Value]] {
        var live: [RowID: [String: Value]] = [:]
        for (table, ids) in Dictionary(grouping: ids, by: { schema[$0.table] }) {
            func named(_ row: Row) -> [String: Value] {
                Dictionary(zip(table.columns.map(\.name), row)) { first, _ in first }
            }
            var list = table.list(table.key)
            var keys = ArrayText()
            var byKey: [String: RowID] = [:]
            for id in ids {
                list.append(id.key)
                let text = try id.key.arrayText()
                keys.append(Value(text))
                byKey[text] = id
            }
            let rows = try await connection.query(
                "SELECT \(table.listed("t")) FROM \(list.from) JOIN ONLY \(table.name.quoted) t ON \(table.matchesKey(list))",
                try list.parameters())
            for values in rows.rows {
                let row = Row(values[...])
                live[RowID(table: table.id, key: table.key.map { row[$0] })] = named(row)
            }
            // By the digest, which is the records' key.
            let tainted = try await connection.query(
                """
                SELECT m.key, m.live FROM unnest($1::text[]) k JOIN perch.merge_taint m
                  ON m.digest = sha256(convert_to('\(table.id.rawValue) ' || k, 'UTF8'))
                """, [try keys.text()])
            for record in tainted.rows {
                guard let id = record[0].flatMap({ byKey[$0] }) else { continue }
                live[id] = record[1].map { named(Row(arrayText: $0)) }
            }
        }
        return live
    }
}

extension Policy.DataRollback {
    func mayKeepOut(_ transaction: RecordedTransaction) -> Bool {
        transaction.origin == .canary || transaction.origin == .neither && unattributed == .canary || merge == .cascade
    }
}
