// Goal: an outside program can recompute what a rollback made of the data from the export alone.
// Method: random histories of both arms on a real PostgreSQL, rewound; scripts/recompute-clone.py, which knows nothing of
// Perch's code, gets the rows of the snapshot and the exported lines, and must come to the rows that are live.
// PERCH_TEST_SEED repeats one history.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Synchronization
import Testing

@testable import Rewind

private let schema = """
    CREATE TABLE orders (id int PRIMARY KEY, state text, note text, document text);
    ALTER TABLE orders ALTER document SET STORAGE EXTERNAL;
    INSERT INTO orders SELECT n, 'open', 'n' || n, repeat('d', 3000) FROM generate_series(1, 8) n;
    CREATE TABLE accounts (id int PRIMARY KEY, cents bigint, share numeric, version int DEFAULT 1, owner text);
    ALTER TABLE accounts REPLICA IDENTITY FULL;
    INSERT INTO accounts SELECT n, 100 * n, 0.50, 1, 'o' || n FROM generate_series(1, 8) n;
    """

@Suite struct ExportTests {
    static let tables = ["orders": ["id"], "accounts": ["id"]]

    /// One statement of a history, on few rows, so that both arms meet.
    private static func statement(_ random: inout SeededGenerator, fresh: inout Int) -> String {
        let id = Int.random(in: 1...8, using: &random)
        let number = Int.random(in: 1...99, using: &random)
        switch Int.random(in: 0...13, using: &random) {
        case 0...1: return "UPDATE orders SET state = 's\(number)' WHERE id = \(id)"
        case 2: return "UPDATE orders SET note = NULL WHERE id = \(id)"
        case 3: return "UPDATE orders SET document = repeat('\(number)', 2000) WHERE id = \(id)"
        case 4...6: return "UPDATE accounts SET cents = cents + \(number - 50) WHERE id = \(id)"
        case 7: return "UPDATE accounts SET share = share * 1.5, owner = 'p\(number)' WHERE id = \(id)"
        case 8: return "UPDATE accounts SET version = version + 1, cents = NULL WHERE id = \(id)"
        case 9: return "DELETE FROM \(number % 2 == 0 ? "orders" : "accounts") WHERE id = \(id)"
        case 10:
            return "INSERT INTO orders VALUES (\(id), 'again', NULL, repeat('e', 2500)) ON CONFLICT (id) DO NOTHING"
        case 11: return "INSERT INTO accounts VALUES (\(id), \(number)) ON CONFLICT (id) DO NOTHING"
        case 12:
            fresh += 1
            return "UPDATE orders SET id = \(fresh), state = 'moved' WHERE id = \(id)"
        default:
            return "UPDATE accounts SET cents = \(number), owner = 'q' WHERE id IN (\(id), \(number % 8 + 1))"
        }
    }

    @Test(arguments: [Policy.DataRollback.ColumnRule.overwrite, .add])
    func `The data after a rollback follows from the exported lines`(_ rule: Policy.DataRollback.ColumnRule)
        async throws
    {
        let given = ProcessInfo.processInfo.environment["PERCH_TEST_SEED"].flatMap { UInt64($0) }
        let seed = given ?? .random(in: 1...99_999)
        var random = SeededGenerator(seed: seed)
        let stage = try await Stage(schema) {
            $0.columns = ["public.accounts": ["cents": rule, "share": rule, "version": .follow]]
            $0.canaryRow = seed % 2 == 0 ? .keep : .drop
        }
        let snapshot = try await Self.rows(stage)
        var fresh = 100
        for _ in 0..<60 {
            let statements = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                Self.statement(&random, fresh: &fresh)
            }
            let script = statements.joined(separator: "; ")
            try await Bool.random(using: &random) ? stage.stable(script) : stage.canary(script)
        }
        let summary = try await stage.rewind()
        let recording = try await Self.export(stage)
        let computed = try await Self.recompute(snapshot, recording, in: stage.folder)
        let live = try await Self.rows(stage)
        for name in Self.tables.keys.map({ "public.\($0)" }) {
            #expect(computed[name] == live[name], "\(name); seed \(seed)")
        }
        #expect(summary.canaryTransactionsKeptOut > 0 && summary.conflictsQuarantined > 0, "seed \(seed)")
        // Neither arm alone: a program that forgot one of them would not come to it.
        #expect(live != snapshot)
        try await Self.requireImages(stage, seed)
        try Self.requireBefore(try await stage.quarantine(), snapshot, recording, seed)
    }

    /// What each write of the canary found in live, followed through the exported lines.
    private static func requireBefore(
        _ entries: [QuarantinedChange], _ snapshot: [String: [[String: String?]]], _ recording: [String], _ seed: UInt64
    ) throws {
        struct Line: Decodable {
            var operation: String
            var origin: String?
            var schema: String?
            var table: String?
            var key: [String: String?]?
            var old: [String: String?]?
            var row: [String: String?]?
        }
        var live = snapshot.mapValues { rows in Dictionary(uniqueKeysWithValues: rows.map { ($0["id"]!!, $0) }) }
        var writes = entries.filter { $0.reason == .canaryWrite }[...]
        for line in try recording.dropFirst().map({ try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }) {
            guard ["insert", "update", "delete"].contains(line.operation), let table = line.table else { continue }
            let name = "public.\(table)"
            let key = line.old?["id"] ?? line.key?["id"] ?? line.row?["id"] ?? nil
            let before = key.flatMap { live[name]?[$0] }
            if line.origin == "canary" {
                let next = writes.popFirst()
                let entry = try #require(next)
                #expect(entry.before == before && entry.table == name, "entry \(entry.id); seed \(seed)")
            }
            if let key { live[name]?[key] = nil }
            if let row = line.row, let id = row["id"] ?? nil {
                live[name]?[id] = (before ?? [:]).merging(row) { $1 }
            }
        }
        #expect(writes.isEmpty, "seed \(seed)")
    }

    /// Every entry of the quarantine names its row, and each conflict has the row of every side that wrote it.
    private static func requireImages(_ stage: Stage, _ seed: UInt64) async throws {
        for entry in try await stage.quarantine() {
            #expect(!entry.key.isEmpty, "entry \(entry.id); seed \(seed)")
            switch entry.reason {
            case .canaryWrite:
                #expect(entry.image(.before) != nil && entry.image(.canary) != nil, "entry \(entry.id); seed \(seed)")
            case .overwritten, .added, .kept:
                let sides = QuarantinedChange.Side.allCases.map { entry.image($0)?.row?[entry.column ?? ""] }
                #expect(sides.allSatisfy { $0 != nil }, "entry \(entry.id) \(entry.column ?? ""); seed \(seed)")
            default: break
            }
        }
    }

    @Test func `The export says what the tables are and how they are merged`() async throws {
        let stage = try await Stage(schema) { $0.columns = ["public.accounts": ["cents": .add]] }
        try await stage.canary("UPDATE orders SET state = 'x' WHERE id = 1")
        try await stage.stable("TRUNCATE accounts RESTART IDENTITY")
        try await stage.stable("UPDATE orders SET state = 'y' WHERE id = 2")
        try await stage.data.fenceCanary(release: stage.release, policy: stage.policy)
        let lines = try await Self.export(stage).map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        let merge = try #require(lines[0]["merge"] as? [String: Any])
        #expect(merge["mode"] as? String == "nonconflict" && merge["canary_row"] as? String == "keep")
        #expect((merge["columns"] as? [String: [String: String]]) == ["public.accounts": ["cents": "add"]])
        let definitions = try #require(lines[0]["schema"] as? [String])
        #expect(definitions.contains { $0.contains("PRIMARY KEY (id)") && $0.contains("public.orders") })
        let operations = lines.dropFirst().map { $0["operation"] as? String ?? "" }.filter { $0 != "schema" }
        #expect(operations == ["relation", "update", "relation", "truncate", "update"])
        let columns = try #require(lines[1]["columns"] as? [[String: Any]])
        #expect(columns.map { $0["name"] as? String } == ["id", "state", "note", "document"])
        #expect(columns.map { $0["type"] as? String } == ["integer", "text", "text", "text"])
        #expect(columns.map { $0["identity"] as? Bool } == [true, false, false, false])
        #expect(lines[1]["replica_identity"] as? String == "default")
        #expect(lines[2]["unchanged"] as? [String] == ["document"])
        #expect(lines.first { $0["operation"] as? String == "truncate" }?["restart_identity"] as? Bool == true)
        let positions = lines.compactMap { line in
            (line["commit_lsn"] as? String).map { ($0, line["end_lsn"] as? String ?? "") }
        }
        for (commit, end) in positions {
            #expect(try #require(LogSequenceNumber(commit)) < (try #require(LogSequenceNumber(end))))
        }
        try await stage.data.cleanUp(release: stage.release, policy: stage.policy)
    }

    // MARK: -

    private static func rows(_ stage: Stage) async throws -> [String: [[String: String?]]] {
        var all: [String: [[String: String?]]] = [:]
        for (table, key) in tables {
            let connection = try await Connection.open(stage.server.settings(database: stage.database))
            let result = try await connection.query("SELECT * FROM \(table) ORDER BY \(key[0])::text COLLATE \"C\"")
            await connection.close()
            all["public.\(table)"] = result.rows.map { Dictionary(uniqueKeysWithValues: zip(result.columns, $0)) }
        }
        return all
    }

    private static func export(_ stage: Stage) async throws -> [String] {
        let lines = Mutex<[String]>([])
        try await stage.data.exportRecording(release: stage.release, policy: stage.policy) { line in
            lines.withLock { $0.append(line) }
        }
        return lines.withLock { $0 }
    }

    private static func recompute(
        _ snapshot: [String: [[String: String?]]], _ recording: [String], in folder: String
    ) async throws -> [String: [[String: String?]]] {
        struct Given: Encodable {
            var key: [String]
            var rows: [[String: String?]]
        }
        let given = Dictionary(
            uniqueKeysWithValues: tables.map { ("public.\($0)", Given(key: $1, rows: snapshot["public.\($0)"] ?? [])) })
        try JSONEncoder().encode(given).write(to: URL(filePath: "\(folder)/snapshot.json"))
        try Data((recording.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: "\(folder)/recording.jsonl"))
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let script =
            "exec python3 '\(root)/scripts/recompute-clone.py' \(folder)/snapshot.json < \(folder)/recording.jsonl"
        let output = "\(folder)/after.json"
        let status = try await ChildProcess(["/bin/sh", "-c", script], output: output).wait()
        let text = try String(contentsOfFile: output, encoding: .utf8)
        try #require(status == 0, "\(text.suffix(2000))")
        return try JSONDecoder().decode([String: [[String: String?]]].self, from: Data(text.utf8))
    }
}
