// What the merge has to remember, in the restored database itself, written in the transactions that write the rows: after
// any crash it is exactly true of them. Rows are named by their table's oid there and their key's values as one text.
//
//   perch.merge_position   the end of the last source transaction merged; one row
//   perch.merge_taint      rows that differ: what live has
//   perch.merge_copies     rows of tables without a key: how many more live has
//   perch.merge_emptied    tables that the canary emptied
//   perch.merge_ghost      values that heal took out of live
//   perch.merge_finding    the report
//   perch.merge_kept_out   stable transactions that mode cascade kept out

import Merge
import Ports
import Postgres

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

enum CloneState {
    /// For a database just restored: nothing behind the snapshot's position is in it.
    static func creation(position: LogSequenceNumber) -> String {
        """
        CREATE SCHEMA IF NOT EXISTS perch;
        CREATE TABLE perch.merge_position (end_lsn bigint NOT NULL);
        INSERT INTO perch.merge_position VALUES (\(position.rawValue));
        CREATE TABLE perch.merge_taint (
            digest bytea PRIMARY KEY, "table" bigint NOT NULL, key text NOT NULL, live text, xid bigint NOT NULL);
        CREATE TABLE perch.merge_copies (
            digest bytea PRIMARY KEY, "table" bigint NOT NULL, key text NOT NULL, count int NOT NULL, xid bigint NOT NULL);
        CREATE TABLE perch.merge_emptied ("table" bigint PRIMARY KEY, xid bigint NOT NULL);
        CREATE TABLE perch.merge_ghost (
            digest bytea PRIMARY KEY, "table" bigint NOT NULL, key text NOT NULL, ghost text NOT NULL);
        CREATE TABLE perch.merge_finding (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, digest bytea UNIQUE NOT NULL, "table" bigint NOT NULL,
            key text NOT NULL, reason text NOT NULL, "column" text, is_open boolean NOT NULL, saved text,
            moved_from_table bigint, moved_from_key text, first_lsn bigint NOT NULL, last_lsn bigint NOT NULL,
            xid bigint NOT NULL, count bigint NOT NULL, operation text NOT NULL, canary text, stable text,
            committed_at bigint NOT NULL);
        CREATE INDEX ON perch.merge_finding ("table", hashtext(key));
        CREATE TABLE perch.merge_kept_out (commit_lsn bigint PRIMARY KEY, why text NOT NULL);
        """
    }

    static let removal = """
        DROP TABLE IF EXISTS perch.merge_position, perch.merge_taint, perch.merge_copies, perch.merge_emptied,
            perch.merge_ghost, perch.merge_finding, perch.merge_kept_out, perch.replay_suspended;
        """

    private static func digest(_ table: String, _ key: String) -> String {
        "sha256(convert_to(\(table)::text || ' ' || \(key), 'UTF8'))"
    }

    // MARK: Writing

    static func statements(_ state: StateDelta, _ extras: [FindingExtra]) throws(Failure) -> [CloneStatement] {
        var statements: [CloneStatement] = []
        if !state.forgotten.isEmpty {
            let tables = "{\(state.forgotten.map { String($0.rawValue) }.joined(separator: ","))}"
            for name in ["merge_taint", "merge_copies", "merge_emptied"] {
                statements.append(
                    CloneStatement(
                        sql: "DELETE FROM perch.\(name) WHERE \"table\" = ANY ($1::bigint[])", parameters: [tables],
                        rows: nil))
            }
        }
        statements += try remove(state.taintsRemoved, from: "merge_taint")
        statements += try upsert(
            "merge_taint", ["live": "text", "xid": "bigint"],
            state.taints.map { record throws(Failure) in
                (record.row, [try record.live?.arrayText(), "\(record.xid)"])
            })
        statements += try remove(state.copiesRemoved, from: "merge_copies")
        statements += try upsert(
            "merge_copies", ["count": "int", "xid": "bigint"],
            state.copies.map { record throws(Failure) in (record.row, ["\(record.count)", "\(record.xid)"]) })
        for emptied in state.emptied {
            statements.append(
                CloneStatement(
                    sql: "INSERT INTO perch.merge_emptied VALUES ($1::bigint, $2::bigint) "
                        + "ON CONFLICT (\"table\") DO UPDATE SET xid = excluded.xid",
                    parameters: ["\(emptied.table.rawValue)", "\(emptied.xid)"], rows: nil))
        }
        statements += try remove(state.ghostsRemoved, from: "merge_ghost")
        statements += try upsert(
            "merge_ghost", ["ghost": "text"],
            state.ghosts.map { ghost throws(Failure) in (ghost.row, [try json(ghost)]) })
        if !state.findings.isEmpty { statements.append(try report(state.findings, extras)) }
        for kept in state.quarantined {
            statements.append(
                CloneStatement(
                    sql: "INSERT INTO perch.merge_kept_out VALUES ($1::bigint, $2)",
                    parameters: ["\(kept.transaction.commitLSN)", kept.reasons], rows: nil))
        }
        statements.append(
            CloneStatement(
                sql: "UPDATE perch.merge_position SET end_lsn = $1::bigint", parameters: ["\(state.position)"], rows: 1)
        )
        return statements
    }

    private static func json(_ ghost: Ghost) throws(Failure) -> String {
        do {
            return String(decoding: try JSONEncoder().encode(ghost), as: UTF8.self)
        } catch {
            throw Failure("cannot keep what heal removed: \(error)")
        }
    }

    private static func remove(_ ids: [RowID], from table: String) throws(Failure) -> [CloneStatement] {
        if ids.isEmpty { return [] }
        var list = ValueList(rowColumns)
        for id in ids { list.append([Value("\(id.table.rawValue)"), Value(try id.key.arrayText())]) }
        return [
            CloneStatement(
                sql: "DELETE FROM perch.\(table) t USING \(list.from) WHERE t.digest = \(digest("v.c0", "v.c1"))",
                parameters: try list.parameters(), rows: nil)
        ]
    }

    private static let rowColumns: [ValueList.Column] = [
        .init(type: "bigint", travelsInArrays: true), .init(type: "text", travelsInArrays: true),
    ]

    private static func upsert(
        _ table: String, _ columns: KeyValuePairs<String, String>, _ records: [(RowID, [String?])]
    ) throws(Failure) -> [CloneStatement] {
        if records.isEmpty { return [] }
        var list = ValueList(rowColumns + columns.map { .init(type: $0.value, travelsInArrays: true) })
        for (id, values) in records {
            list.append(
                [Value("\(id.table.rawValue)"), Value(try id.key.arrayText())]
                    + values.map { $0.map { Value($0) } ?? .null })
        }
        let names = columns.map(\.key)
        return [
            CloneStatement(
                sql: """
                    INSERT INTO perch.\(table) (digest, "table", key, \(names.joined(separator: ", ")))
                    SELECT \(digest("v.c0", "v.c1")), v.c0, v.c1, \(names.indices.map { "v.c\($0 + 2)" }.joined(separator: ", "))
                    FROM \(list.from)
                    ON CONFLICT (digest) DO UPDATE SET \(names.map { "\($0) = excluded.\($0)" }.joined(separator: ", "))
                    """, parameters: try list.parameters(), rows: records.count)
        ]
    }

    private static func report(_ findings: [Merge.Finding], _ extras: [FindingExtra]) throws(Failure) -> CloneStatement
    {
        let types = [
            "bigint", "text", "text", "text", "boolean", "text", "bigint", "text", "bigint", "bigint", "bigint",
            "bigint",
            "text", "text", "text", "bigint",
        ]
        var list = ValueList(types.map { .init(type: $0, travelsInArrays: true) })
        for (finding, extra) in zip(findings, extras) {
            let values: [String?] = [
                "\(finding.row.table.rawValue)", try finding.row.key.arrayText(), finding.reason.rawValue,
                finding.column,
                finding.isOpen ? "t" : "f", try finding.saved?.arrayText(),
                finding.movedFrom.map { "\($0.table.rawValue)" }, try finding.movedFrom?.key.arrayText(),
                "\(finding.firstCommitLSN)", "\(finding.lastCommitLSN)", "\(finding.xid)", "\(finding.count)",
                extra.operation, try extra.canary?.arrayText(), try extra.stable?.arrayText(), "\(extra.committedAt)",
            ]
            list.append(values.map { $0.map { Value($0) } ?? .null })
        }
        return CloneStatement(
            sql: """
                INSERT INTO perch.merge_finding AS f (digest, "table", key, reason, "column", is_open, saved,
                  moved_from_table, moved_from_key, first_lsn, last_lsn, xid, count, operation, canary, stable, committed_at)
                SELECT \(digest("v.c0 || ' ' || v.c2 || ' ' || coalesce(v.c3, '')", "v.c1")),
                  \(types.indices.map { "v.c\($0)" }.joined(separator: ", "))
                FROM \(list.from) ORDER BY v.n
                ON CONFLICT (digest) DO UPDATE SET is_open = f.is_open OR excluded.is_open,
                  saved = coalesce(f.saved, excluded.saved),
                  moved_from_table = coalesce(f.moved_from_table, excluded.moved_from_table),
                  moved_from_key = coalesce(f.moved_from_key, excluded.moved_from_key), last_lsn = excluded.last_lsn,
                  xid = excluded.xid, count = f.count + excluded.count, operation = excluded.operation,
                  canary = coalesce(excluded.canary, f.canary), stable = coalesce(excluded.stable, f.stable),
                  committed_at = excluded.committed_at
                """, parameters: try list.parameters(), rows: findings.count)
    }
}
