// Puts back what a heal changed, all of it in one transaction or nothing: rows that somebody wrote since are named, and then
// nothing is done unless they are to be left out. What heal wrote down goes with it, so it can be done once.

import Ports
import Postgres
import Releases

import struct Foundation.Data
import class Foundation.JSONDecoder

struct HealUndo: Sendable {
    /// As ``HealedRows`` wrote it down; texts by column.
    private struct Line {
        var table: RestoredTable
        var key: [String: String?]
        var before: [String: String?]?
        var after: [String: String?]?
        var copies: Int

        var place: String {
            let values = key.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value ?? "NULL")" }
            return "\(table.name) (\(values.joined(separator: ", ")))"
        }
    }

    let healed: HealedRows
    /// Of live, with ``Replay/session``; for this alone.
    let live: Connection

    /// - Parameters:
    ///   - skipsChanged: rows that somebody wrote since stay as they are.
    ///   - isRehearsal: nothing is written.
    func run(skipsChanged: Bool, isRehearsal: Bool) async throws(Failure) -> HealUndone {
        do {
            try await live.execute("BEGIN")
            let undone = try await write(skipsChanged: skipsChanged, isRehearsal: isRehearsal)
            try await live.execute(isRehearsal ? "ROLLBACK" : "DROP TABLE \(healed.table); COMMIT")
            return undone
        } catch {
            try? await live.execute("ROLLBACK")
            if let failure = error as? Failure { throw failure }
            throw Failure(
                "cannot undo the heal of \(healed.release): \(error)", hint: "nothing was changed",
                isTransient: (error as? PostgresError)?.serverError == nil)
        }
    }

    private func write(skipsChanged: Bool, isRehearsal: Bool) async throws -> HealUndone {
        guard try await live.isTrue("SELECT to_regclass($1) IS NOT NULL", [healed.table]) else {
            throw Failure(
                "there is nothing to undo of \(healed.release): no rows were healed, or their time is over")
        }
        try await live.execute("LOCK TABLE \(healed.table) IN EXCLUSIVE MODE")
        let tables = try await RestoredTables.read(live)
        var undone = HealUndone()
        var touched: Set<TableName> = []
        for line in try await lines(tables) {
            if try await write(line) { undone.rows += line.copies } else { undone.changedSince.append(line.place) }
            touched.insert(line.table.name)
        }
        if !undone.changedSince.isEmpty, !skipsChanged, !isRehearsal {
            let count = undone.changedSince.count
            throw Failure(
                "\(count) rows were written since they were healed: \(listed(undone.changedSince))",
                hint: "nothing was changed; look at \(healed.table), or leave those rows as they are: --skip-changed")
        }
        if !isRehearsal { try await OrphanCheck(connection: live, tables: tables).run(touched) }
        return undone
    }

    /// The last change first.
    private func lines(_ tables: RestoredTables) async throws -> [Line] {
        let found = try await live.query(
            "SELECT schema, \"table\", key, before, after, copies FROM \(healed.table) ORDER BY id DESC")
        return try found.rows.map { row in
            let name = TableName(schema: row[0] ?? "", table: row[1] ?? "")
            guard let table = tables[name] else {
                throw Failure("table \(name) is gone, so its rows cannot be put back", hint: "nothing was changed")
            }
            func object(_ text: String?) throws -> [String: String?]? {
                try text.map { try JSONDecoder().decode([String: String?].self, from: Data($0.utf8)) }
            }
            return Line(
                table: table, key: try object(row[2]) ?? [:], before: try object(row[3]), after: try object(row[4]),
                copies: row[5].flatMap { Int($0) } ?? 1)
        }
    }

    /// - Returns: false when the row is not as heal left it.
    private func write(_ line: Line) async throws -> Bool {
        var statement = Statement(table: line.table)
        let name = line.table.name.quoted
        switch (line.before, line.after) {
        case (let before?, let after?):
            let assignments = before.keys.sorted().map {
                "\(quoteIdentifier($0)) = \(statement.value($0, before[$0]!))"
            }
            let condition = statement.matches(line.key) + " AND " + statement.shows(after)
            statement.sql = "UPDATE ONLY \(name) t SET \(assignments.joined(separator: ", ")) WHERE \(condition)"
        case (nil, let after?):
            statement.sql = """
                DELETE FROM ONLY \(name) WHERE ctid IN (
                  SELECT t.ctid FROM ONLY \(name) t WHERE \(statement.shows(after)) LIMIT \(line.copies) FOR UPDATE)
                """
        case (let before?, nil):
            let columns = before.keys.sorted()
            let values = columns.map { statement.value($0, before[$0]!) }
            statement.sql = """
                INSERT INTO \(name) (\(columns.map(quoteIdentifier).joined(separator: ", "))) OVERRIDING SYSTEM VALUE
                SELECT \(values.joined(separator: ", ")) FROM generate_series(1, \(line.copies)) ON CONFLICT DO NOTHING
                """
        case (nil, nil): return true
        }
        return try await live.query(statement.sql, statement.parameters).affected == line.copies
    }

    /// SQL in the making, with the values that it has so far.
    private struct Statement {
        let table: RestoredTable
        var sql = ""
        var parameters: [String?] = []

        init(table: RestoredTable) { self.table = table }

        /// A value of a column's type.
        mutating func value(_ column: String, _ text: String?) -> String {
            parameters.append(text)
            let type = table.columns.first { $0.name == column }?.type ?? "text"
            return "$\(parameters.count)::\(type)"
        }

        mutating func matches(_ key: [String: String?]) -> String {
            key.sorted { $0.key < $1.key }.map { "t.\(quoteIdentifier($0.key)) = \(value($0.key, $0.value))" }
                .joined(separator: " AND ")
        }

        /// The columns read so; works for types without equality too.
        mutating func shows(_ row: [String: String?]) -> String {
            let terms = row.sorted { $0.key < $1.key }.map { column, text in
                guard let text else { return "num_nulls(t.\(quoteIdentifier(column))) = 1" }
                parameters.append(text)
                return "num_nulls(t.\(quoteIdentifier(column))) = 0 "
                    + "AND format('%s', t.\(quoteIdentifier(column))) = $\(parameters.count)::text"
            }
            return terms.isEmpty ? "true" : terms.joined(separator: " AND ")
        }
    }
}
