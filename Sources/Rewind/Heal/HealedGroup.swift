// Rows that go back together: locked, written, and committed only when the engine has seen everything that committed before
// the locks and still wants the same.
//
//     BEGIN  mark  lock rows and parents  write what occupies  | barrier: the engine catches up |  still so?  write  COMMIT
//
// A row that live lacks cannot be locked, nor can a unique value: they are occupied before the barrier, by writing them. A
// row of which only plain columns differ is written behind it, so that one that stable writes all the time is healed too.
// Anything in the way rolls the transaction back; the next pass comes again.

import Merge
import Ports
import Postgres

struct HealedGroup: Sendable {
    let live: Connection
    let schema: CloneSchema
    let ids: [RowID]
    /// Rows of other groups of this pass, which are the clone's already.
    let done: Set<RowID>
    let healed: HealedRows
    /// Written before the barrier, with the clone's row that they got.
    private var occupied: [RowID: TaintedRow] = [:]
    /// The same for rows without a key: how many copies live had too many.
    private var occupiedCopies: [RowID: Int] = [:]

    init(live: Connection, schema: CloneSchema, ids: [RowID], done: Set<RowID>, healed: HealedRows) {
        self.live = live
        self.schema = schema
        self.ids = ids
        self.done = done
        self.healed = healed
    }

    private var writer: CloneWriter { CloneWriter(connection: live, schema: schema) }

    /// - Parameters:
    ///   - engine: at any position.
    ///   - mark: makes the transaction heal's.
    ///   - lockTimeout: waits for no lock longer.
    mutating func occupy(_ engine: MergeEngine, mark: String, lockTimeout: Duration) async throws {
        try await live.execute("BEGIN; SET LOCAL lock_timeout = \(lockTimeout.milliseconds)")
        _ = try await live.query("SELECT pg_catalog.pg_logical_emit_message(true, $1, '')", [mark])
        let plain = Set(ids.filter(engine.isPlain))
        try await lock(ids.filter { plain.contains($0) }, "FOR NO KEY UPDATE", engine)
        try await lock(ids.filter { !plain.contains($0) }, "FOR UPDATE", engine)
        try await lockParents(engine)
        let order = engine.healOrder(ids.filter { !plain.contains($0) })
        for id in ids where !plain.contains(id) {
            occupied[id] = engine.taint(id)
            if isKeyless(id) { occupiedCopies[id] = engine.excess(of: id) }
        }
        try await write(order, engine)
    }

    private func lock(_ ids: [RowID], _ strength: String, _ engine: MergeEngine) async throws {
        for (table, ids) in byTable(ids.filter { engine.taint($0)?.live != nil }) {
            var list = table.list(table.key)
            for id in ids { list.append(id.key) }
            _ = try await live.queryPrepared(
                "SELECT 1 FROM \(list.from) JOIN ONLY \(table.name.quoted) t ON \(table.matchesKey(list)) "
                    + "ORDER BY v.n \(strength) OF t", try list.parameters())
        }
    }

    /// Nobody checks heal's references: parents must not go meanwhile, and their own, as long as those differ as well.
    private func lockParents(_ engine: MergeEngine) async throws {
        var seen = Set(ids)
        var open = ids
        while let id = open.popLast() {
            if let row = engine.taint(id)?.clone ?? (schema[id.table].key.isEmpty ? id.key : nil) {
                try await lockParents(of: row, schema[id.table])
            }
            for parent in engine.taintedParents(of: id) where seen.insert(parent).inserted {
                open.append(parent)
            }
        }
    }

    private func lockParents(of row: Row, _ table: CloneTable) async throws {
        for key in schema.foreignKeys.values.compactMap({ $0[table.id] }) {
            let values = key.columns.map { row[$0] }
            if values.contains(.null) { continue }
            let terms = key.parentColumns.enumerated().map { place, column in
                "t.\(quoteIdentifier(column)) \(key.equalities[place]) $\(place + 1)"
            }
            _ = try await live.queryPrepared(
                "SELECT 1 FROM \(key.parent.quoted) t WHERE \(terms.joined(separator: " AND ")) FOR KEY SHARE",
                values.map(\.shown))
        }
    }

    // MARK: Behind the barrier

    /// - Parameter engine: has everything that committed before ``occupy(_:mark:lockTimeout:)`` had its locks.
    /// - Returns: rows healed; nil when live or the clone moved on, and nothing was done.
    func finish(_ engine: MergeEngine) async throws -> Int? {
        let group = Set(ids)
        for id in ids {
            if let written = occupied[id] {
                guard let now = engine.taint(id), now.clone == written.clone, now.kind == written.kind else {
                    return nil
                }
            } else if let copies = occupiedCopies[id] {
                guard engine.excess(of: id) == copies else { return nil }
            } else if engine.taint(id) != nil, !engine.isPlain(id) {
                return nil
            }
        }
        guard let closure = engine.closure(of: ids.filter { engine.taint($0) != nil || occupiedCopies[$0] != nil }),
            Set(closure).subtracting(done).isSubset(of: group)
        else { return nil }
        let plain = ids.filter { occupied[$0] == nil && engine.isPlain($0) }
        try await write(HealOrder(updates: [plain]), engine)
        let lines = lines(plain + occupied.keys.sorted(), engine) + copies()
        if !lines.isEmpty {
            let statement = try healed.insertion(lines)
            _ = try await live.queryPrepared(statement.sql, statement.parameters)
        }
        _ = try await live.query("COMMIT")
        return lines.count
    }

    private func lines(_ ids: [RowID], _ engine: MergeEngine) -> [HealedRows.Line] {
        ids.compactMap { id in
            engine.taint(id).map { HealedRows.Line(table: schema[id.table], id: id, before: $0.live, after: $0.clone) }
        }
    }

    private func copies() -> [HealedRows.Line] {
        occupiedCopies.sorted { $0.key < $1.key }.map { id, count in
            HealedRows.Line(
                table: schema[id.table], id: id, before: count > 0 ? id.key : nil, after: count > 0 ? nil : id.key,
                copies: abs(count))
        }
    }

    // MARK: Writing

    private func write(_ order: HealOrder, _ engine: MergeEngine) async throws {
        func copies(_ id: RowID) -> NetCopies { NetCopies(row: id.key, count: abs(engine.excess(of: id))) }
        var statements: [CloneStatement] = []
        for (table, ids) in byTable(order.deletes) {
            statements.append(
                table.key.isEmpty
                    ? try writer.remove(table, ids.map(copies))
                    : try writer.delete(table, ids))
        }
        for id in order.parked { statements.append(try park(id, engine)) }
        for round in order.updates {
            for (table, ids) in byTable(round) {
                statements += try writer.updates(
                    table, ids.compactMap { engine.taint($0).flatMap { schema.healing($0) } })
            }
        }
        for (table, ids) in byTable(order.inserts) {
            statements.append(
                table.key.isEmpty
                    ? try writer.add(table, ids.map(copies))
                    : try writer.insert(table, ids.compactMap { engine.taint($0)?.clone }))
        }
        for statement in statements {
            let result = try await live.queryPrepared(statement.sql, statement.parameters)
            if let rows = statement.rows, result.affected != rows { throw HealConflict.rowsMoved }
        }
    }

    /// Gives a row's unique values up until it gets its own: to NULL where the column allows it, else to a value that
    /// nobody has.
    private func park(_ id: RowID, _ engine: MergeEngine) throws -> CloneStatement {
        let table = schema[id.table]
        guard let taint = engine.taint(id), let before = taint.live, let after = taint.clone else {
            throw HealConflict.rowsMoved
        }
        let columns = schema.merge.uniqueColumns(of: id.table).compactMap { unique in
            unique.first { before[$0] != after[$0] }
        }
        let assignments = Set(columns).sorted().map { "\(table.quoted($0)) = \(table.parked($0))" }
        var list = table.list(table.key)
        list.append(id.key)
        return CloneStatement(
            sql: "UPDATE ONLY \(table.name.quoted) t SET \(assignments.joined(separator: ", ")) "
                + "FROM \(list.from) WHERE \(table.matchesKey(list))",
            parameters: try list.parameters(), rows: 1)
    }

    private func isKeyless(_ id: RowID) -> Bool { schema[id.table].key.isEmpty }

    private func byTable(_ ids: [RowID]) -> [(CloneTable, [RowID])] {
        var order: [TableID] = []
        var groups: [TableID: [RowID]] = [:]
        for id in ids {
            if groups[id.table] == nil { order.append(id.table) }
            groups[id.table, default: []].append(id)
        }
        return order.map { (schema[$0], groups[$0]!) }
    }
}

enum HealConflict: Error {
    /// Somebody wrote the rows meanwhile.
    case rowsMoved
}

extension CloneSchema {
    /// What heal writes over a row of live: the columns that differ. Whoever read the row before and saves it under an
    /// optimistic lock must fail, so a column that follows live counts on.
    func healing(_ taint: TaintedRow) -> NetUpdate? {
        guard let before = taint.live, let after = taint.clone else { return nil }
        let table = self[taint.id.table]
        var values = table.all.map { before[$0] == after[$0] ? .unchanged : after[$0] }
        for column in merge.following(taint.id.table) {
            guard case .integer = table.columns[column].addition,
                let number = before[column].shown.flatMap({ Int64($0) })
            else { continue }
            values[column] = Value("\(number &+ 1)")
        }
        return NetUpdate(row: taint.id, values: values)
    }
}

extension CloneTable {
    /// SQL for a value of a column that no row has.
    fileprivate func parked(_ column: Int) -> String {
        let name = quoted(column)
        guard columns[column].hasOwnCheck else { return "NULL" }
        switch columns[column].addition {
        case .integer, .decimal: return "(SELECT least(min(\(name)), 0) - 1 FROM \(self.name.quoted))"
        case .impossible: return "left(md5(random()::text), 8)::\(type(column))"
        }
    }
}
