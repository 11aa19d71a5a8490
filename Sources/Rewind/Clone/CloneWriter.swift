// Writes a merged batch to the restored database, a statement for each table and kind of operation, in one transaction with
// what the merge has to remember:
//
//     empty -> delete -> update -> insert -> state, position and report | -> the engine takes the batch too

import Merge
import Ports
import Postgres

/// A statement on the way, with what it must find.
struct CloneStatement: Sendable {
    var sql: String
    var parameters: [String?]
    /// Rows it has to write; nil: as many as there are.
    var rows: Int?
}

struct CloneWriter: Sendable {
    let connection: Connection
    let schema: CloneSchema

    /// The constraint that a batch broke.
    struct Refusal: Error { var error: ServerError }

    /// - Parameter committedAt: by commit LSN, milliseconds since 1970; of the batch's transactions.
    /// - Throws: ``Refusal`` when the database does not take it, and then nothing was done; ``Failure`` when a statement
    ///   does not find its rows; ``PostgresError``.
    func write(_ batch: NetBatch, committedAt: [UInt64: Int64]) async throws {
        var statements = try rows(batch.tables)
        statements += try CloneState.statements(batch.state, committedAt: committedAt)
        statements.append(CloneStatement(sql: "SET CONSTRAINTS ALL IMMEDIATE", parameters: [], rows: nil))
        let pipeline =
            [("BEGIN", []), ("SET CONSTRAINTS ALL DEFERRED", [])] + statements.map { ($0.sql, $0.parameters) }
        do {
            let results = try await connection.pipeline(pipeline, prepared: true)
            for (statement, result) in zip(statements, results.dropFirst(2)) {
                if let rows = statement.rows, result.affected != rows {
                    throw Failure(
                        "\(rows) rows were to be written, \(result.affected) were there: \(statement.sql.prefix(200))",
                        hint: "snapshot and recording do not fit together; live data is untouched; "
                            + "use rollback.mode: keep")
                }
            }
            _ = try await connection.query("COMMIT")
        } catch {
            try? await connection.execute("ROLLBACK")
            guard let server = (error as? PostgresError)?.serverError, isRefusal(server.sqlState) else { throw error }
            throw Refusal(error: server)
        }
    }

    /// What the merge has to remember, by itself.
    func write(_ state: StateDelta) async throws {
        let statements = try CloneState.statements(state, committedAt: [:])
        let all = [("BEGIN", [])] + statements.map { ($0.sql, $0.parameters) } + [("COMMIT", [])]
        _ = try await connection.pipeline(all, prepared: true)
    }

    /// Everything but state and report.
    func rows(_ tables: [NetTable]) throws(Failure) -> [CloneStatement] {
        var statements = emptying(tables.filter(\.isEmptied).map(\.table))
        for net in tables {
            let table = schema[net.table]
            if !net.deletes.isEmpty { statements.append(try delete(table, net.deletes)) }
            statements += try updates(table, net.updates)
            if !net.inserts.isEmpty { statements.append(try insert(table, net.inserts)) }
            if !net.copiesRemoved.isEmpty { statements.append(try remove(table, net.copiesRemoved)) }
            if !net.copiesAdded.isEmpty { statements.append(try add(table, net.copiesAdded)) }
        }
        return statements
    }

    /// TRUNCATE refuses tables that others refer to, unless those are emptied with them.
    private func emptying(_ tables: [TableID]) -> [CloneStatement] {
        if tables.isEmpty { return [] }
        let names = tables.map { "ONLY \(schema[$0].name.quoted)" }
        if schema.isClosedUnderReferences(Set(tables)) {
            return [CloneStatement(sql: "TRUNCATE \(names.joined(separator: ", "))", parameters: [], rows: nil)]
        }
        return names.map { CloneStatement(sql: "DELETE FROM \($0)", parameters: [], rows: nil) }
    }

    func delete(_ table: CloneTable, _ ids: [RowID]) throws(Failure) -> CloneStatement {
        var list = table.list(table.key)
        for id in ids { list.append(id.key) }
        return CloneStatement(
            sql: "DELETE FROM ONLY \(table.name.quoted) t USING \(list.from) WHERE \(table.matchesKey(list))",
            parameters: try list.parameters(), rows: ids.count)
    }

    /// A statement for each set of columns that were sent.
    func updates(_ table: CloneTable, _ updates: [NetUpdate]) throws(Failure) -> [CloneStatement] {
        var groups: [[Int]: ValueList] = [:]
        var order: [[Int]] = []
        for update in updates {
            let sent = table.all.filter { !table.key.contains($0) && update.values[$0] != .unchanged }
            if sent.isEmpty { continue }
            if groups[sent] == nil {
                groups[sent] = table.list(table.key + sent)
                order.append(sent)
            }
            groups[sent]!.append(update.row.key + sent.map { update.values[$0] })
        }
        var statements: [CloneStatement] = []
        for sent in order {
            let list = groups[sent]!
            let assignments = sent.enumerated().map { "\(table.quoted($1)) = \(list.value(table.key.count + $0))" }
            statements.append(
                CloneStatement(
                    sql: "UPDATE ONLY \(table.name.quoted) t SET \(assignments.joined(separator: ", ")) "
                        + "FROM \(list.from) WHERE \(table.matchesKey(list))",
                    parameters: try list.parameters(), rows: list.count))
        }
        return statements
    }

    func insert(_ table: CloneTable, _ rows: [Row]) throws(Failure) -> CloneStatement {
        var list = table.list(table.all)
        for row in rows { list.append(row) }
        let values = table.all.map { list.value($0) }.joined(separator: ", ")
        return CloneStatement(
            sql: "INSERT INTO \(table.name.quoted) (\(table.names)) OVERRIDING SYSTEM VALUE "
                + "SELECT \(values) FROM \(list.from)",
            parameters: try list.parameters(), rows: rows.count)
    }

    // MARK: Copies in tables without a key

    private func list(_ table: CloneTable, _ copies: [NetCopies]) -> ValueList {
        var list = table.texts([.init(type: "int", travelsInArrays: true)])
        for each in copies { list.append(each.row + [Value("\(each.count)")]) }
        return list
    }

    func remove(_ table: CloneTable, _ copies: [NetCopies]) throws(Failure) -> CloneStatement {
        let list = list(table, copies)
        return CloneStatement(
            sql: """
                DELETE FROM ONLY \(table.name.quoted) WHERE ctid IN (
                  SELECT place FROM (
                    SELECT t.ctid AS place, v.c\(table.columns.count) AS wanted, row_number() OVER (PARTITION BY v.n) AS nth
                    FROM \(list.from) JOIN ONLY \(table.name.quoted) t ON \(table.matchesWhole())) found
                  WHERE nth <= wanted)
                """, parameters: try list.parameters(), rows: copies.reduce(0) { $0 + $1.count })
    }

    func add(_ table: CloneTable, _ copies: [NetCopies]) throws(Failure) -> CloneStatement {
        var list = ValueList(table.list(table.all).columns + [.init(type: "int", travelsInArrays: true)])
        for each in copies { list.append(each.row + [Value("\(each.count)")]) }
        let count = copies.reduce(0) { $0 + $1.count }
        let source = "FROM \(list.from) CROSS JOIN LATERAL generate_series(1, v.c\(table.columns.count)) AS nth"
        guard !table.columns.isEmpty else {
            return CloneStatement(
                sql: "INSERT INTO \(table.name.quoted) SELECT \(source)", parameters: try list.parameters(), rows: count
            )
        }
        let values = table.all.map { list.value($0) }.joined(separator: ", ")
        return CloneStatement(
            sql: "INSERT INTO \(table.name.quoted) (\(table.names)) OVERRIDING SYSTEM VALUE SELECT \(values) \(source)",
            parameters: try list.parameters(), rows: count)
    }
}

extension CloneTable {
    fileprivate var names: String { all.map { quoted($0) }.joined(separator: ", ") }
}

extension CloneSchema {
    /// Whether no table outside refers to one of them.
    fileprivate func isClosedUnderReferences(_ tables: Set<TableID>) -> Bool {
        let names = Set(tables.flatMap { [self[$0].name] + (self[$0].root.map { [$0] } ?? []) })
        return references.allSatisfy { tables.contains($0.child) || !names.contains($0.parent) }
    }
}
