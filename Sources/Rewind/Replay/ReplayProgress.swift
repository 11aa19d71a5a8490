// What the restored database keeps about its own replay: how far it got, what it refused and what was taken out again.
// Written in the transactions that write the rows, so after any crash it is exactly true of them.
//
//   perch.replay_position   the end of the last source transaction applied; one row
//   perch.replay_refusal    changes the database did not take, by the end of their transaction and their number in it
//   perch.replay_removal    rows taken out because they referred to a missing one, with the position at which that was

import Ports
import Postgres

struct ReplayProgress: Sendable {
    struct ChangeID: Hashable, Sendable {
        var transactionEnd: LogSequenceNumber
        var change: Int
    }

    struct Removal: Hashable, Sendable {
        var position: LogSequenceNumber
        var table: TableName
        /// In the order of the table's written columns.
        var row: [String?]
        var detail: String
    }

    var position: LogSequenceNumber
    var refusals: [ChangeID: Refusal]
    /// In the order in which they were made.
    var removals: [Removal]

    /// For a database just restored: nothing behind the snapshot's position is in it.
    static func creation(position: LogSequenceNumber) -> String {
        """
        CREATE SCHEMA IF NOT EXISTS perch;
        CREATE TABLE perch.replay_position (end_lsn text NOT NULL);
        INSERT INTO perch.replay_position VALUES (\(quoteLiteral(position.description)));
        CREATE TABLE perch.replay_refusal (
            end_lsn text, change int, reason text NOT NULL, detail text NOT NULL, PRIMARY KEY (end_lsn, change));
        CREATE TABLE perch.replay_removal (
            id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, end_lsn text NOT NULL, table_schema text NOT NULL,
            table_name text NOT NULL, removed text[] NOT NULL, detail text NOT NULL);
        """
    }

    static let advance = "UPDATE perch.replay_position SET end_lsn = $1"
    static let refuse = "INSERT INTO perch.replay_refusal VALUES ($1, $2::int, $3, $4)"
    static let remove = """
        INSERT INTO perch.replay_removal (end_lsn, table_schema, table_name, removed, detail)
        VALUES ($1, $2, $3, $4::text[], $5)
        """

    static func read(_ connection: Connection) async throws(Failure) -> ReplayProgress {
        do {
            let position = try await connection.query("SELECT end_lsn FROM perch.replay_position")
            guard let text = position.scalar, let lsn = LogSequenceNumber(text) else {
                throw Failure(
                    "the restored database does not know how far its replay got", hint: "drop it and ask again")
            }
            var progress = ReplayProgress(position: lsn, refusals: [:], removals: [])
            let refusals = try await connection.query(
                "SELECT end_lsn, change, reason, detail FROM perch.replay_refusal")
            for row in refusals.rows {
                guard let lsn = LogSequenceNumber(row[0]!), let change = Int(row[1]!),
                    let reason = QuarantinedChange.Reason(rawValue: row[2]!)
                else { throw Failure("the restored database has a refusal that cannot be read: \(row)") }
                progress.refusals[ChangeID(transactionEnd: lsn, change: change)] = Refusal(
                    reason: reason, detail: row[3]!)
            }
            let removals = try await connection.query(
                """
                SELECT r.id, end_lsn, table_schema, table_name, detail, u.place, u.value
                FROM perch.replay_removal r LEFT JOIN unnest(removed) WITH ORDINALITY AS u(value, place) ON true
                ORDER BY r.id, u.place
                """)
            var lastID: String?
            for row in removals.rows.indices {
                if removals[row, "id"] != lastID {
                    lastID = removals[row, "id"]
                    guard let lsn = LogSequenceNumber(removals[row, "end_lsn"]!) else {
                        throw Failure("the restored database has a removal that cannot be read")
                    }
                    progress.removals.append(
                        Removal(
                            position: lsn,
                            table: TableName(
                                schema: removals[row, "table_schema"]!, table: removals[row, "table_name"]!),
                            row: [], detail: removals[row, "detail"]!))
                }
                if removals[row, "place"] != nil {
                    progress.removals[progress.removals.count - 1].row.append(removals[row, "value"])
                }
            }
            return progress
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot read the progress of the replay: \(error)", isTransient: true)
        }
    }
}
