// Rows of which only columns differ that nothing else hangs on: compared and set, many with one statement that waits for
// nobody. A row is written only if the transaction that wrote it last is the one that the engine knows; comparing values
// would not do, because stable may have changed a row and changed it back while the clone's moved on.

import Merge
import Ports
import Postgres

struct PlainRows: Sendable {
    let live: Connection
    let schema: CloneSchema
    let healed: HealedRows

    /// One transaction for rows of one table. Those that are locked or that somebody wrote meanwhile are passed over.
    ///
    /// - Parameter mark: makes the transaction heal's.
    /// - Returns: rows healed.
    func heal(_ table: CloneTable, _ taints: [TaintedRow], mark: String) async throws -> Int {
        var done = 0
        var statements: [(String, [String?])] = []
        for (columns, taints) in byColumns(taints) {
            let statement = try statement(table, columns, taints)
            statements.append((statement.sql, statement.parameters))
        }
        let begin: [(String, [String?])] = [
            ("BEGIN", []), ("SELECT pg_catalog.pg_logical_emit_message(true, $1, '')", [mark]),
        ]
        do {
            let results = try await live.pipeline(begin + statements + [("COMMIT", [])], prepared: true)
            for result in results.dropFirst(2).dropLast() { done += result.affected }
        } catch {
            try? await live.execute("ROLLBACK")
            throw error
        }
        return done
    }

    /// A statement writes the same columns of all its rows.
    private func byColumns(_ taints: [TaintedRow]) -> [([Int], [(TaintedRow, Row)])] {
        var groups: [[Int]: [(TaintedRow, Row)]] = [:]
        for taint in taints {
            guard let update = schema.healing(taint) else { continue }
            let columns = update.values.indices.filter { update.values[$0] != .unchanged }
            groups[columns, default: []].append((taint, update.values))
        }
        return groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }

    private func statement(
        _ table: CloneTable, _ columns: [Int], _ rows: [(taint: TaintedRow, values: Row)]
    ) throws(Failure) -> CloneStatement {
        let text = ValueList.Column(type: "text", travelsInArrays: true)
        let json = ValueList.Column(type: "jsonb", travelsInArrays: true)
        var list = ValueList(table.list(table.key + columns).columns + [text, json, json, json])
        for (taint, values) in rows {
            let images = HealedRows.Line(table: table, id: taint.id, before: taint.live, after: taint.clone).images
            list.append(
                taint.id.key + columns.map { values[$0] } + [Value("\(taint.xid)")]
                    + images.map { $0.map { Value($0) } ?? .null })
        }
        let xid = table.key.count + columns.count
        let assignments = columns.enumerated().map { "\(table.quoted($1)) = \(list.value(table.key.count + $0))" }
        return CloneStatement(
            sql: """
                WITH v AS MATERIALIZED (SELECT * FROM \(list.from)),
                  locked AS MATERIALIZED (
                    SELECT t.ctid AS place, v.n FROM v JOIN ONLY \(table.name.quoted) t
                      ON \(table.matchesKey(list)) AND t.xmin = v.c\(xid)::xid
                    FOR NO KEY UPDATE OF t SKIP LOCKED),
                  written AS (
                    UPDATE ONLY \(table.name.quoted) t SET \(assignments.joined(separator: ", "))
                    FROM v JOIN locked USING (n) WHERE t.ctid = locked.place RETURNING v.n)
                INSERT INTO \(healed.table) (schema, "table", key, before, after)
                SELECT \(quoteLiteral(table.name.schema)), \(quoteLiteral(table.name.table)),
                  v.c\(xid + 1), v.c\(xid + 2), v.c\(xid + 3)
                FROM v JOIN written USING (n)
                """, parameters: try list.parameters(), rows: nil)
    }
}
