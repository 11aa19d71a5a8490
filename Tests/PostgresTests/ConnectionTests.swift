// Goal: a session does what SQL says and reports what the server says. Method: a real PostgreSQL.

import Postgres
import PostgresSupport
import Testing

@Suite("A connection")
struct ConnectionTests {
    @Test("gives back parameters, NULL and names of columns as text")
    func parameters() async throws {
        let connection = try await openFresh()
        let result = try await connection.query(
            "SELECT $1::text AS word, $2::int + 1 AS next, $3::text AS missing, '' AS empty",
            ["it's \"quoted\" \\ \u{1F426}", "41", nil])
        #expect(result.columns == ["word", "next", "missing", "empty"])
        #expect(result.rows == [["it's \"quoted\" \\ \u{1F426}", "42", nil, ""]])
        #expect(result[0, "next"] == "42")
        #expect(result.scalar == "it's \"quoted\" \\ \u{1F426}")
        #expect(result.affected == 1)
    }

    @Test("counts the rows that a statement touched")
    func affected() async throws {
        let connection = try await openFresh()
        #expect(try await connection.query("CREATE TABLE t (a int)").affected == 0)
        #expect(try await connection.query("INSERT INTO t SELECT generate_series(1, 7)").affected == 7)
        #expect(try await connection.query("UPDATE t SET a = a WHERE a > 5").affected == 2)
        #expect(try await connection.query("DELETE FROM t").affected == 7)
    }

    @Test("reports SQLSTATE, constraint, table, and keeps row values out of the description")
    func serverErrors() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE people (mail text CONSTRAINT one_mail UNIQUE)")
        _ = try await connection.query("INSERT INTO people VALUES ($1)", ["secret@example.org"])
        let error = await failure {
            _ = try await connection.query("INSERT INTO people VALUES ($1)", ["secret@example.org"])
        }
        let report = try #require(error?.serverError)
        #expect(report.sqlState == "23505")
        #expect(report.severity == "ERROR")
        #expect(report.schema == "public")
        #expect(report.table == "people")
        #expect(report.constraint == "one_mail")
        #expect(report.detail?.contains("secret@example.org") == true)
        #expect(!report.description.contains("secret@example.org"))

        let syntax = await failure { _ = try await connection.query("SELECT 1 +* FROM t") }
        #expect(syntax?.sqlState == "42601")
        #expect(syntax?.serverError?.position == 13)
        #expect(try await connection.query("SELECT 1").scalar == "1", "the session lives on")
    }

    @Test("reports the column of a NOT NULL violation")
    func notNull() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int NOT NULL)")
        let error = await failure { _ = try await connection.query("INSERT INTO t VALUES (NULL)") }
        #expect(error?.sqlState == "23502")
        #expect(error?.serverError?.column == "a")
    }

    @Test("refuses zero bytes instead of cutting the text there")
    func zeroBytes() async throws {
        let connection = try await openFresh()
        let inParameter = await failure { _ = try await connection.query("SELECT $1::text, $2::text", ["a", "b\0c"]) }
        #expect(inParameter == .usage("parameter $2 has a zero byte, which PostgreSQL's text cannot hold"))
        let inStatement = await failure { try await connection.execute("SELECT 1\0; DROP TABLE t") }
        #expect(inStatement?.isUsage == true)
    }

    @Test("runs a script of many statements and stops at the first error")
    func script() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT * FROM t;")
        let error = await failure { try await connection.execute("INSERT INTO t VALUES (3); SELECT 1/0; SELECT 1") }
        #expect(error?.sqlState == "22012")
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "2", "a script is one transaction")
    }

    @Test("refuses COPY as a query and goes on")
    func copyAsQuery() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int)")
        for statement in ["COPY t FROM STDIN", "COPY (SELECT generate_series(1, 100000)) TO STDOUT"] {
            #expect(await failure { _ = try await connection.query(statement) }?.isUsage == true)
            #expect(await failure { try await connection.execute(statement) }?.isUsage == true)
        }
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
    }

    @Test("collects notices, the last hundred of them")
    func notices() async throws {
        let connection = try await openFresh()
        try await connection.execute(
            "DO $$ BEGIN RAISE WARNING 'careful' USING ERRCODE = '01007', HINT = 'look'; END $$")
        #expect(
            await connection.takeNotices() == [
                Notice(severity: "WARNING", sqlState: "01007", message: "careful", hint: "look")
            ])
        #expect(await connection.takeNotices().isEmpty)
        try await connection.execute("DO $$ BEGIN FOR i IN 1..250 LOOP RAISE NOTICE '%', i; END LOOP; END $$")
        let last = await connection.takeNotices()
        #expect(last.count == 100)
        #expect(last.first?.message == "151")
        #expect(last.last?.message == "250")
    }

    @Test("knows its backend and the server's version")
    func identity() async throws {
        let connection = try await openFresh()
        #expect(try await connection.query("SELECT pg_backend_pid()").scalar == "\(await connection.backendPID)")
        let version = try await connection.query("SHOW server_version_num").scalar
        #expect(version == "\(await connection.serverVersion)")
    }

    @Test("reaches the server through its Unix socket, by URL")
    func unixSocket() async throws {
        let server = try await PostgresServer.shared()
        let settings = server.settings().with("host", server.folder)
        let connection = try await Connection.open(ConnectionSettings(url: settings.url))
        #expect(try await connection.query("SELECT inet_client_addr()").scalar == nil)
    }

    @Test("prepares a statement once a session")
    func prepared() async throws {
        let connection = try await openFresh()
        for number in 1...5 {
            let next = try await connection.queryPrepared("SELECT $1::int + 1", ["\(number)"]).scalar
            #expect(next == "\(number + 1)")
        }
        #expect(try await connection.query("SELECT count(*) FROM pg_prepared_statements").scalar == "1")
        let error = await failure { _ = try await connection.queryPrepared("SELECT $1::int + 1", ["x"]) }
        #expect(error?.sqlState == "22P02")
        let refused = await failure { _ = try await connection.queryPrepared("SELECT nowhere", []) }
        #expect(refused?.sqlState == "42703")
    }

    @Test("prepares again what the server forgot or what changed its columns")
    func stalePrepared() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        #expect(try await connection.queryPrepared("SELECT * FROM t").columns == ["a"])
        try await connection.execute("DISCARD ALL")
        #expect(try await connection.queryPrepared("SELECT * FROM t").columns == ["a"])
        try await connection.execute("ALTER TABLE t ADD COLUMN b int")
        #expect(try await connection.queryPrepared("SELECT * FROM t").columns == ["a", "b"])
    }

    @Test("keeps a bounded number of prepared statements")
    func boundedPrepared() async throws {
        let connection = try await openFresh()
        for number in 1...300 { _ = try await connection.queryPrepared("SELECT \(number)") }
        let count = try #require(
            Int(try await connection.query("SELECT count(*) FROM pg_prepared_statements").scalar ?? ""))
        #expect((1...256).contains(count))
    }

    @Test(
        "quotes names and values so that the server reads them as they are",
        arguments: ["plain", "it's", "a\"b", "\\", "C:\\'x", "Ünï", "select"])
    func quoting(_ text: String) async throws {
        let connection = try await openFresh()
        for strings in ["on", "off"] {
            try await connection.execute("SET standard_conforming_strings = \(strings)")
            let result = try await connection.query("SELECT\(quoteLiteral(text)) AS \(quoteIdentifier(text))")
            #expect(result.columns == [text])
            #expect(result.scalar == text)
        }
    }
}
