// Goal: the rewind as a whole, from snapshot to switched databases. Method: real PostgreSQL, both arms' statements through
// their own roles, then a look at what is live, what is in quarantine and what the old database is.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

private let schema = """
    CREATE TABLE accounts (id int PRIMARY KEY, owner text UNIQUE, balance int NOT NULL DEFAULT 0);
    INSERT INTO accounts VALUES (1, 'ann', 10), (2, 'bob', 20), (3, 'cid', 30);
    """

/// What both arms do in most of these tests.
private func writeOnBothArms(_ stage: Stage) async throws {
    try await stage.stable("INSERT INTO accounts VALUES (4, 'dee', 40)")
    try await stage.canary("UPDATE accounts SET balance = -1 WHERE id = 1; INSERT INTO accounts VALUES (9, 'eve', 9)")
    try await stage.stable("UPDATE accounts SET balance = balance + 1 WHERE id IN (1, 2)")
    try await stage.canary("DELETE FROM accounts WHERE id = 3")
}

private let afterwards = ["1|ann|0", "2|bob|21", "3|cid|30", "4|dee|40"]
private let accounts = "SELECT * FROM accounts ORDER BY id"

@Suite struct SwapTests {
    @Test func `Stable's writes stay, the canary's are in quarantine, the old database is kept`() async throws {
        let stage = try await Stage(schema)
        try await writeOnBothArms(stage)
        let summary = try await stage.rewind()

        #expect(try await stage.rows(accounts) == afterwards)
        #expect(await stage.gate.calls == ["hold", "reconnect", "letGo"])
        #expect(try await stage.databases() == ["\(stage.database)|t", "\(stage.previous)|t"])
        #expect(try await stage.rows(accounts, in: stage.previous).first == "1|ann|0")
        let quarantine = try await stage.quarantine()
        #expect(quarantine.map(\.id) == [1, 2, 3, 4])
        #expect(quarantine.map(\.reason) == [.canaryWrite, .canaryWrite, .canaryWrite, .overwritten])
        #expect(quarantine.map(\.operation) == ["UPDATE", "INSERT", "DELETE", "UPDATE"])
        let met = quarantine[3]
        #expect(met.key == ["id": "1"] && met.column == "balance" && met.origin == .stable && !met.isOpen)
        #expect(met.before?["balance"] == "10" && met.canary?["balance"] == "-1" && met.row?["balance"] == "0")
        #expect(summary.mode == "swap" && summary.previousDatabase == stage.previous)
        #expect(summary.stableTransactionsReplayed == 2 && summary.changesReplayed == 3)
        #expect(summary.canaryTransactionsKeptOut == 2 && summary.canaryRowsQuarantined == 3)
        #expect(summary.conflictsQuarantined == 1 && summary.rowsMerged == 1 && summary.decisionsOpen == 0)
        #expect(summary.tablesVerified == 1 && summary.rowsVerified == 3)
        #expect(summary.heldMilliseconds > 0 && summary.heldMilliseconds < 10_000)
        #expect(!summary.notUndone.isEmpty)
        #expect(try await stage.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'perch'") == [])
        #expect(try await stage.rows("SELECT pubname FROM pg_publication") == [])
        let slots =
            "SELECT slot_name FROM pg_replication_slots WHERE database IN ('\(stage.database)', '\(stage.previous)')"
        #expect(try await stage.rows(slots) == [])
    }

    @Test func `What a database is besides its contents comes along`() async throws {
        let stage = try await Stage(schema)
        let superuser = try await Connection.open(stage.server.settings())
        try await superuser.execute(
            """
            ALTER DATABASE \(stage.database) SET search_path = "$user", public, "odd name";
            ALTER DATABASE \(stage.database) SET work_mem = '7MB';
            ALTER ROLE shop_\(stage.database) IN DATABASE \(stage.database) SET timezone = 'Europe/Riga';
            ALTER DATABASE \(stage.database) CONNECTION LIMIT 77;
            COMMENT ON DATABASE \(stage.database) IS 'the shop''s';
            REVOKE CONNECT ON DATABASE \(stage.database) FROM PUBLIC;
            GRANT CONNECT, TEMPORARY ON DATABASE \(stage.database) TO canary_\(stage.database);
            """)
        let rights = """
            (SELECT string_agg(a::text, ' ' ORDER BY a::text COLLATE "C") FROM unnest(datacl) AS a)
            """
        let question = """
            SELECT pg_get_userbyid(datdba), encoding, datcollate, datconnlimit, \(rights),
              shobj_description(oid, 'pg_database'),
              (SELECT string_agg(setconfig::text, ' ' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
            FROM pg_database d WHERE datname = '\(stage.database)'
            """
        let before = try await stage.rows(question, in: "postgres")
        try await stage.rewind()
        let after = try await stage.rows(question, in: "postgres")
        #expect(after == before)
    }

    @Test func `The previous database can be looked at by its owner and not written by accident`() async throws {
        let stage = try await Stage(schema)
        try await stage.canary("INSERT INTO accounts VALUES (9, 'eve', 9)")
        try await stage.rewind()
        let owner = try await Connection.open(
            stage.server.settings(database: stage.previous, user: "shop_\(stage.database)"))
        #expect(try await owner.query("SELECT count(*) FROM accounts").scalar == "4")
        await #expect(throws: PostgresError.self) { try await owner.execute("DELETE FROM accounts") }
        await owner.close()
        let superuser = try await Connection.open(stage.server.settings())
        _ = try await superuser.query("CREATE ROLE stranger_\(stage.database) LOGIN")
        await superuser.close()
        await #expect(throws: PostgresError.self) {
            try await Connection.open(
                stage.server.settings(database: stage.previous, user: "stranger_\(stage.database)"))
        }
    }

    @Test func `With all writes wanted the canary's are replayed too`() async throws {
        let stage = try await Stage(schema) { $0.writes = .all }
        try await writeOnBothArms(stage)
        let live = try await stage.rows(accounts)
        let summary = try await stage.rewind()
        #expect(try await stage.rows(accounts) == live)
        #expect(summary.canaryTransactionsKeptOut == 0 && summary.tablesVerified == 1)
        #expect(try await stage.quarantine().isEmpty)
    }

    @Test func `When the canary wrote nothing, nothing is restored and nobody has to wait`() async throws {
        let stage = try await Stage(schema)
        try await stage.stable("INSERT INTO accounts VALUES (4, 'dee', 40)")
        let summary = try await stage.rewind()
        #expect(summary.mode == "none" && !summary.notUndone.isEmpty)
        #expect(await stage.gate.calls.isEmpty)
        #expect(try await stage.databases() == ["\(stage.database)|t"])
    }

    @Test func `Keeping the data touches nothing`() async throws {
        let stage = try await Stage(schema) { $0.mode = .keep }
        try await writeOnBothArms(stage)
        let live = try await stage.rows(accounts)
        #expect(try await stage.rewind().mode == "keep")
        #expect(try await stage.rows(accounts) == live)
        #expect(await stage.gate.calls.isEmpty)
    }

    @Test func `A second call gives the first one's summary and switches nothing`() async throws {
        let stage = try await Stage(schema)
        try await writeOnBothArms(stage)
        let summary = try await stage.rewind()
        try await stage.stable("UPDATE accounts SET balance = 99 WHERE id = 2")
        #expect(try await stage.rewind() == summary)
        #expect(try await stage.rows("SELECT balance FROM accounts WHERE id = 2") == ["99"])
    }

    @Test func `A database in the way is named, and live stays as it is`() async throws {
        let stage = try await Stage(schema)
        let superuser = try await Connection.open(stage.server.settings())
        _ = try await superuser.query("CREATE DATABASE \(stage.previous)")
        let failure = await #expect(throws: Failure.self) { try await stage.rewind() }
        #expect(failure?.message.contains(stage.previous) == true)
        #expect(await stage.gate.calls.isEmpty)
        _ = try await superuser.query("DROP DATABASE \(stage.previous)")
        await superuser.close()
    }

    @Test func `A prepared transaction stops the rewind before requests are held`() async throws {
        let stage = try await Stage(schema)
        try await stage.canary("INSERT INTO accounts VALUES (9, 'eve', 9)")
        let superuser = try await Connection.open(stage.server.settings(database: stage.database))
        try await superuser.execute("BEGIN; UPDATE accounts SET balance = 5; PREPARE TRANSACTION 'left over'")
        let failure = await #expect(throws: Failure.self) { try await stage.rewind() }
        #expect(failure?.message.contains("left over") == true)
        #expect(await stage.gate.calls.isEmpty)
        _ = try await superuser.query("COMMIT PREPARED 'left over'")
        await superuser.close()
        try await stage.rewind()
        #expect(try await stage.rows("SELECT DISTINCT balance FROM accounts") == ["5"])
    }

    @Test func `When requests cannot be held, they go on and live is untouched`() async throws {
        let stage = try await Stage(schema)
        try await stage.canary("INSERT INTO accounts VALUES (9, 'eve', 9)")
        let gate = FakeGate(refusing: Failure("a request does not end", isTransient: true))
        let failure = await #expect(throws: Failure.self) {
            try await stage.data.rewind(release: stage.release, policy: stage.policy, gate: gate) { _ in }
        }
        #expect(failure?.message == "a request does not end")
        #expect(await gate.calls == ["hold", "letGo"])
        try await stage.stable("INSERT INTO accounts VALUES (5, 'fay', 50)")
        try await stage.rewind()
        #expect(try await stage.rows("SELECT count(*) FROM accounts") == ["4"])
    }

    @Test func `A switch that outlasts the freeze is undone and says how long it needs`() async throws {
        let stage = try await Stage(schema) { $0.freeze = .seconds(5) }
        try await writeOnBothArms(stage)
        let live = try await stage.rows(accounts)
        let failure = await #expect(throws: Failure.self) {
            try await stage.rewind(at: "switch.tail") { try await Task.sleep(for: .milliseconds(5_200)) }
        }
        #expect(failure?.isTransient == true)
        #expect(failure?.message.contains("held for 5.0 s, it needs") == true)
        #expect(await stage.gate.calls == ["hold", "letGo"])
        #expect(try await stage.rows(accounts) == live)
        try await stage.stable("INSERT INTO accounts VALUES (5, 'fay', 50)")
        try await stage.rewind()
        #expect(try await stage.rows(accounts) == afterwards + ["5|fay|50"])
    }

    @Test func `A column that the canary added goes with its data, stable's rows stay`() async throws {
        let stage = try await Stage(schema)
        try await stage.canary("ALTER TABLE accounts ADD COLUMN extra text DEFAULT 'canary'; CREATE TABLE own (id int)")
        try await stage.stable(
            "INSERT INTO accounts VALUES (4, 'dee', 40); UPDATE accounts SET balance = 11 WHERE id = 1")
        let summary = try await stage.rewind()
        #expect(try await stage.rows(accounts) == ["1|ann|11", "2|bob|20", "3|cid|30", "4|dee|40"])
        #expect(summary.notUndone.contains { $0.contains("schema") })
        #expect(try await stage.rows("SELECT to_regclass('own')") == ["NULL"])
    }

    @Test func `A migration of stable's is refused while a release can be rolled back, and works after it`()
        async throws
    {
        let stage = try await Stage(schema)
        for statement in [
            "ALTER TABLE accounts ADD COLUMN extra text", "DROP TABLE accounts", "CREATE INDEX ON accounts (owner)",
        ] {
            let refusal = await #expect(throws: PostgresError.self) { try await stage.stable(statement) }
            #expect(refusal?.sqlState == "55000")
            #expect("\(refusal.map { "\($0)" } ?? "")".contains("while \(stage.release) can be rolled back"))
        }
        try await stage.stable("CREATE TEMPORARY TABLE scratch (id int); DROP TABLE scratch")
        try await stage.canary("INSERT INTO accounts VALUES (9, 'eve', 9)")
        #expect(try await stage.rewind().mode == "swap")
        try await stage.stable("ALTER TABLE accounts ADD COLUMN extra text")
    }

    @Test func `What is not recorded is said`() async throws {
        let stage = try await Stage(
            schema + "CREATE UNLOGGED TABLE cache (id int); CREATE MATERIALIZED VIEW rich AS SELECT 1 AS n;")
        try await stage.canary("INSERT INTO accounts VALUES (9, 'eve', 9)")
        let superuser = try await Connection.open(stage.server.settings(database: stage.database))
        _ = try await superuser.query("SELECT lo_create(0)")
        _ = try await superuser.query(
            "SELECT pg_create_logical_replication_slot('other_\(stage.database)', 'pgoutput')")
        await superuser.close()
        let left = try await stage.rewind().notUndone
        for word in ["large objects", "unlogged table public.cache", "view public.rich", "slot other_"] {
            #expect(left.contains { $0.contains(word) }, "\(word)")
        }
        #expect(
            try await stage.rows("SELECT pg_drop_replication_slot('other_\(stage.database)')", in: stage.previous) == [
                ""
            ])
    }

    @Test func `Sessions that come while live is closed are refused, the others are ended`() async throws {
        let stage = try await Stage(schema)
        let old = try await Connection.open(
            stage.server.settings(database: stage.database, user: "shop_\(stage.database)"))
        try await stage.rewind(at: "switch.fenced") {
            await #expect(throws: PostgresError.self) {
                try await Connection.open(stage.server.settings(database: stage.database))
            }
            await #expect(throws: PostgresError.self) { try await old.query("SELECT 1") }
        }
        try await stage.stable("INSERT INTO accounts VALUES (5, 'fay', 50)")
        #expect(try await stage.rows("SELECT count(*) FROM accounts") == ["4"])
    }
}
