// Rows that decisions are about, in the live database: read, locked, compared, written one by one. What is written is an
// ordinary write: constraints, triggers and foreign-key actions do what they always do.

import Merge
import Ports
import Postgres

struct DecidedRows: Sendable {
    /// Refusals that another write of the same decision may take away: foreign keys, unique and exclusion constraints
    /// (PostgreSQL: appendix A).
    private static let mayBeOrder: Set<String> = ["23001", "23503", "23505", "23P01"]

    /// Values read as the recording has them; names are the service's own, for its triggers.
    static let session = """
        SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3; SET timezone = 'UTC';
        SET bytea_output = 'hex'; SET xmloption = 'content'; SET row_security = off; SET synchronous_commit = on;
        SET lock_timeout = '5s'; SET statement_timeout = '60s'; SET client_min_messages = warning
        """

    let connection: Connection
    /// By the name that entries have, a partition's too.
    let tables: [String: DecisionPlan.Table]
    private let shapes: [TableName: CloneTable]

    init(_ connection: Connection) async throws(PostgresError) {
        self.connection = connection
        var tables: [String: DecisionPlan.Table] = [:]
        var shapes: [TableName: CloneTable] = [:]
        for table in try await RestoredTables.read(connection).byName.values {
            let name = table.root ?? table.name
            let written = table.writtenColumns
            let key = table.keyColumns.compactMap { column in written.firstIndex { $0.name == column } }
            tables[table.name.description] = DecisionPlan.Table(
                name: name, key: key.map { written[$0].name }, columns: written.map(\.name),
                generated: Set(table.columns.filter(\.isGenerated).map(\.name)))
            guard shapes[name] == nil else { continue }
            shapes[name] = CloneTable(
                id: TableID(rawValue: table.oid), name: name,
                root: table.isPartitioned || table.root != nil ? name : nil,
                columns: written, key: key, keyOperators: table.keyOperators)
        }
        self.tables = tables
        self.shapes = shapes
    }

    // MARK: Reading

    /// - Parameter locked: until the transaction ends; table by table, in the order of the addresses.
    func read(
        _ addresses: [RowAddress], locked: Bool
    ) async throws(Failure) -> [RowAddress: [String: String?]] {
        var found: [RowAddress: [String: String?]] = [:]
        for (name, addresses) in Dictionary(grouping: Set(addresses), by: \.table).sorted(by: { $0.key < $1.key }) {
            guard let shape = shapes[name] else { continue }
            var list = shape.list(shape.key)
            let sorted = addresses.sorted { $0.sentence < $1.sentence }
            for address in sorted { list.append(address.key.map { $0.map { Value($0) } ?? .null }) }
            let parameters = try list.parameters()
            let result: QueryResult
            do {
                result = try await connection.query(
                    """
                    SELECT v.n, \(shape.listed("t")) FROM \(list.from) JOIN \(shape.rows) t ON \(shape.matchesKey(list))
                    ORDER BY v.n \(locked ? "FOR UPDATE OF t" : "")
                    """, parameters)
            } catch {
                throw refusal(error, of: "read rows of \(name)")
            }
            for row in result.rows {
                let values = zip(shape.columns, row.dropFirst()).map { ($0.name, $1) }
                found[sorted[Int(row[0]!)! - 1]] = Dictionary(uniqueKeysWithValues: values)
            }
        }
        return found
    }

    // MARK: Writing

    /// Whatever order the rows have: one that is refused because of another is tried again behind it.
    func write(_ writes: [PlannedWrite]) async throws(Failure) {
        var left = writes
        while !left.isEmpty {
            var refused: [(write: PlannedWrite, error: PostgresError)] = []
            for write in left {
                do {
                    try await connection.execute("SAVEPOINT perch_row")
                    try await perform(write)
                    try await connection.execute("RELEASE perch_row")
                } catch {
                    guard let failure = error as? PostgresError else {
                        throw (error as? Failure) ?? Failure("cannot write \(write.address.sentence): \(error)")
                    }
                    guard let state = failure.sqlState, Self.mayBeOrder.contains(state) else {
                        throw refusal(failure, of: "write \(write.address.sentence)")
                    }
                    refused.append((write, failure))
                    do {
                        try await connection.execute("ROLLBACK TO perch_row")
                    } catch {
                        throw refusal(error, of: "write \(write.address.sentence)")
                    }
                }
            }
            if refused.count == left.count {
                throw refusal(refused[0].error, of: "write \(refused[0].write.address.sentence)")
            }
            left = refused.map(\.write)
        }
        do {
            try await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        } catch {
            throw refusal(error, of: "write the rows")
        }
    }

    private func perform(_ write: PlannedWrite) async throws {
        guard let shape = shapes[write.address.table] else { return }
        var parameters: [String?] = []
        // A parameter that is assigned takes the column's type as it stands: nothing is cut to fit, as a cast would.
        func parameter(_ value: String?) -> String {
            parameters.append(value)
            return "$\(parameters.count)"
        }
        func key() -> String {
            zip(shape.key.indices, write.address.key).map { place, value in
                "t.\(shape.quoted(shape.key[place])) \(shape.keyOperators[place]) "
                    + "\(parameter(value))::\(shape.type(shape.key[place]))"
            }.joined(separator: " AND ")
        }
        let sql: String
        switch write.change {
        case .insert(let row):
            let columns = row.sorted { $0.key < $1.key }
            let values = columns.map { parameter($0.value) }
            sql = """
                INSERT INTO \(shape.name.quoted) (\(columns.map { quoteIdentifier($0.key) }.joined(separator: ", ")))
                OVERRIDING SYSTEM VALUE VALUES (\(values.joined(separator: ", ")))
                """
        case .update(let values):
            let assignments = values.sorted { $0.key < $1.key }.map {
                "\(quoteIdentifier($0.key)) = \(parameter($0.value))"
            }
            sql = "UPDATE \(shape.rows) t SET \(assignments.joined(separator: ", ")) WHERE \(key())"
        case .delete:
            sql = "DELETE FROM \(shape.rows) t WHERE \(key())"
        }
        let written = try await connection.query(sql, parameters).affected
        // A row to be deleted may have gone with one that it refers to.
        if written != 1, write.change != .delete {
            throw Failure(
                "\(write.address.sentence) was not written: a trigger or a rule of the table kept it back",
                hint: "write it by hand, then `perch quarantine discard`")
        }
    }
}

extension CloneTable {
    /// The rows of this table, or of all partitions.
    fileprivate var rows: String { root == nil ? "ONLY \(name.quoted)" : name.quoted }
}

/// - Parameter goal: an infinitive: `read rows of public.orders`.
func refusal(_ error: PostgresError, of goal: String) -> Failure {
    switch error.sqlState {
    case "55P03", "57014":
        Failure("cannot \(goal): another session holds it", hint: "ask again in a moment", isTransient: true)
    case "40001", "40P01": Failure("cannot \(goal): \(error)", hint: "ask again", isTransient: true)
    default: Failure("cannot \(goal): \(error)", isTransient: error.serverError == nil)
    }
}
