// Goal: nothing is switched that is not proven equal. Method: a restored database that somebody touched, on real
// PostgreSQL, and the named keys of what differs.

import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

private let schema = """
    CREATE TABLE accounts (id int, branch text, balance int NOT NULL, PRIMARY KEY (id, branch));
    INSERT INTO accounts SELECT n, 'north', n FROM generate_series(1, 5000) n;
    CREATE TABLE log (line text);
    ALTER TABLE log REPLICA IDENTITY FULL;
    INSERT INTO log VALUES ('a'), ('a'), ('b');
    """

@Suite struct VerificationTests {
    /// Runs `script` in the restored database once replay is done.
    ///
    /// - Parameter calls: what the gate is asked for until the difference is found.
    private func failure(_ script: String, _ stage: Stage, calls: [String] = []) async throws -> Failure? {
        try await stage.stable("UPDATE accounts SET balance = balance + 1 WHERE id < 100; INSERT INTO log VALUES ('s')")
        try await stage.canary("UPDATE accounts SET balance = 0 WHERE id = 7; DELETE FROM log WHERE line = 'b'")
        let live = try await stage.rows("SELECT sum(balance) FROM accounts")
        let failure = await #expect(throws: Failure.self) {
            try await stage.rewind(at: "replay.done") {
                let connection = try await Connection.open(stage.server.settings(database: stage.restored))
                try await connection.execute(script)
                await connection.close()
            }
        }
        #expect(try await stage.rows("SELECT sum(balance) FROM accounts") == live)
        #expect(await stage.gate.calls == calls)
        return failure
    }

    @Test func `A changed row is found and named`() async throws {
        let failure = try await failure("UPDATE accounts SET balance = 1 WHERE id = 4321", try await Stage(schema))
        #expect(failure?.message.contains("public.accounts") == true)
        #expect(failure?.message.contains("(4321, north) differ") == true)
    }

    @Test func `A missing row is found and named`() async throws {
        let failure = try await failure("DELETE FROM accounts WHERE id = 4321", try await Stage(schema))
        #expect(failure?.message.contains("4999") == true)
        #expect(failure?.message.contains("(4321, north)") == true)
    }

    @Test func `A copy too many in a table without key is found`() async throws {
        let failure = try await failure("INSERT INTO log VALUES ('a')", try await Stage(schema))
        #expect(failure?.message.contains("public.log") == true)
    }

    @Test func `A changed definition is found`() async throws {
        let failure = try await failure(
            "ALTER TABLE accounts ADD CHECK (balance >= 0)", try await Stage(schema), calls: ["hold", "letGo"])
        #expect(failure?.message.contains("accounts_balance_check") == true)
    }

    @Test func `Rows that both arms wrote may differ, and only those`() async throws {
        let stage = try await Stage(schema)
        try await stage.canary(
            "UPDATE accounts SET balance = 0 WHERE id IN (7, 8, 10); DELETE FROM log WHERE line = 'b'")
        try await stage.stable("UPDATE accounts SET balance = balance + 1 WHERE id < 8; INSERT INTO log VALUES ('a')")
        let summary = try await stage.rewind()
        #expect(summary.tablesVerified == 2 && summary.rowsVerified == 4998 + 4)
        #expect(
            try await stage.rows("SELECT balance FROM accounts WHERE id IN (6, 7, 8, 9, 10) ORDER BY id")
                == ["7", "1", "8", "9", "10"])
        #expect(try await stage.rows("SELECT line FROM log ORDER BY 1") == ["a", "a", "a", "b"])
    }
}
