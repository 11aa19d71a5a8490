// Sequences are not in the stream. Their values are taken from the fenced live database, so no number is given out twice.

import Ports
import Postgres

enum Sequences {
    /// Numbers left out beyond the last one live gave out: a server that crashed may have handed out as many more.
    static let gap = 32

    /// Moves every sequence of the restored database past what live and it have used, in the sequence's direction.
    static func carryOver(from live: Connection, to clone: Connection) async throws(Failure) {
        do {
            let used = try await live.query(
                """
                SELECT schemaname, sequencename, last_value FROM pg_sequences
                WHERE last_value IS NOT NULL AND schemaname <> 'perch'
                """)
            guard !used.rows.isEmpty else { return }
            _ = try await clone.query(
                """
                SELECT setval(s.name, greatest(s.min_value::numeric, least(s.max_value::numeric, CASE
                    WHEN s.increment_by > 0 THEN greatest(s.last_value, live.last_value)::numeric + s.increment_by * \(gap)
                    ELSE least(s.last_value, live.last_value)::numeric + s.increment_by * \(gap) END))::bigint)
                FROM unnest($1::text[], $2::text[], $3::bigint[]) AS live(schema, sequence, last_value)
                  JOIN (
                    SELECT *, format('%I.%I', schemaname, sequencename)::regclass AS name FROM pg_sequences
                  ) s ON s.schemaname = live.schema AND s.sequencename = live.sequence
                """,
                (0..<3).map { column in arrayLiteral(used.rows.map { $0[column] }) })
        } catch {
            throw Failure("cannot carry the sequences over: \(error)", isTransient: error.serverError == nil)
        }
    }
}
