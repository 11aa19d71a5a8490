// What the merge has to remember, in the restored database itself, written in the transactions that write the rows: after
// any crash it is exactly true of them. Rows are named by their table's oid there and their key's values as one text.
//
//   perch.merge_position   the end of the last source transaction merged; one row
//   perch.merge_taint      rows that differ: what live has
//   perch.merge_copies     rows of tables without a key: how many more live has
//   perch.merge_emptied    tables that the canary emptied
//   perch.merge_ghost      values that heal took out of live
//   perch.merge_finding    the report
//   perch.merge_verified   how far each table was compared with live
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
            live text, stable text, counterpart_table bigint, counterpart_key text, moved_from_table bigint,
            moved_from_key text, first_lsn bigint NOT NULL, last_lsn bigint NOT NULL, xid bigint NOT NULL,
            count bigint NOT NULL, committed_at bigint NOT NULL);
        CREATE INDEX ON perch.merge_finding ("table", hashtext(key));
        CREATE TABLE perch.merge_kept_out (commit_lsn bigint PRIMARY KEY, why text NOT NULL);
        CREATE TABLE perch.merge_verified (
            "table" bigint PRIMARY KEY, up_to text, rows bigint NOT NULL, is_whole boolean NOT NULL);
        """
    }

    static let removal = """
        DROP TABLE IF EXISTS perch.merge_position, perch.merge_taint, perch.merge_copies, perch.merge_emptied,
            perch.merge_ghost, perch.merge_finding, perch.merge_kept_out, perch.merge_verified, perch.replay_suspended;
        """

    private static func digest(_ table: String, _ key: String) -> String {
        "sha256(convert_to(\(table)::text || ' ' || \(key), 'UTF8'))"
    }

    // MARK: Writing

    /// - Parameter committedAt: by commit LSN, milliseconds since 1970; of the batch's transactions.
    static func statements(
        _ state: StateDelta, committedAt: [UInt64: Int64]
    ) throws(Failure) -> [CloneStatement] {
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
        if !state.findings.isEmpty { statements.append(try report(state.findings, committedAt)) }
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

    /// What is listed again under a new key comes late and is old; see `Finding.absorb`.
    private static func report(
        _ findings: [Merge.Finding], _ committedAt: [UInt64: Int64]
    ) throws(Failure) -> CloneStatement {
        let types = [
            "bigint", "text", "text", "text", "boolean", "text", "text", "text", "bigint", "text", "bigint", "text",
            "bigint", "bigint", "bigint", "bigint", "bigint",
        ]
        var list = ValueList(types.map { .init(type: $0, travelsInArrays: true) })
        for finding in findings {
            let values: [String?] = [
                "\(finding.row.table.rawValue)", try finding.row.key.arrayText(), finding.reason.rawValue,
                finding.column, finding.isOpen ? "t" : "f", try finding.saved?.arrayText(),
                try finding.live?.arrayText(), try finding.stable?.arrayText(),
                finding.counterpart.map { "\($0.table.rawValue)" }, try finding.counterpart?.key.arrayText(),
                finding.movedFrom.map { "\($0.table.rawValue)" }, try finding.movedFrom?.key.arrayText(),
                "\(finding.firstCommitLSN)", "\(finding.lastCommitLSN)", "\(finding.xid)", "\(finding.count)",
                "\(committedAt[finding.lastCommitLSN] ?? 0)",
            ]
            list.append(values.map { $0.map { Value($0) } ?? .null })
        }
        let last = [
            "live", "stable", "counterpart_table", "counterpart_key", "last_lsn", "xid", "committed_at",
        ].map { "\($0) = CASE WHEN excluded.last_lsn >= f.last_lsn THEN excluded.\($0) ELSE f.\($0) END" }
        return CloneStatement(
            sql: """
                INSERT INTO perch.merge_finding AS f (digest, "table", key, reason, "column", is_open, saved, live, stable,
                  counterpart_table, counterpart_key, moved_from_table, moved_from_key, first_lsn, last_lsn, xid, count,
                  committed_at)
                SELECT \(digest("v.c0 || ' ' || v.c2 || ' ' || coalesce(v.c3, '')", "v.c1")),
                  \(types.indices.map { "v.c\($0)" }.joined(separator: ", "))
                FROM \(list.from) ORDER BY v.n
                ON CONFLICT (digest) DO UPDATE SET is_open = f.is_open OR excluded.is_open,
                  saved = coalesce(f.saved, excluded.saved),
                  moved_from_table = coalesce(f.moved_from_table, excluded.moved_from_table),
                  moved_from_key = coalesce(f.moved_from_key, excluded.moved_from_key),
                  first_lsn = least(f.first_lsn, excluded.first_lsn), count = f.count + excluded.count,
                  \(last.joined(separator: ", "))
                """, parameters: try list.parameters(), rows: findings.count)
    }
}
