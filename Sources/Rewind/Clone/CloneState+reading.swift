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
        f."table", f.key, f.reason, f."column", f.is_open, f.saved, f.moved_from_table, f.moved_from_key, f.first_lsn,
        f.last_lsn, f.xid, f.count, f.operation, f.canary, f.stable, f.committed_at
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
            let (finding, _) = Self.finding(row)
            found[finding.row]?.append(finding)
        }
        for (id, findings) in found { answers.add(findings: findings, for: id) }
    }

    /// Every line of the report, `limit` at a time, in the order in which they were made.
    ///
    /// - Parameter after: the number of the last line that was read; 0 at first.
    /// - Returns: nothing at the end.
    static func report(
        _ connection: Connection, after: Int, limit: Int
    ) async throws(PostgresError) -> [(number: Int, finding: Merge.Finding, extra: FindingExtra)] {
        let result = try await connection.query(
            """
            SELECT \(findingColumns), f.id FROM perch.merge_finding f WHERE f.id > $1::bigint ORDER BY f.id LIMIT \(limit)
            """, ["\(after)"])
        return result.rows.map { row in
            let (finding, extra) = finding(row)
            return (Int(row[16]!)!, finding, extra)
        }
    }

    private static func finding(_ row: [String?]) -> (Merge.Finding, FindingExtra) {
        let finding = Merge.Finding(
            row: RowID(row[0], row[1]), reason: Merge.Finding.Reason(rawValue: row[2]!) ?? .constraint, column: row[3],
            isOpen: row[4] == "t", saved: row[5].map { Row(arrayText: $0) },
            movedFrom: row[6].map { RowID($0, row[7]) }, firstCommitLSN: UInt64(row[8]!)!,
            lastCommitLSN: UInt64(row[9]!)!, xid: UInt32(row[10]!)!, count: Int(row[11]!)!)
        let extra = FindingExtra(
            operation: row[12]!, canary: row[13].map { Row(arrayText: $0) }, stable: row[14].map { Row(arrayText: $0) },
            committedAt: Int64(row[15]!)!)
        return (finding, extra)
    }
}

extension RowID {
    /// As Perch's tables name it.
    fileprivate init(_ table: String?, _ key: String?) {
        self.init(
            table: TableID(rawValue: table.flatMap { UInt32($0) } ?? 0), key: Row(arrayText: key ?? "{}"))
    }
}
