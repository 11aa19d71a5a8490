// Goal: a session does what SQL says and reports what the server says. Method: a real PostgreSQL.

import Postgres
import PostgresSupport
import Testing

@Suite("A connection")
struct ConnectionTests {
    private func open() async throws -> Connection {
        try await Connection.open(ConnectionSettings(url: PostgresServer.shared().freshDatabase()))
    }

    @Test("gives back parameters, NULL and names of columns as text")
    func parameters() async throws {
        let connection = try await open()
        let result = try await connection.query(
            "SELECT $1::text AS word, $2::int + 1 AS next, $3::text AS missing, '' AS empty",
            ["it's \"quoted\" \\ \u{1F426}", "41", nil])
        #expect(result.columns == ["word", "next", "missing", "empty"])
        #expect(result.rows == [["it's \"quoted\" \\ \u{1F426}", "42", nil, ""]])
        #expect(result[0, "next"] == "42")
        #expect(result.affected == 1)
    }
}
