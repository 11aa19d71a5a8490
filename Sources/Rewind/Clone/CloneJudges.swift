// What the restored database's constraints say of rows that are not in it. A temporary table with the same CHECKs, NOT NULLs
// and generated columns takes them, and shows their entries in indexes of expressions.

import Merge
import Ports
import Postgres

struct CloneJudges {
    let connection: Connection
    /// Tables for which there is a judge in this session.
    private var ready: Set<TableID> = []

    init(connection: Connection) { self.connection = connection }

    /// - Parameter uniques: of this table.
    mutating func judge(
        _ table: CloneTable, _ uniques: [UniqueID: CloneUnique], _ images: [RowImage]
    ) async throws -> [RowImage: Judgement] {
        let judge = "pg_temp.perch_judge_\(table.id.rawValue)"
        if ready.insert(table.id).inserted {
            try await connection.execute(
                """
                CREATE TEMP TABLE perch_judge_\(table.id.rawValue) (
                    LIKE \(table.name.quoted) INCLUDING CONSTRAINTS INCLUDING GENERATED);
                ALTER TABLE \(judge) ADD COLUMN perch_number int
                """)
        }
        try await connection.execute("DELETE FROM \(judge)")
        let computed = uniques.filter { $0.value.isComputed }.sorted { $0.key < $1.key }
        do {
            try await take(Array(images.enumerated()), table, judge)
            let entries = try await entries(computed.map(\.value), judge)
            return verdicts(images, entries, computed.map(\.key))
        } catch let error as PostgresError where isRefusal(error.sqlState ?? "") {
            var entries: [Int: [[String?]?]] = [:]
            for image in images.enumerated() {
                do {
                    try await connection.execute("DELETE FROM \(judge)")
                    try await take([image], table, judge)
                    entries.merge(try await self.entries(computed.map(\.value), judge)) { own, _ in own }
                } catch let error as PostgresError where isRefusal(error.sqlState ?? "") {}
            }
            return verdicts(images, entries, computed.map(\.key))
        }
    }

    private func take(
        _ images: [EnumeratedSequence<[RowImage]>.Element], _ table: CloneTable, _ judge: String
    ) async throws {
        var list = ValueList(
            table.list(table.all).columns + [.init(type: "int", travelsInArrays: true)])
        for (number, image) in images { list.append(image.row + [Value("\(number)")]) }
        let names = table.all.map { table.quoted($0) } + ["perch_number"]
        let values = list.columns.indices.map { list.value($0) }
        _ = try await connection.query(
            "INSERT INTO \(judge) (\(names.joined(separator: ", "))) SELECT \(values.joined(separator: ", ")) "
                + "FROM \(list.from)", try list.parameters())
    }

    /// - Returns: for each accepted row and each index the entry, nil when it has none.
    private func entries(_ uniques: [CloneUnique], _ judge: String) async throws(PostgresError) -> [Int: [[String?]?]] {
        var items = ["perch_number"]
        for unique in uniques {
            items.append("(\(unique.predicate ?? "true")) IS TRUE")
            items += unique.parts.map(\.sql)
        }
        let result = try await connection.query("SELECT \(items.joined(separator: ", ")) FROM \(judge)")
        var entries: [Int: [[String?]?]] = [:]
        for row in result.rows {
            var rest = row[1...]
            entries[Int(row[0]!)!] = uniques.map { unique -> [String?]? in
                let isIn = rest.removeFirst() == "t"
                let values: [String?] = Array(rest.prefix(unique.parts.count))
                rest.removeFirst(unique.parts.count)
                return !isIn || unique.nullsAreDistinct && values.contains(nil) ? nil : values
            }
        }
        return entries
    }

    private func verdicts(
        _ images: [RowImage], _ entries: [Int: [[String?]?]], _ uniques: [UniqueID]
    ) -> [RowImage: Judgement] {
        var verdicts: [RowImage: Judgement] = [:]
        for (number, image) in images.enumerated() {
            var found: [UniqueID: [Value]] = [:]
            for (unique, values) in zip(uniques, entries[number] ?? []) {
                if let values { found[unique] = Row(values[...]) }
            }
            verdicts[image] = Judgement(isValid: entries[number] != nil, entries: found)
        }
        return verdicts
    }
}

/// Whether the error says that the data does not fit, as opposed to that the server could not do its work.
///
/// Classes 22 (data exception) and 23 (integrity).
func isRefusal(_ state: String) -> Bool { state.hasPrefix("22") || state.hasPrefix("23") }
