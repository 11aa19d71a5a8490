// Which rows of a batch the restored database does not take, and which rows of its own are in their way. Everything is
// tried a row at a time and rolled back.

import Merge
import Ports
import Postgres

struct CloneRefusals: Sendable {
    let writer: CloneWriter
    private var connection: Connection { writer.connection }

    init(_ writer: CloneWriter) { self.writer = writer }

    /// - Returns: rows that were refused with those they conflict with, none when each is taken by itself.
    func find(_ batch: NetBatch) async throws -> [RowID] {
        var found: [RowID] = []
        do {
            try await connection.execute("BEGIN; SET CONSTRAINTS ALL IMMEDIATE")
            for statement in try writer.rows(batch.tables.map(\.withoutNewRows)) { try await run(statement) }
            for net in batch.tables {
                let table = writer.schema[net.table]
                for update in net.updates {
                    for statement in try writer.updates(table, [update]) {
                        guard let error = try await attempt(statement) else { continue }
                        let row = try await whole(update, table)
                        found += [update.row] + (try await others(than: row, update.row, table, error))
                    }
                }
                for row in net.inserts + net.copiesAdded.map(\.row) {
                    let id = RowID(table: table.id, key: table.key.isEmpty ? row : table.key.map { row[$0] })
                    guard let error = try await attempt(try writer.insert(table, [row])) else { continue }
                    found += [id] + (try await others(than: row, id, table, error))
                }
            }
            try await connection.execute("ROLLBACK")
        } catch {
            try? await connection.execute("ROLLBACK")
            throw error
        }
        return found
    }

    private func run(_ statement: CloneStatement) async throws {
        _ = try await connection.query(statement.sql, statement.parameters)
    }

    private func attempt(_ statement: CloneStatement) async throws -> ServerError? {
        try await connection.execute("SAVEPOINT perch_row")
        do {
            try await run(statement)
            try await connection.execute("RELEASE perch_row")
            return nil
        } catch let error as PostgresError {
            guard let server = error.serverError, isRefusal(server.sqlState) else { throw error }
            try await connection.execute("ROLLBACK TO perch_row; RELEASE perch_row")
            return server
        }
    }

    /// The row with the columns that the update leaves as they are.
    private func whole(_ update: NetUpdate, _ table: CloneTable) async throws -> Row {
        var list = table.list(table.key)
        list.append(update.row.key)
        let found = try await connection.query(
            "SELECT \(table.listed("t")) FROM \(list.from) JOIN ONLY \(table.name.quoted) t ON \(table.matchesKey(list))",
            try list.parameters())
        guard let row = found.rows.first else { return update.values }
        return zip(update.values, Row(row[...])).map { $0 == .unchanged ? $1 : $0 }
    }

    /// Rows that are in the way of one because of a unique index or an exclusion constraint.
    private func others(
        than row: Row, _ id: RowID, _ table: CloneTable, _ error: ServerError
    ) async throws -> [RowID] {
        guard ["23505", "23P01"].contains(error.sqlState), let constraint = error.constraint else { return [] }
        let parts = try await connection.query(
            """
            SELECT pg_get_indexdef(i.indexrelid, a.attnum, false), coalesce(
                (SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
                 FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
                 WHERE o.oid = k.conexclop[a.attnum]), \(RestoredTables.equality(index: "i", place: "a.attnum"))),
              pg_get_expr(i.indpred, i.indrelid)
            FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
              JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum <= i.indnkeyatts
              LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype = 'x'
            WHERE i.indrelid = $1::oid AND x.relname = $2 ORDER BY a.attnum
            """, ["\(table.id.rawValue)", constraint])
        guard !parts.rows.isEmpty else { return [] }
        var list = table.list(table.all)
        list.append(row)
        let named = table.all.map { "\(list.value($0)) AS \(table.quoted($0))" }.joined(separator: ", ")
        let wanted = parts.rows.enumerated().map { "(\($1[0]!)) AS perch_\($0)" }.joined(separator: ", ")
        var terms = parts.rows.enumerated().map { "(\($1[0]!)) \($1[1] ?? "=") mine.perch_\($0)" }
        if let predicate = parts.rows[0][2] { terms.append("(\(predicate))") }
        let found = try await connection.query(
            """
            SELECT theirs.* FROM (
              SELECT \(wanted) FROM (SELECT \(named) FROM \(list.from)) AS row
            ) AS mine CROSS JOIN LATERAL (
              SELECT \(table.listed("own")) FROM ONLY \(table.name.quoted) own WHERE \(terms.joined(separator: " AND "))
            ) AS theirs
            """, try list.parameters())
        return found.rows.map { values in
            let row = Row(values[...])
            return RowID(table: table.id, key: table.key.isEmpty ? row : table.key.map { row[$0] })
        }.filter { $0 != id }
    }
}

extension NetTable {
    fileprivate var withoutNewRows: NetTable {
        var table = self
        table.updates = []
        table.inserts = []
        table.copiesAdded = []
        return table
    }
}
