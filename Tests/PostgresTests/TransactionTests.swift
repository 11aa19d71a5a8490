// Goal: a transaction is whole or nothing, and nobody else speaks in it. Method: a real PostgreSQL.

import Postgres
import PostgresSupport
import Testing

@Suite("A transaction")
struct TransactionTests {
    private func openWithTable() async throws -> Connection {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        return connection
    }

    @Test("commits what its body did and gives the body's value")
    func commits() async throws {
        let connection = try await openWithTable()
        let value = try await connection.transaction { connection in
            try connection.query("INSERT INTO t VALUES (1)").affected
        }
        #expect(value == 1)
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "1")
    }

    @Test("rolls back when its body throws")
    func rollsBack() async throws {
        let connection = try await openWithTable()
        await #expect(throws: Refusal.self) {
            try await connection.transaction { connection in
                try connection.execute("INSERT INTO t VALUES (1)")
                throw Refusal()
            }
        }
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
        #expect(try await connection.query("SELECT pg_current_xact_id_if_assigned()").scalar == nil)
    }

    @Test("throws when an error within it was passed over, instead of committing nothing silently")
    func swallowedError() async throws {
        let connection = try await openWithTable()
        let error = await failure {
            try await connection.transaction { connection in
                try connection.execute("INSERT INTO t VALUES (1)")
                _ = try? connection.query("SELECT 1/0")
            }
        }
        #expect(error?.isUsage == true)
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
    }

    @Test("throws the server's error when the commit is refused")
    func refusedCommit() async throws {
        let connection = try await openWithTable()
        let error = await failure {
            try await connection.transaction { try $0.execute("INSERT INTO t VALUES (1), (1)") }
        }
        #expect(error?.sqlState == "23505")
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
    }

    @Test("does not nest")
    func nesting() async throws {
        let connection = try await openWithTable()
        let error = await failure {
            try await connection.transaction { connection in
                try connection.execute("INSERT INTO t VALUES (1)")
                try await connection.transaction { try $0.execute("INSERT INTO t VALUES (2)") }
            }
        }
        #expect(error?.isUsage == true)
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
    }

    @Test("refuses statements of other tasks while its body waits")
    func otherTasks() async throws {
        let connection = try await openWithTable()
        let (started, startedSignal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let (released, releaseSignal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        async let outer: Void = connection.transaction { connection in
            try connection.execute("INSERT INTO t VALUES (1)")
            startedSignal.yield()
            for await _ in released { break }
            try connection.execute("INSERT INTO t VALUES (2)")
        }
        for await _ in started { break }
        let error = await failure { _ = try await connection.query("INSERT INTO t VALUES (3)") }
        #expect(error?.isUsage == true)
        releaseSignal.yield()
        try await outer
        #expect(try await connection.query("SELECT sum(a) FROM t").scalar == "3")
    }

    @Test("may span two connections")
    func twoConnections() async throws {
        let (one, two) = (try await openWithTable(), try await openWithTable())
        try await one.transaction { connection in
            try connection.execute("INSERT INTO t VALUES (1)")
            try await two.transaction { try $0.execute("INSERT INTO t VALUES (2)") }
            try connection.execute("INSERT INTO t VALUES (3)")
            _ = try await two.query("SELECT 1")
        }
        #expect(try await one.query("SELECT sum(a) FROM t").scalar == "4")
        #expect(try await two.query("SELECT sum(a) FROM t").scalar == "2")
    }

    @Test("says that the outcome is unknown when the session ends while committing")
    func lostWhileCommitting() async throws {
        let settings = try await ConnectionSettings(url: PostgresServer.shared().freshDatabase())
        let connection = try await Connection.open(settings)
        try await connection.execute(
            """
            CREATE TABLE t (a int);
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION slow();
            """)
        let pid = await connection.backendPID
        async let lost = failure { try await connection.transaction { try $0.execute("INSERT INTO t VALUES (1)") } }
        let other = try await Connection.open(settings)
        try await eventually("the commit waits in its trigger") {
            try await other.query(
                "SELECT query = 'COMMIT' AND wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1", ["\(pid)"]
            ).scalar == "t"
        }
        _ = try await other.query("SELECT pg_terminate_backend($1)", ["\(pid)"])
        let error = await lost
        #expect(error?.isLoss == true)
        #expect(error?.description.contains("whether the transaction has committed is unknown") == true)
    }
}
