// Holds live against the clone, table by table and large ones in parts: equal everywhere but at the rows that the merge
// names. Rows that differ without a reason stop the rollback before anything was switched.

import Merge
import Ports
import Postgres

/// What a comparison has to leave out of a table.
enum Tolerance: Hashable, Sendable {
    case none
    /// Rows of these keys may differ or be in one database only.
    case keys(ExcludedRows)
    /// Live has so many more copies (or fewer) of these rows.
    case copies([[String?]: Int])
    /// The canary emptied it, so live is no measure for its rows.
    case everything

    /// Rows that may differ are known by their keys, so that a table can be compared in parts.
    var isByKey: Bool {
        switch self {
        case .none, .keys: true
        case .copies, .everything: false
        }
    }
}

/// Which rows live and the restored database may differ in: exactly those that the merge says they do.
struct Tolerances: Sendable {
    private var byTable: [TableName: Tolerance] = [:]

    /// - Parameter hidden: rows that the clone has newer than live is read.
    init(_ engine: MergeEngine, _ schema: CloneSchema, hidden: HiddenWrites = HiddenWrites()) {
        var keys: [TableID: Set<[String?]>] = [:]
        for row in engine.taintedRows { keys[row.id.table, default: []].insert(row.id.key.map(\.shown)) }
        for row in hidden.rows { keys[row.table, default: []].insert(row.key.map(\.shown)) }
        for (id, values) in keys {
            let table = schema[id]
            byTable[table.name] = .keys(
                ExcludedRows(columns: table.key.map { table.columns[$0].name }, values: Array(values)))
        }
        var copies: [TableID: [[String?]: Int]] = [:]
        for (row, count) in engine.excessCopies { copies[row.table, default: [:]][row.key.map(\.shown)] = count }
        for (id, counts) in copies { byTable[schema[id].name] = .copies(counts) }
        for id in engine.emptiedTables { byTable[schema[id].name] = .everything }
        for id in hidden.tables { byTable[schema[id].name] = .everything }
    }

    subscript(table: TableName) -> Tolerance { byTable[table] ?? .none }

    /// Tables that are not as in live.
    var differing: Set<TableName> { Set(byTable.keys) }
}

/// Sessions to read with, all of them with ``TableFingerprint/pinnedSettings``; as many of one database as of the other.
struct Verification: Sendable {
    struct Result: Sendable {
        var tables = 0
        var rows: Int64 = 0
        /// Tables without a key that were written at every moment that was looked at.
        var skipped: [TableName] = []
    }

    let live: [Connection]
    let clone: [Connection]

    /// - Parameter budget: requests are held; nil: nobody waits, and what was compared before need not be again.
    /// - Throws: names the first table that differs and up to five of its keys.
    func compare(
        _ tables: RestoredTables, _ tolerances: Tolerances, within budget: Budget? = nil
    ) async throws(Failure) -> Result {
        let work = tables.withRows.map { ($0, tolerances[$0.name]) }
        do {
            return try await withThrowingTaskGroup(of: Result.self) { group in
                for lane in live.indices {
                    group.addTask {
                        var result = Result()
                        for (table, tolerance) in stride(from: lane, to: work.count, by: live.count).map({ work[$0] }) {
                            guard tolerance != .everything else { continue }
                            if let budget {
                                try budget.require(before: "table \(table.name) was verified")
                                try await budget.bound(live[lane])
                                try await budget.bound(clone[lane])
                                result.rows += try await compare(table, tolerance, nil, live[lane], clone[lane])
                            } else {
                                result.rows += try await compareInParts(table, tolerance, live[lane], clone[lane])
                            }
                            result.tables += 1
                        }
                        return result
                    }
                }
                var total = Result()
                for try await result in group {
                    total.tables += result.tables
                    total.rows += result.rows
                }
                return total
            }
        } catch let failure as Failure {
            throw failure
        } catch let error as PostgresError {
            if let budget, error.sqlState == "57014" { throw budget.exceeded(before: "the tables were verified") }
            throw Failure("cannot verify the restored database: \(error)", isTransient: true)
        } catch {
            throw Failure("cannot verify the restored database: \(error)", isTransient: true)
        }
    }

    /// Reads every table of the restored database as ``compare(_:_:)`` will, to see how long that takes.
    func rehearse(_ tables: RestoredTables) async throws(Failure) -> Duration {
        let begin = ContinuousClock.now
        let work = tables.withRows
        do {
            try await withThrowingTaskGroup { group in
                for lane in clone.indices {
                    group.addTask {
                        for table in stride(from: lane, to: work.count, by: clone.count).map({ work[$0] }) {
                            _ = try await TableFingerprint.read(table.name, on: clone[lane])
                        }
                    }
                }
                try await group.waitForAll()
            }
        } catch {
            throw Failure("cannot read the restored database: \(error)", isTransient: true)
        }
        return ContinuousClock.now - begin
    }

    /// Goes on where an earlier comparison of the table ended: what both took since came from the same stream.
    ///
    /// - Returns: rows compared, by this call and before it.
    private func compareInParts(
        _ table: RestoredTable, _ tolerance: Tolerance, _ live: Connection, _ clone: Connection
    ) async throws -> Int64 {
        let progress = VerifiedUpTo(clone: clone)
        let known = try await progress.read(table)
        if let known, known.isWhole { return known.rows }
        let key = table.keyColumns.compactMap { name in table.columns.first { $0.name == name } }
        let isLarge = try await clone.isTrue(
            "select reltuples > $2::float8 from pg_class where oid = $1::oid",
            ["\(table.oid)", "\(KeyRange.rows * 2)"])
        guard isLarge, !key.isEmpty, tolerance.isByKey else {
            let rows = try await compare(table, tolerance, nil, live, clone)
            try await progress.note(table, nil, rows: rows)
            return rows
        }
        var rows = known?.rows ?? 0
        var next: KeyRange? = KeyRange(columns: key, after: known?.key, upTo: nil)
        while var range = next {
            try Task.checkCancellation()
            try await range.cut(table, after: KeyRange.rows, on: clone)
            rows += try await compare(table, tolerance, range, live, clone)
            try await progress.note(table, range, rows: rows)
            next = range.next
        }
        return rows
    }

    /// - Parameter range: nil: the whole table.
    /// - Returns: rows compared.
    private func compare(
        _ table: RestoredTable, _ tolerance: Tolerance, _ range: KeyRange?, _ live: Connection, _ clone: Connection
    ) async throws -> Int64 {
        guard let columns = try await comparable(table, live) else { return 0 }
        var excluded: ExcludedRows?
        if case .keys(let rows) = tolerance { excluded = rows }
        async let ours = TableFingerprint.read(
            table.name, columns: columns, on: live, leavingOut: excluded, within: range)
        async let theirs = TableFingerprint.read(
            table.name, columns: columns, on: clone, leavingOut: excluded, within: range)
        var expected = try await theirs
        let rows = expected.rows
        if case .copies(let copies) = tolerance {
            // The text of a row with generated columns cannot be made from what the stream tells.
            guard table.columns.count == table.writtenColumns.count, columns.count == table.columns.count else {
                _ = try await ours
                return 0
            }
            expected = try await expected.adding(copies, table, on: clone)
        }
        let found = try await ours
        guard found == expected else {
            throw try await difference(table, columns, excluded, range, found, expected, live, clone)
        }
        return rows
    }

    /// Columns that live still has as the snapshot did: the canary's migration may have added, taken away and altered.
    ///
    /// - Returns: nil when the table or its key is not what it was.
    private func comparable(_ table: RestoredTable, _ live: Connection) async throws(PostgresError) -> [String]? {
        let found = try await live.query(
            """
            select attname, format_type(atttypid, atttypmod) from pg_attribute
            where attrelid = to_regclass($1) and attnum > 0 and not attisdropped
            """, [table.name.quoted])
        let types = Dictionary(uniqueKeysWithValues: found.rows.map { ($0[0] ?? "", $0[1] ?? "") })
        let columns = table.columns.filter { types[$0.name] == $0.type }.map(\.name)
        return found.rows.isEmpty || !Set(table.keyColumns).isSubset(of: columns) ? nil : columns
    }

    private func difference(
        _ table: RestoredTable, _ columns: [String], _ excluded: ExcludedRows?, _ range: KeyRange?,
        _ found: TableFingerprint, _ expected: TableFingerprint, _ live: Connection, _ clone: Connection
    ) async throws -> Failure {
        let keys =
            table.keyColumns.isEmpty
            ? [] : try await differingKeys(table, columns, excluded, range, live, clone).map { "(\($0))" }
        return Failure(
            "table \(table.name) of the restored database is not as live: \(expected.rows) rows against \(found.rows)"
                + (keys.isEmpty
                    ? ""
                    : ", (\(table.keyColumns.joined(separator: ", "))) = \(keys.joined(separator: ", ")) differ"),
            hint: "live data is untouched; look at these rows, then roll back with rollback.mode: keep")
    }

    /// Up to five keys whose rows differ. Rows are first compared in 1 024 heaps, then key by key in a few of those that
    /// differ, so that a large table is not carried over here.
    private func differingKeys(
        _ table: RestoredTable, _ columns: [String], _ excluded: ExcludedRows?, _ range: KeyRange?,
        _ live: Connection, _ clone: Connection
    ) async throws -> [String] {
        let key = table.keyColumns.map { "whole.\(quoteIdentifier($0))" }.joined(separator: ", ")
        let heap = "(hashtextextended(concat_ws(', ', \(key)), 2) & 1023)"
        let rows = TableFingerprint.rows(of: table.name, columns)
        let left = excluded?.parameters ?? []
        let condition =
            "\(excluded?.condition ?? "true") and \(range?.condition(first: left.count + 1) ?? "true")"
        let parameters = left + (range?.parameters ?? [])
        let heaps = """
            select \(heap), sum(\(TableFingerprint.rowHash(seed: 0))) from \(rows) where \(condition) group by 1
            """
        let unequal = difference(
            try await live.query(heaps, parameters), try await clone.query(heaps, parameters), limit: 3)
        guard !unequal.isEmpty else { return [] }
        let members = """
            select concat_ws(', ', \(key)), sum(\(TableFingerprint.rowHash(seed: 0))) from \(rows)
            where \(condition) and \(heap) in (\(unequal.joined(separator: ", "))) group by 1
            """
        return difference(
            try await live.query(members, parameters), try await clone.query(members, parameters), limit: 5)
    }

    /// First columns for which the second differs, or that only one of the two has.
    private func difference(_ one: QueryResult, _ other: QueryResult, limit: Int) -> [String] {
        let left = Dictionary(uniqueKeysWithValues: one.rows.map { ($0[0] ?? "", $0[1]) })
        let right = Dictionary(uniqueKeysWithValues: other.rows.map { ($0[0] ?? "", $0[1]) })
        return Set(left.keys).union(right.keys).filter { left[$0] != right[$0] }.sorted().prefix(limit).map { $0 }
    }
}

extension TableFingerprint {
    /// The fingerprint with so many copies more of rows, which the server hashes as it hashes those of a table.
    fileprivate func adding(
        _ copies: [[String?]: Int], _ table: RestoredTable, on connection: Connection
    ) async throws(PostgresError) -> TableFingerprint {
        let listed = Array(copies)
        let arrays = table.columns.indices.map { "$\($0 + 2)::text[]" }
        let names = table.columns.indices.map { "k\($0)" }
        let row = zip(names, table.columns).map { "\($0)::\($1.type)" }.joined(separator: ", ")
        func sum(_ seed: Int) -> String { "sum(copies * hashtextextended(row(\(row))::text, \(seed))::numeric)" }
        let result = try await connection.query(
            """
            select sum(copies), $\(table.columns.count + 2)::numeric + \(sum(0)), $\(table.columns.count + 3)::numeric + \(sum(1))
            from unnest($1::int[], \(arrays.joined(separator: ", "))) as t(copies, \(names.joined(separator: ", ")))
            """,
            [arrayLiteral(listed.map { String($0.value) })]
                + table.columns.indices.map { column in arrayLiteral(listed.map { $0.key[column] }) } + sums)
        let row0 = result.rows[0]
        return TableFingerprint(
            table: self.table, rows: rows + (row0[0].flatMap { Int64($0) } ?? 0), sums: [row0[1] ?? "", row0[2] ?? ""])
    }
}
