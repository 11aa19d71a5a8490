// Answers what the merge asks of the restored database, all questions about a table with one statement.

import Merge
import Ports
import Postgres

struct CloneReader {
    let connection: Connection
    let schema: CloneSchema
    private var judges: CloneJudges

    init(_ connection: Connection, _ schema: CloneSchema) {
        self.connection = connection
        self.schema = schema
        judges = CloneJudges(connection: connection)
    }

    private struct Questions {
        var rows: [TableID: [RowID]] = [:]
        var copies: [TableID: [RowID]] = [:]
        var holders: [UniqueID: [UniqueEntry]] = [:]
        var children: [ForeignKeyID: [ReferenceEntry]] = [:]
        var judgements: [TableID: [RowImage]] = [:]
        var findings: [RowID] = []

        init(_ lookups: Set<Lookup>) {
            for lookup in lookups {
                switch lookup {
                case .row(let id): rows[id.table, default: []].append(id)
                case .copies(let id): copies[id.table, default: []].append(id)
                case .holders(let entry): holders[entry.unique, default: []].append(entry)
                case .children(let entry): children[entry.foreignKey, default: []].append(entry)
                case .judgement(let image): judgements[image.table, default: []].append(image)
                case .findings(let id): findings.append(id)
                }
            }
        }
    }

    /// - Throws: ``PostgresError``, ``Failure``.
    mutating func answer(_ lookups: Set<Lookup>, _ answers: inout Answers) async throws {
        let questions = Questions(lookups)
        for (table, ids) in questions.rows { try await readRows(schema[table], ids, &answers) }
        for (table, ids) in questions.copies { try await countCopies(schema[table], ids, &answers) }
        for (unique, entries) in questions.holders { try await readHolders(unique, entries, &answers) }
        for (key, entries) in questions.children { try await readChildren(key, entries, &answers) }
        for (table, images) in questions.judgements {
            let uniques = schema.uniques.compactMapValues { $0[table] }
            for (image, judgement) in try await judges.judge(schema[table], uniques, images) {
                answers.add(judgement, for: image)
            }
        }
        if !questions.findings.isEmpty { try await CloneState.readFindings(questions.findings, connection, &answers) }
    }

    /// Every row of a table.
    func all(_ table: CloneTable) async throws(PostgresError) -> [CloneRow] {
        let found = try await connection.query("SELECT 1, \(table.listed("t")) FROM ONLY \(table.name.quoted) t")
        return collected(found, table).map(\.1)
    }

    private func readRows(_ table: CloneTable, _ ids: [RowID], _ answers: inout Answers) async throws {
        var list = table.list(table.key)
        for id in ids {
            list.append(id.key)
            answers.add(nil, for: id)
        }
        let found = try await connection.queryPrepared(
            "SELECT \(table.listed("t")) FROM \(list.from) JOIN ONLY \(table.name.quoted) t ON \(table.matchesKey(list))",
            try list.parameters())
        // A key that the type calls equal but that reads otherwise (1.0 and 1.00) is another key.
        let asked = Set(ids)
        for values in found.rows {
            let row = Row(values[...])
            let id = RowID(table: table.id, key: table.key.map { row[$0] })
            if asked.contains(id) { answers.add(row, for: id) }
        }
    }

    private func countCopies(_ table: CloneTable, _ ids: [RowID], _ answers: inout Answers) async throws {
        var list = table.texts([.init(type: "int", travelsInArrays: true)])
        for (number, id) in ids.enumerated() {
            list.append(id.key + [Value("\(number)")])
            answers.add(copies: 0, for: id)
        }
        let counts = try await connection.queryPrepared(
            """
            SELECT v.c\(table.columns.count), count(*)
            FROM \(list.from) JOIN ONLY \(table.name.quoted) t ON \(table.matchesWhole()) GROUP BY 1
            """, try list.parameters())
        for row in counts.rows { answers.add(copies: Int(row[1]!)!, for: ids[Int(row[0]!)!]) }
    }

    private func readHolders(_ unique: UniqueID, _ entries: [UniqueEntry], _ answers: inout Answers) async throws {
        var found: [[CloneRow]] = Array(repeating: [], count: entries.count)
        for (id, index) in schema.uniques[unique] ?? [:] {
            let table = schema[id]
            var list = ValueList(index.parts.map { .init(type: $0.type, travelsInArrays: $0.travelsInArrays) })
            for entry in entries { list.append(entry.values) }
            var terms = index.parts.enumerated().map { place, part in
                let equal = "\(part.sql) \(part.equality) \(list.value(place))"
                return index.nullsAreDistinct
                    ? equal : "(\(equal) OR \(part.sql) IS NULL AND \(list.value(place)) IS NULL)"
            }
            if let predicate = index.predicate { terms.append("(\(predicate))") }
            // Names of columns stand alone in an index's expressions, so the list's must not be in their way.
            let rows = try await connection.queryPrepared(
                """
                SELECT v.n, t.* FROM \(list.from) CROSS JOIN LATERAL (
                  SELECT \(table.listed("own")) FROM ONLY \(table.name.quoted) own
                  WHERE \(terms.joined(separator: " AND "))) t
                """, try list.parameters())
            for (number, row) in collected(rows, table) { found[number - 1].append(row) }
        }
        for (entry, rows) in zip(entries, found) { answers.add(holders: rows, for: entry) }
    }

    private func readChildren(
        _ foreignKey: ForeignKeyID, _ entries: [ReferenceEntry], _ answers: inout Answers
    ) async throws {
        var found: [[CloneRow]] = Array(repeating: [], count: entries.count)
        for (id, key) in schema.foreignKeys[foreignKey] ?? [:] {
            let table = schema[id]
            var list = table.list(key.columns)
            for entry in entries { list.append(entry.values) }
            let terms = key.columns.enumerated().map {
                "t.\(table.quoted($1)) \(key.equalities[$0]) \(list.value($0))"
            }
            let rows = try await connection.queryPrepared(
                """
                SELECT v.n, \(table.listed("t"))
                FROM \(list.from) JOIN ONLY \(table.name.quoted) t ON \(terms.joined(separator: " AND "))
                """, try list.parameters())
            for (number, row) in collected(rows, table) { found[number - 1].append(row) }
        }
        for (entry, rows) in zip(entries, found) { answers.add(children: rows, for: entry) }
    }

    /// Rows behind the number of the question; equal ones of a table without a key are one with its copies.
    private func collected(_ result: QueryResult, _ table: CloneTable) -> [(Int, CloneRow)] {
        guard table.key.isEmpty else {
            return result.rows.map { values in
                let row = Row(values[1...])
                let id = RowID(table: table.id, key: table.key.map { row[$0] })
                return (Int(values[0]!)!, CloneRow(id: id, row: row))
            }
        }
        var copies: [[String?]: Int] = [:]
        for values in result.rows { copies[values, default: 0] += 1 }
        return copies.map { values, count in
            let row = Row(values[1...])
            return (Int(values[0]!)!, CloneRow(id: RowID(table: table.id, key: row), row: row, copies: count))
        }
    }
}

extension Row {
    /// A row as the server showed it.
    init(_ texts: ArraySlice<String?>) {
        self = texts.map { $0.map { Value($0) } ?? .null }
    }
}
