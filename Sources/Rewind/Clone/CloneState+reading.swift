// Reading back what the merge had to remember.

import Merge
import Ports
import Postgres

import struct Foundation.Data
import class Foundation.JSONDecoder

extension CloneState {
    static func read(_ connection: Connection) async throws(Failure) -> PersistedState {
        do {
            var state = PersistedState()
            guard let position = try await connection.query("SELECT end_lsn FROM perch.merge_position").scalar,
                let position = UInt64(position)
            else {
                throw Failure(
                    "the restored database does not know how far its replay got", hint: "drop it and ask again")
            }
            state.position = position
            for row in try await connection.query("SELECT \"table\", key, live, xid FROM perch.merge_taint").rows {
                let id = RowID(row[0], row[1])
                state.taints[id] = TaintRecord(
                    row: id, live: row[2].map { Row(arrayText: $0) }, xid: UInt32(row[3]!)!)
            }
            for row in try await connection.query("SELECT \"table\", key, count, xid FROM perch.merge_copies").rows {
                let id = RowID(row[0], row[1])
                state.copies[id] = CopiesRecord(row: id, count: Int(row[2]!)!, xid: UInt32(row[3]!)!)
            }
            for row in try await connection.query("SELECT \"table\", xid FROM perch.merge_emptied").rows {
                let table = TableID(rawValue: UInt32(row[0]!)!)
                state.emptied[table] = EmptiedTable(table: table, xid: UInt32(row[1]!)!)
            }
            for row in try await connection.query("SELECT ghost FROM perch.merge_ghost").rows {
                let ghost = try JSONDecoder().decode(Ghost.self, from: Data(row[0]!.utf8))
                state.ghosts[ghost.row] = ghost
            }
            return state
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot read the progress of the replay: \(error)", isTransient: true)
        }
    }

    /// Commit LSNs of stable transactions that were kept out as a whole, with why.
    static func readKeptOut(_ connection: Connection) async throws(PostgresError) -> [UInt64: String] {
        var kept: [UInt64: String] = [:]
        for row in try await connection.query("SELECT commit_lsn, why FROM perch.merge_kept_out").rows {
            kept[UInt64(row[0]!)!] = row[1]!
        }
        return kept
    }

    private static let findingColumns = """
        f."table", f.key, f.reason, f."column", f.is_open, f.saved, f.live, f.stable, f.counterpart_table,
        f.counterpart_key, f.moved_from_table, f.moved_from_key, f.first_lsn, f.last_lsn, f.xid, f.count, f.committed_at
        """

    static func readFindings(
        _ ids: [RowID], _ connection: Connection, _ answers: inout Answers
    ) async throws {
        var list = ValueList([
            .init(type: "bigint", travelsInArrays: true), .init(type: "text", travelsInArrays: true),
        ])
        var found: [RowID: [Merge.Finding]] = [:]
        for id in ids {
            found[id] = []
            list.append([Value("\(id.table.rawValue)"), Value(try id.key.arrayText())])
        }
        let result = try await connection.queryPrepared(
            """
            SELECT \(findingColumns) FROM \(list.from)
              JOIN perch.merge_finding f ON f."table" = v.c0 AND hashtext(f.key) = hashtext(v.c1) AND f.key = v.c1
            ORDER BY f.id
            """, try list.parameters())
        for row in result.rows {
            let finding = Self.finding(row)
            found[finding.row]?.append(finding)
        }
        for (id, findings) in found { answers.add(findings: findings, for: id) }
    }

    /// A line of the report.
    struct ReportLine: Sendable {
        /// Rises from line to line.
        var number: Int
        var finding: Merge.Finding
        /// The last of its transactions, milliseconds since 1970.
        var committedAt: Int64
    }

    /// Every line of the report, `limit` at a time, in the order in which they were made.
    ///
    /// - Parameter after: the number of the last line that was read; 0 at first.
    /// - Returns: nothing at the end.
    static func report(
        _ connection: Connection, after: Int, limit: Int
    ) async throws(PostgresError) -> [ReportLine] {
        let result = try await connection.query(
            """
            SELECT \(findingColumns), f.id FROM perch.merge_finding f WHERE f.id > $1::bigint ORDER BY f.id LIMIT \(limit)
            """, ["\(after)"])
        return result.rows.map { row in
            ReportLine(number: Int(row[17]!)!, finding: finding(row), committedAt: Int64(row[16]!)!)
        }
    }

    private static func finding(_ row: [String?]) -> Merge.Finding {
        func image(_ column: Int) -> Row? { row[column].map { Row(arrayText: $0) } }
        return Merge.Finding(
            row: RowID(row[0], row[1]), reason: Merge.Finding.Reason(rawValue: row[2]!) ?? .constraint, column: row[3],
            isOpen: row[4] == "t", saved: image(5), live: image(6), stable: image(7),
            counterpart: row[8].map { RowID($0, row[9]) }, movedFrom: row[10].map { RowID($0, row[11]) },
            firstCommitLSN: UInt64(row[12]!)!, lastCommitLSN: UInt64(row[13]!)!, xid: UInt32(row[14]!)!,
            count: Int(row[15]!)!)
    }
}

extension RowID {
    /// As Perch's tables name it.
    fileprivate init(_ table: String?, _ key: String?) {
        self.init(
            table: TableID(rawValue: table.flatMap { UInt32($0) } ?? 0), key: Row(arrayText: key ?? "{}"))
    }
}
