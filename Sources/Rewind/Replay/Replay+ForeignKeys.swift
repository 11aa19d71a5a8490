// Rows of the restored database that refer to a row it does not have: a stable child of a canary's parent, or of a parent
// that stable deleted when in live no child was left. Replay checks no foreign keys, so they are looked for afterwards,
// taken out and put in quarantine, again and again until none is left, for a row taken out may be a parent itself.

import Ports
import Postgres
import Releases

/// A foreign key between tables, as `pg_constraint` has it.
private struct ForeignKey {
    var name: String
    var child: TableName
    var parent: TableName
    var childColumns: [String]
    var parentColumns: [String]
}

extension Replay {
    /// - Returns: how many rows were taken out.
    mutating func removeOrphans() async throws(Failure) -> Int {
        guard walk.writes == .stable else { return 0 }
        do {
            let keys = try await foreignKeys()
            // Only where live and the restored database differ can a reference lead nowhere.
            var suspects = Set(walk.ledger.tables.filter { $0.value.isTainted }.flatMap { namesOfTree($0.key) })
            var removed = 0
            while !suspects.isEmpty {
                var next: Set<TableName> = []
                for key in keys where suspects.contains(key.child) || suspects.contains(key.parent) {
                    let count = try await removeOrphans(of: key)
                    removed += count
                    if count > 0 { next.formUnion(namesOfTree(key.child)) }
                }
                suspects = next
            }
            return removed
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot check the foreign keys of the restored database: \(error)", isTransient: true)
        }
    }

    /// A foreign key is declared on a partition's root: a table's own name, its root's, and those of its partitions.
    private func namesOfTree(_ name: TableName) -> [TableName] {
        guard let table = tables[name] else { return [name] }
        if table.isPartitioned { return [name] + tables.byName.values.filter { $0.root == name }.map(\.name) }
        return [name] + (table.root.map { [$0] } ?? [])
    }

    private func foreignKeys() async throws(PostgresError) -> [ForeignKey] {
        let result = try await connection.query(
            """
            SELECT k.conname, cn.nspname, c.relname, pn.nspname, p.relname, ca.attname, pa.attname, k.oid
            FROM pg_constraint k
              JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
              JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
              CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS u(child, parent, place)
              JOIN pg_attribute ca ON ca.attrelid = c.oid AND ca.attnum = u.child
              JOIN pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = u.parent
            WHERE k.contype = 'f' AND k.conparentid = 0 AND c.relpersistence = 'p'
            ORDER BY k.oid, u.place
            """)
        var keys: [ForeignKey] = []
        var lastOID: String?
        for row in result.rows {
            let values = row.map { $0 ?? "" }
            if values[7] != lastOID {
                lastOID = values[7]
                keys.append(
                    ForeignKey(
                        name: values[0], child: TableName(schema: values[1], table: values[2]),
                        parent: TableName(schema: values[3], table: values[4]), childColumns: [], parentColumns: []))
            }
            keys[keys.count - 1].childColumns.append(values[5])
            keys[keys.count - 1].parentColumns.append(values[6])
        }
        return keys
    }

    private mutating func removeOrphans(of key: ForeignKey) async throws -> Int {
        guard tables[key.child] != nil else { return 0 }
        let only = tables[key.child]?.isPartitioned == true ? "" : "ONLY "
        let onlyParent = tables[key.parent]?.isPartitioned == true ? "" : "ONLY "
        let isSet = key.childColumns.map { "child.\(quoteIdentifier($0)) IS NOT NULL" }.joined(separator: " AND ")
        let refers = zip(key.childColumns, key.parentColumns).map {
            "parent.\(quoteIdentifier($1)) = child.\(quoteIdentifier($0))"
        }.joined(separator: " AND ")
        let places = try await connection.query(
            """
            SELECT n.nspname, c.relname, child.ctid,
              concat_ws(', ', \(key.childColumns.map { "child.\(quoteIdentifier($0))" }.joined(separator: ", ")))
            FROM \(only)\(key.child.quoted) child
              JOIN pg_class c ON c.oid = child.tableoid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE \(isSet) AND NOT EXISTS (SELECT FROM \(onlyParent)\(key.parent.quoted) parent WHERE \(refers))
            ORDER BY 1, 2, 3
            """)
        guard !places.rows.isEmpty else { return 0 }
        var removals: [ReplayProgress.Removal] = []
        do {
            try await connection.execute("BEGIN")
            for place in places.rows {
                let name = TableName(schema: place[0]!, table: place[1]!)
                guard let table = tables[name] else { continue }
                let columns = table.writtenColumns.map { quoteIdentifier($0.name) }.joined(separator: ", ")
                let row = try await connection.queryPrepared(
                    "DELETE FROM ONLY \(name.quoted) WHERE ctid = $1 RETURNING \(columns)", [place[2]])
                let removal = ReplayProgress.Removal(
                    position: position, table: name, row: row.rows[0],
                    detail:
                        "\(key.name): (\(key.childColumns.joined(separator: ", "))) = (\(place[3] ?? "")) is not in "
                        + "the restored \(key.parent)")
                _ = try await connection.queryPrepared(
                    ReplayProgress.remove,
                    [position.description, name.schema, name.table, arrayLiteral(removal.row), removal.detail])
                removals.append(removal)
            }
            try await connection.execute("COMMIT")
        } catch {
            try? await connection.execute("ROLLBACK")
            throw error
        }
        for removal in removals { try noteRemoval(removal) }
        return removals.count
    }
}
