// What of the schema changed in live since the snapshot, and whether stable's version can live with it.

import Ports
import Postgres

enum SchemaChange: Hashable, Sendable {
    case none
    /// Only things that stable's statements do not notice. A sentence each.
    case additive([String])
    /// Something is gone, is another, or refuses rows that stable writes. The first of them.
    case destructive(String)

    /// - Parameter snapshot: ``SchemaFingerprint/lines(on:)`` of the snapshot.
    static func find(since snapshot: [String], live: Connection) async throws(Failure) -> SchemaChange {
        do {
            let now = Set(try await SchemaFingerprint.lines(on: live))
            let before = Set(snapshot)
            guard now != before else { return .none }
            let optional = try await live.query(optionalColumns).rows.compactMap { $0[0] }
            return SchemaChange(before: before, now: now, optionalColumns: Set(optional))
        } catch {
            throw Failure("cannot read the schema of the live database: \(error)", isTransient: true)
        }
    }

    /// - Parameter optionalColumns: `schema.table.column` of those that an INSERT need not name.
    init(before: Set<String>, now: Set<String>, optionalColumns: Set<String>) {
        let known = Set(before.compactMap { Line($0) }.filter { $0.kind == "relation" }.map(\.object))
        let labels = now.filter { $0.hasPrefix("enum ") }
        for gone in before.subtracting(now).sorted() {
            // An enum with more labels behind those it had.
            guard gone.hasPrefix("enum "), labels.contains(where: { $0.hasPrefix(gone + ",") }) else {
                self = .destructive("\(gone.prefix(160)) is gone or is another")
                return
            }
        }
        var added: [String] = []
        for text in now.subtracting(before).sorted() {
            guard let line = Line(text) else { continue }
            let isOnKnownTable = known.contains(line.object)
            switch line.kind {
            case "column" where known.contains { line.object.hasPrefix($0 + ".") }:
                guard optionalColumns.contains(line.object) else {
                    self = .destructive("column \(line.object) is new, and an INSERT has to name it")
                    return
                }
                added.append("column \(line.object)")
            case "constraint" where isOnKnownTable, "trigger" where isOnKnownTable, "policy" where isOnKnownTable:
                self = .destructive("\(text.prefix(160)) is new on a table that stable writes")
                return
            case "index" where isOnKnownTable:
                if text.contains("CREATE UNIQUE INDEX") {
                    self = .destructive("\(text.prefix(160)) is new on a table that stable writes")
                    return
                }
                added.append("an index on \(line.object)")
            case "relation", "function", "enum": added.append("\(line.kind) \(line.object)")
            default: break
            }
        }
        self = .additive(added)
    }

    /// The start of a line of the fingerprint: `column public.orders note text f`.
    private struct Line {
        var kind: Substring
        /// A table, or a column with its table.
        var object: String

        init?(_ text: String) {
            let words = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
            guard words.count >= 2 else { return nil }
            kind = words[0]
            object = String(words[1])
        }
    }

    private static let optionalColumns = """
        SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
          AND (NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '')
        """
}
