// Whether every row of the restored database finds what it refers to. The replaying session checks no foreign keys: the
// merge keeps them, and this looks whether it did, also at those it does not follow. Only tables in which live and the
// restored database differ can have a reference that leads nowhere.

import Ports
import Postgres

struct OrphanCheck {
    /// Of the restored database.
    let connection: Connection
    let tables: RestoredTables

    private struct Key {
        var name: String
        var child: TableName
        var parent: TableName
        var childColumns: [String]
        var parentColumns: [String]
        var equalities: [String]
    }

    /// - Parameter differing: tables with rows that are not as in live.
    /// - Throws: names the first foreign key with an orphan, and the orphan.
    func run(_ differing: Set<TableName>) async throws(Failure) {
        let suspects = Set(differing.flatMap(namesOfTree))
        if suspects.isEmpty { return }
        do {
            for key in try await keys() where suspects.contains(key.child) || suspects.contains(key.parent) {
                guard tables[key.child] != nil else { continue }
                if let orphan = try await orphan(of: key) {
                    throw Failure(
                        "\(key.child) would refer to a row that \(key.parent) does not have: \(key.name), "
                            + "(\(key.childColumns.joined(separator: ", "))) = (\(orphan))",
                        hint: "live data is untouched; look at these rows, then roll back with rollback.mode: keep")
                }
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot check the foreign keys of the restored database: \(error)", isTransient: true)
        }
    }

    /// A foreign key is declared on a partition's root: a table's own name, its root's, and those of its partitions.
    private func namesOfTree(_ name: TableName) -> [TableName] {
        [name] + (tables[name]?.root.map { [$0] } ?? [])
    }

    private func keys() async throws(PostgresError) -> [Key] {
        let result = try await connection.query(
            """
            SELECT k.conname, cn.nspname, c.relname, pn.nspname, p.relname, ca.attname, pa.attname, k.oid,
              (SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) FROM pg_operator o JOIN pg_namespace n
                ON n.oid = o.oprnamespace WHERE o.oid = u.equality)
            FROM pg_constraint k
              JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
              JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
              CROSS JOIN LATERAL unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY AS u(child, parent, equality, place)
              JOIN pg_attribute ca ON ca.attrelid = c.oid AND ca.attnum = u.child
              JOIN pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = u.parent
            WHERE k.contype = 'f' AND k.conparentid = 0 AND k.convalidated AND c.relpersistence = 'p'
            ORDER BY k.oid, u.place
            """)
        var keys: [Key] = []
        var last: String?
        for row in result.rows {
            let values = row.map { $0 ?? "" }
            if values[7] != last {
                last = values[7]
                keys.append(
                    Key(
                        name: values[0], child: TableName(schema: values[1], table: values[2]),
                        parent: TableName(schema: values[3], table: values[4]), childColumns: [], parentColumns: [],
                        equalities: []))
            }
            keys[keys.count - 1].childColumns.append(values[5])
            keys[keys.count - 1].parentColumns.append(values[6])
            keys[keys.count - 1].equalities.append(values[8])
        }
        return keys
    }

    /// - Returns: the values by which it refers.
    private func orphan(of key: Key) async throws(PostgresError) -> String? {
        let only = tables[key.child]?.isPartitioned == true ? "" : "ONLY "
        let onlyParent = tables[key.parent]?.isPartitioned == true ? "" : "ONLY "
        let names = key.childColumns.map { "child.\(quoteIdentifier($0))" }
        let isSet = names.map { "\($0) IS NOT NULL" }.joined(separator: " AND ")
        let refers = names.indices.map {
            "parent.\(quoteIdentifier(key.parentColumns[$0])) \(key.equalities[$0]) \(names[$0])"
        }.joined(separator: " AND ")
        let found = try await connection.query(
            """
            SELECT concat_ws(', ', \(names.joined(separator: ", "))) FROM \(only)\(key.child.quoted) child
            WHERE \(isSet) AND NOT EXISTS (SELECT FROM \(onlyParent)\(key.parent.quoted) parent WHERE \(refers)) LIMIT 1
            """)
        return found.rows.first.map { $0[0] ?? "" }
    }
}
