// What taking the canary's writes out does not undo, a sentence each.

import Ports
import Postgres

enum NotUndone {
    static let outside = "what the canary did outside the database stays done: mail, payments, calls of other services"

    enum Way: Hashable, Sendable {
        case heal
        case swap(canaryChangedSchema: Bool)
    }

    static func find(_ live: Connection, after way: Way) async throws(Failure) -> [String] {
        // In place, what is not recorded stays as the canary left it; the clone has it as it was in the snapshot.
        let state = way == .heal ? "as both versions left it" : "as it was in the snapshot"
        var sentences = [
            outside,
            "what stable decided after reading the canary's rows stays decided",
            "stable's statements that found no row because of the canary left no trace to replay",
            "numbers that the canary took from sequences stay unused",
        ]
        do {
            let objects = try await live.query("SELECT count(*) FROM pg_largeobject_metadata")
            if let count = objects.scalar, count != "0" {
                sentences.append("large objects are not recorded: what they hold is \(state)")
            }
            let other = try await live.query(
                """
                SELECT format('%I.%I', n.nspname, c.relname), c.relkind
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE (c.relkind = 'r' AND c.relpersistence = 'u' OR c.relkind = 'm')
                  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'perch') AND n.nspname NOT LIKE 'pg\\_%'
                ORDER BY 1
                """)
            for row in other.rows {
                sentences.append(
                    row[1] == "m"
                        ? "materialized view \(row[0] ?? "") is \(state) until it is refreshed"
                        : "unlogged table \(row[0] ?? "") is not recorded: it is \(state)")
            }
            guard case .swap(let canaryChangedSchema) = way else { return sentences }
            if canaryChangedSchema { sentences.append("the canary's changes of the schema are gone with its data") }
            let slots = try await live.query(
                """
                SELECT slot_name FROM pg_replication_slots
                WHERE database = current_database() AND NOT temporary AND slot_name !~ '^perch_' ORDER BY 1
                """)
            for row in slots.rows {
                sentences.append("replication slot \(row[0] ?? "") stays with the previous database: make it anew")
            }
        } catch {
            throw Failure("cannot look at what is not recorded: \(error)", isTransient: true)
        }
        return sentences
    }
}
