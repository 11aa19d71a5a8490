// Points in the stream that we make ourselves, to know that everything before them has come.

import Ports
import Postgres
import Releases

enum Barrier {
    static let sentinelSuffix = "/sentinel"

    /// Commits an empty transaction with a message in it. The commit makes the server write its log out, and only what is
    /// written out is streamed; a message outside of a transaction would wait for somebody else's commit.
    ///
    /// - Returns: the message's position. Once it is durable in the journal, so is everything that committed before this
    ///   was called, and the commit, which comes after it, makes sure that the journal gets there.
    static func commit(_ release: ReleaseID, on connection: Connection) async throws(Failure) -> LogSequenceNumber {
        do {
            try await connection.execute("set synchronous_commit = local")
            let position = try await connection.query(
                "select pg_catalog.pg_logical_emit_message(true, $1, '')", ["perch/\(release)/barrier"]
            ).scalar
            guard let position = position.flatMap({ LogSequenceNumber($0) }) else {
                throw PostgresError.usage("pg_logical_emit_message told no position")
            }
            return position
        } catch {
            throw Failure("barrier of \(release): \(error)", isTransient: true)
        }
    }

    /// Sends a message that ``Recorder/awaitSentinel(_:timeout:)`` waits for.
    static func sendSentinel(
        _ token: String, _ attribution: Attribution, on connection: Connection
    ) async throws(PostgresError) {
        try await connection.execute("set synchronous_commit = local")
        _ = try await connection.query(
            "select pg_catalog.pg_logical_emit_message(true, $1, $2)",
            [attribution.prefix + sentinelSuffix, token])
    }
}
