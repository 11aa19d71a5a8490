// Goal: many statements in one round trip, with the right results and the right error. Method: a real PostgreSQL.

import Postgres
import Testing

@Suite("A pipeline")
struct PipelineTests {
    @Test("gives a result for each statement, in order", arguments: [false, true])
    func results(_ prepared: Bool) async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int, b text)")
        let results = try await connection.pipeline(
            [
                ("INSERT INTO t VALUES ($1, $2)", ["1", nil]), ("INSERT INTO t VALUES ($1, $2)", ["2", "two"]),
                ("SELECT a, b FROM t ORDER BY a", []), ("DELETE FROM t", []),
            ], prepared: prepared)
        #expect(results.map(\.affected) == [1, 1, 2, 2])
        #expect(results[2].rows == [["1", nil], ["2", "two"]])
        #expect(try await connection.pipeline([], prepared: prepared).isEmpty)
        let statements = try await connection.query("SELECT count(*) FROM pg_prepared_statements").scalar
        #expect(statements == (prepared ? "3" : "0"))
    }

    @Test("throws the first error with its index and undoes itself", arguments: [false, true])
    func errorInTheMiddle(_ prepared: Bool) async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int CONSTRAINT positive CHECK (a > 0))")
        let insert = "INSERT INTO t VALUES ($1)"
        let error = await failure {
            _ = try await connection.pipeline(
                [(insert, ["1"]), (insert, ["2"]), (insert, ["-3"]), (insert, ["-4"])], prepared: prepared)
        }
        #expect(error?.sqlState == "23514")
        #expect(error?.serverError?.constraint == "positive")
        #expect(error?.serverError?.statementIndex == 2)
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
        let again = try await connection.pipeline([(insert, ["5"]), (insert, ["6"])], prepared: prepared)
        #expect(again.map(\.affected) == [1, 1], "the session lives on")
    }

    @Test("names the statement that does not parse", arguments: [false, true])
    func parseError(_ prepared: Bool) async throws {
        let connection = try await openFresh()
        let error = await failure {
            _ = try await connection.pipeline(
                [("SELECT 1", []), ("SELEC 2", []), ("SELECT 3", [])], prepared: prepared)
        }
        #expect(error?.sqlState == "42601")
        #expect(error?.serverError?.statementIndex == 1)
        #expect(try await connection.pipeline([("SELECT 3", [])], prepared: prepared).first?.scalar == "3")
    }

    @Test("is part of the transaction around it")
    func withinTransaction() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int)")
        await #expect(throws: Refusal.self) {
            try await connection.transaction { connection in
                _ = try connection.pipeline([("INSERT INTO t VALUES (1)", []), ("INSERT INTO t VALUES (2)", [])])
                throw Refusal()
            }
        }
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
    }

    @Test("does not deadlock when both sides have megabytes to say")
    func bothDirections() async throws {
        let connection = try await openFresh(answerTimeout: .seconds(30))
        let value = String(repeating: "x", count: 20_000)
        let batch: [(sql: String, parameters: [String?])] = Array(repeating: ("SELECT $1::text", [value]), count: 1_000)
        let results = try await connection.pipeline(batch)
        #expect(results.count == 1_000)
        #expect(results.allSatisfy { $0.scalar == value })
    }
}
