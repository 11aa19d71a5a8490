// What heal changed, in the live database itself, written in the transactions that change it: how many rows, and the way
// back. An UPDATE lists only the columns that it changed.

import Merge
import Ports
import Postgres
import Releases

struct HealedRows: Hashable, Sendable {
    let release: ReleaseID

    var table: String { "perch.\(quoteIdentifier("healed_\(release.sqlName)"))" }

    var creation: String {
        """
        CREATE SCHEMA IF NOT EXISTS perch;
        CREATE TABLE IF NOT EXISTS \(table) (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, schema text NOT NULL, "table" text NOT NULL,
            key jsonb NOT NULL, before jsonb, after jsonb, copies int NOT NULL DEFAULT 1,
            healed_at timestamptz NOT NULL DEFAULT now())
        """
    }

    /// One change of live.
    struct Line: Hashable, Sendable {
        var table: CloneTable
        var id: RowID
        /// nil: live had no such row.
        var before: Row?
        /// nil: live has it no more.
        var after: Row?
        var copies = 1
    }

    func insertion(_ lines: [Line]) throws(Failure) -> CloneStatement {
        let types = ["text", "text", "jsonb", "jsonb", "jsonb", "int"]
        var list = ValueList(types.map { .init(type: $0, travelsInArrays: true) })
        for line in lines {
            list.append(
                [line.table.name.schema, line.table.name.table].map { Value($0) }
                    + line.images.map { $0.map { Value($0) } ?? .null }
                    + [Value("\(line.copies)")])
        }
        return CloneStatement(
            sql: "INSERT INTO \(table) (schema, \"table\", key, before, after, copies) "
                + "SELECT \(types.indices.map { list.value($0) }.joined(separator: ", ")) FROM \(list.from)",
            parameters: try list.parameters(), rows: lines.count)
    }
}

extension HealedRows {
    /// Drops what releases of a service wrote down and that is older than `limit`.
    ///
    /// - Returns: what was done, a sentence each.
    static func dropOld(
        _ service: ServiceName, before limit: Instant, _ session: Connection
    ) async throws(Failure) -> [String] {
        let prefix = "healed_" + ReleaseID(service: service, number: 1).sqlName.dropLast()
        var done: [String] = []
        do {
            let tables = try await session.names(
                "select relname from pg_class where relnamespace = to_regnamespace('perch') and relkind = 'r' "
                    + "and starts_with(relname, $1)", [prefix])
            for table in tables where table.dropFirst(prefix.count).allSatisfy(\.isNumber) {
                let name = "perch.\(quoteIdentifier(table))"
                let isOld = try await session.isTrue(
                    "select coalesce(max(healed_at) < to_timestamp($1::float8 / 1000), true) from \(name)",
                    ["\(limit.millisecondsSince1970)"])
                guard isOld else { continue }
                try await session.execute("drop table \(name)")
                done.append("dropped table perch.\(table): its time is over")
            }
        } catch {
            throw Failure("cannot look for what was healed: \(error)", isTransient: true)
        }
        return done
    }
}

extension HealedRows.Line {
    /// Key, before and after as JSON.
    var images: [String?] {
        let key = table.key.isEmpty ? table.all : table.key
        var columns = table.all
        if let before, let after { columns = columns.filter { before[$0] != after[$0] } }
        func object(_ row: Row?) -> String? {
            row.map { row in jsonObject(columns.map { (table.columns[$0].name, row[$0].shown) }) }
        }
        return [jsonObject(zip(key, id.key).map { (table.columns[$0].name, $1.shown) }), object(before), object(after)]
    }
}

/// Names and values as a JSON object; every value is a string or null.
func jsonObject(_ members: [(String, String?)]) -> String {
    "{" + members.map { "\(jsonString($0)):\($1.map(jsonString) ?? "null")" }.joined(separator: ",") + "}"
}

private func jsonString(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": quoted += "\\\""
        case "\\": quoted += "\\\\"
        case "\u{0}"..<"\u{20}":
            let digits = String(scalar.value, radix: 16)
            quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: quoted.unicodeScalars.append(scalar)
        }
    }
    return quoted + "\""
}
