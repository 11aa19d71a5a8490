// Goal: what the policy says about merging is what a rollback does, through a real PostgreSQL with all its constraints.
// Method: one service written by both arms, rewound once under every rule of a column; then other modes.

import Ports
import Postgres
import Releases
import Testing

@testable import Rewind

private let schema = """
    CREATE TABLE accounts (
        id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0), version int DEFAULT 1, top int DEFAULT 10,
        seen timestamptz, small smallint DEFAULT 32000);
    INSERT INTO accounts (id, balance) SELECT n, 100 FROM generate_series(1, 6) n;
    CREATE TABLE mails (id int PRIMARY KEY, mail text, state text);
    CREATE UNIQUE INDEX ON mails (lower(mail)) WHERE state = 'on';
    INSERT INTO mails VALUES (1, 'A@x', 'on');
    CREATE TABLE amounts (n numeric PRIMARY KEY, what text);
    INSERT INTO amounts VALUES (1.00, 'was');
    CREATE TABLE bookings (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
    INSERT INTO bookings VALUES (1, '[1,5)');
    CREATE TABLE parents (id int PRIMARY KEY, code text UNIQUE);
    CREATE TABLE children (
        id int PRIMARY KEY, code text REFERENCES parents (code) ON UPDATE CASCADE ON DELETE CASCADE, note text);
    INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e');
    INSERT INTO children VALUES (1, 'a', 'x'), (2, 'a', 'y'), (3, 'b', 'z'), (4, 'c', 'w'), (5, 'e', 'v'), (6, 'e', 'u');
    CREATE TABLE people (a int, b int, PRIMARY KEY (a, b));
    CREATE TABLE posts (
        id int PRIMARY KEY, b int, a int, FOREIGN KEY (b, a) REFERENCES people (b, a) ON DELETE SET NULL);
    INSERT INTO people VALUES (1, 2);
    INSERT INTO posts VALUES (1, 2, 1), (2, 2, 1);
    CREATE TABLE items (id int PRIMARY KEY, name text, amount int);
    INSERT INTO items VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3);
    CREATE TABLE base (id int PRIMARY KEY);
    CREATE TABLE leaf (id int PRIMARY KEY, base int REFERENCES base);
    INSERT INTO base VALUES (1);
    INSERT INTO leaf VALUES (1, 1);
    CREATE TABLE log (line text, more json);
    ALTER TABLE log REPLICA IDENTITY FULL;
    INSERT INTO log VALUES ('x', NULL), ('x', NULL), ('y', '{"a": 1}');
    CREATE TABLE prices (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, price numeric(6, 2), twice numeric GENERATED ALWAYS AS (price * 2) STORED,
        note text, UNIQUE (twice, note));
    INSERT INTO prices (price, note) VALUES (1, 'n'), (2, 'n');
    """

/// The scene, played once for all tests here.
private struct Scene {
    static let shared = Task { try await Scene() }

    let stage: Stage
    let summary: RewindSummary
    let quarantine: [QuarantinedChange]

    init() async throws {
        stage = try await Stage(schema) {
            $0.columns = [
                "public.accounts": [
                    "balance": .add, "small": .add, "version": .follow, "top": .hold, "seen": .stamp,
                ]
            ]
        }
        for (arm, script) in [
            // Rules of columns.
            (Arm.canary, "UPDATE accounts SET balance = balance + 50 WHERE id = 1"),
            (.stable, "UPDATE accounts SET balance = balance + 7 WHERE id = 1"),
            (.canary, "UPDATE accounts SET balance = 500 WHERE id = 2"),
            (.stable, "UPDATE accounts SET balance = balance - 200 WHERE id = 2"),
            (.canary, "UPDATE accounts SET top = 99 WHERE id = 3"),
            (.stable, "UPDATE accounts SET top = 20 WHERE id = 3"),
            (.canary, "UPDATE accounts SET version = version + 5, seen = '2026-01-01' WHERE id = 4"),
            (.stable, "UPDATE accounts SET version = version + 1, seen = '2026-02-02' WHERE id = 4"),
            (.canary, "UPDATE accounts SET small = 5 WHERE id = 5"),
            (.stable, "UPDATE accounts SET small = small + 30000 WHERE id = 5"),
            // Unique values by expression and predicate; equal numbers that read otherwise; exclusion.
            (.canary, "UPDATE mails SET state = 'off' WHERE id = 1"),
            (.stable, "INSERT INTO mails VALUES (2, 'a@X', 'on')"),
            (.canary, "DELETE FROM amounts"),
            (.stable, "INSERT INTO amounts VALUES (1.0, 'stable')"),
            (.canary, "UPDATE bookings SET during = '[100,105)' WHERE id = 1"),
            (.stable, "INSERT INTO bookings VALUES (2, '[2,4)'); UPDATE items SET amount = 33 WHERE id = 3"),
            // Foreign keys: live's action on children of the clone alone, and on those the canary gave away.
            (.canary, "DELETE FROM children WHERE id = 2"),
            (.stable, "DELETE FROM parents WHERE code = 'a'"),
            (.canary, "UPDATE children SET code = 'd' WHERE id = 4"),
            (.stable, "DELETE FROM parents WHERE code = 'd'"),
            (.canary, "DELETE FROM children WHERE id = 6"),
            (.stable, "UPDATE parents SET code = 'E' WHERE code = 'e'"),
            (.canary, "DELETE FROM posts WHERE id = 2"),
            (.stable, "DELETE FROM people"),
            // Keys.
            (.canary, "UPDATE items SET name = 'canary' WHERE id = 1"),
            (.stable, "UPDATE items SET id = 11, amount = 12 WHERE id = 1"),
            (.canary, "UPDATE items SET id = 22 WHERE id = 2"),
            (.stable, "UPDATE items SET amount = 222 WHERE id = 22"),
            // Tables emptied by stable, one that refers to the other.
            (.canary, "INSERT INTO base VALUES (8); INSERT INTO leaf VALUES (8, 8)"),
            (.stable, "TRUNCATE base, leaf; INSERT INTO base VALUES (9); INSERT INTO leaf VALUES (9, 9)"),
            // No key.
            (.canary, "UPDATE log SET line = 'c' WHERE line = 'y'; INSERT INTO log VALUES ('x', NULL)"),
            (.stable, "UPDATE log SET line = 'cs' WHERE line = 'c'; DELETE FROM log WHERE line = 'x'"),
            // Generated columns within a unique constraint.
            (.canary, "UPDATE prices SET price = 50 WHERE id = 1"),
            (.stable, "UPDATE prices SET note = 'm' WHERE id = 1; UPDATE prices SET price = 3 WHERE id = 2"),
        ] {
            try await arm == .stable ? stage.stable(script) : stage.canary(script)
        }
        summary = try await stage.rewind()
        quarantine = try await stage.quarantine()
    }

    /// What is said of stable's writes of a table, `?` where a person decides.
    func findings(_ table: String) -> [String] {
        quarantine.filter { $0.table == "public.\(table)" && $0.origin == .stable }.map { entry in
            let key = entry.key.values.map { $0 ?? "" }.sorted().joined(separator: ",")
            return "\(key) \(entry.column.map { "\($0) " } ?? "")\(entry.reason.rawValue)\(entry.isOpen ? "?" : "")"
        }
    }
}

@Suite struct MergeRulesTests {
    @Test func `Columns get what their rules say`() async throws {
        let scene = try await Scene.shared.value
        #expect(
            try await scene.stage.rows("SELECT id, balance, version, top, seen::date, small FROM accounts ORDER BY id")
                == [
                    "1|107|1|10|NULL|32000", "2|300|1|10|NULL|32000", "3|100|1|20|NULL|32000",
                    "4|100|7|10|2026-02-02|32000", "5|100|1|10|NULL|30005", "6|100|1|10|NULL|32000",
                ])
        #expect(
            scene.findings("accounts") == [
                "1 balance added", "2 balance added", "2 check?", "3 top held?", "5 small addImpossible?",
            ])
        #expect(scene.summary.rowsMerged == 6 && scene.summary.decisionsOpen == scene.quarantine.count(where: \.isOpen))
    }

    @Test func `Whoever stands in the way of a unique value gets live's`() async throws {
        let scene = try await Scene.shared.value
        #expect(try await scene.stage.rows("SELECT * FROM mails ORDER BY id") == ["1|A@x|off", "2|a@X|on"])
        #expect(scene.findings("mails") == ["1 unique?"])
        #expect(try await scene.stage.rows("SELECT * FROM amounts") == ["1.0|stable"])
        #expect(scene.findings("amounts") == ["1.00 constraint?"])
        #expect(try await scene.stage.rows("SELECT * FROM bookings ORDER BY id") == ["1|[100,105)", "2|[2,4)"])
        #expect(scene.findings("bookings") == ["1 constraint?"])
    }

    @Test func `Foreign keys act on rows of the restored data, and spare what the canary had given away`() async throws
    {
        let scene = try await Scene.shared.value
        #expect(try await scene.stage.rows("SELECT code FROM parents ORDER BY id") == ["b", "c", "E"])
        #expect(
            try await scene.stage.rows("SELECT * FROM children ORDER BY id")
                == ["3|b|z", "4|c|w", "5|E|v", "6|E|u"])
        #expect(scene.findings("children") == ["2 foreignKeyAction", "4 spared", "6 foreignKeyAction"])
        #expect(try await scene.stage.rows("SELECT * FROM posts ORDER BY id") == ["1|NULL|NULL", "2|NULL|NULL"])
        #expect(scene.findings("posts") == ["2 foreignKeyAction"])
    }

    @Test func `Rows with a new key go on under it`() async throws {
        let scene = try await Scene.shared.value
        #expect(
            try await scene.stage.rows("SELECT * FROM items ORDER BY id")
                == ["2|two|2", "3|three|33", "11|one|12", "22|two|222"])
        #expect(scene.findings("items") == ["11 name kept", "11 moved", "22 updateMissing?"])
    }

    @Test func `What stable empties is empty`() async throws {
        let scene = try await Scene.shared.value
        #expect(try await scene.stage.rows("SELECT id FROM base") == ["9"])
        #expect(try await scene.stage.rows("SELECT * FROM leaf") == ["9|9"])
        #expect(scene.findings("base") + scene.findings("leaf") == [])
    }

    @Test func `Rows without a key are counted, and one that only the canary had is taken as stable made it`()
        async throws
    {
        let scene = try await Scene.shared.value
        #expect(
            try await scene.stage.rows("SELECT line, more FROM log ORDER BY 1") == ["cs|{\"a\": 1}", "y|{\"a\": 1}"])
        #expect(scene.quarantine.contains { $0.table == "public.log" && $0.reason == .updateMissing && $0.isOpen })
    }

    @Test func `Generated columns are those of the merged row`() async throws {
        let scene = try await Scene.shared.value
        #expect(
            try await scene.stage.rows("SELECT id, price, twice, note FROM prices ORDER BY id")
                == ["1|1.00|2.00|m", "2|3.00|6.00|n"])
        #expect(scene.findings("prices") == ["1 price kept"])
    }

    @Test func `All sides stand beside each other`() async throws {
        let scene = try await Scene.shared.value
        let met = try #require(scene.quarantine.first { $0.column == "balance" && $0.key == ["id": "1"] })
        #expect(met.before?["balance"] == "100" && met.canary?["balance"] == "150" && met.row?["balance"] == "157")
        #expect(met.operation == "UPDATE" && met.count == 1)
    }

    private static let plain = """
        CREATE TABLE accounts (id int PRIMARY KEY, balance int);
        INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 4) n;
        """

    /// A row of the canary's that stable changes, together with another; and a change that follows.
    private static func write(_ stage: Stage) async throws {
        try await stage.canary("INSERT INTO accounts VALUES (9, 900)")
        try await stage.stable("UPDATE accounts SET balance = balance + 1 WHERE id IN (2, 9)")
        try await stage.stable("UPDATE accounts SET balance = 77 WHERE id = 3")
        try await stage.stable("UPDATE accounts SET balance = balance + 10 WHERE id = 2")
    }

    @Test func `Under cascade a transaction with a conflict is kept out as a whole`() async throws {
        let stage = try await Stage(Self.plain) { $0.merge = .cascade }
        try await Self.write(stage)
        let summary = try await stage.rewind()
        #expect(
            try await stage.rows("SELECT * FROM accounts ORDER BY id") == ["1|100", "2|111", "3|77", "4|100"])
        let quarantine = try await stage.quarantine()
        #expect(
            quarantine.map { "\($0.reason.rawValue) \($0.key["id"]! ?? "")" } == [
                "canaryWrite 9", "transactionKeptOut 2", "transactionKeptOut 9", "overwritten 2",
            ])
        #expect(summary.stableTransactionsKeptOut == 1 && summary.stableTransactionsReplayed == 2)
        #expect(summary.decisionsOpen == 0)
    }

    @Test func `Under nocascade nothing is switched while a decision is open`() async throws {
        let stage = try await Stage(Self.plain) { $0.merge = .nocascade }
        try await Self.write(stage)
        let live = try await stage.rows("SELECT * FROM accounts ORDER BY id")
        let failure = await #expect(throws: Failure.self) { try await stage.rewind() }
        #expect(failure?.message == "1 rows wait for a decision, and rollback.merge is nocascade")
        // Asked again by itself until somebody has decided or the deadline is over.
        #expect(failure?.isTransient == true)
        #expect(try await stage.rows("SELECT * FROM accounts ORDER BY id") == live)
        #expect(await stage.gate.calls.isEmpty)
        // Who looks finds it, and once it is decided the rollback goes on.
        let open = try await stage.quarantine().filter(\.isOpen)
        #expect(open.map { "\($0.reason.rawValue) \($0.key["id"]! ?? "")" } == ["updateMissing 9"])
        try await stage.data.discardQuarantine(
            release: stage.release, ids: open.map(\.id), person: "alice", reason: nil,
            at: Instant(millisecondsSince1970: 1))
        let summary = try await stage.rewind()
        #expect(summary.decisionsOpen == 0 && summary.conflictsQuarantined > 0)
        let rows = try await stage.rows("SELECT * FROM accounts ORDER BY id")
        #expect(rows == ["1|100", "2|111", "3|77", "4|100", "9|901"])
        #expect(try await stage.quarantine().first { $0.reason == .updateMissing }?.decision?.how == .discarded)
    }

    @Test(arguments: Policy.DataRollback.Unattributed.allCases)
    func `Writes of neither role are whose the policy says`(_ whose: Policy.DataRollback.Unattributed) async throws {
        let stage = try await Stage(Self.plain) { $0.unattributed = whose }
        try await stage.canary("UPDATE accounts SET balance = 5 WHERE id = 1")
        try await stage.neither("UPDATE accounts SET balance = 6 WHERE id = 2")
        try await stage.stable("UPDATE accounts SET balance = 7 WHERE id = 3")
        try await stage.rewind()
        #expect(
            try await stage.rows("SELECT * FROM accounts ORDER BY id")
                == ["1|100", whose == .canary ? "2|100" : "2|6", "3|7", "4|100"])
        let listed = try await stage.quarantine().map {
            "\($0.reason.rawValue) \($0.key["id"]! ?? "")\($0.isOpen ? "?" : "")"
        }
        switch whose {
        case .stable: #expect(listed == ["canaryWrite 1"])
        case .canary: #expect(listed == ["canaryWrite 1", "canaryWrite 2"])
        case .hold: #expect(listed == ["canaryWrite 1", "unattributed 2?"])
        }
    }

    @Test func `A row of the canary's is dropped although stable changed it, when the policy says so`() async throws {
        let stage = try await Stage(Self.plain) {
            $0.canaryRow = .drop
            $0.merge = .force
        }
        try await Self.write(stage)
        let summary = try await stage.rewind()
        #expect(
            try await stage.rows("SELECT * FROM accounts ORDER BY id") == ["1|100", "2|111", "3|77", "4|100"])
        #expect(try await stage.quarantine().map(\.reason) == [.canaryWrite, .dropped])
        #expect(summary.decisionsOpen == 0 && summary.conflictsQuarantined == 1)
    }
}
