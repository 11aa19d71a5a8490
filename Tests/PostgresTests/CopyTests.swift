// Goal: rows in and out by COPY, whole or not at all, and a session that survives both ends giving up.
// Method: a real PostgreSQL.

import Postgres
import Testing

@Suite("COPY")
struct CopyTests {
    @Test("takes rows in chunks that end anywhere, and gives them back")
    func roundTrip() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int, b text)")
        let text = (1...1_000).map { "\($0)\t\($0 % 3 == 0 ? "\\N" : "värde \($0)")\n" }.joined()
        let taken = try await connection.copyIn("COPY t FROM STDIN") { writer in
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: 7) {
                try writer.write(Array(bytes[start..<min(start + 7, bytes.count)]))
            }
        }
        #expect(taken == 1_000)
        let given = try await connection.transaction { connection in
            var given: [UInt8] = []
            let rows = try connection.copyOut("COPY (SELECT * FROM t ORDER BY a) TO STDOUT") { given += $0 }
            #expect(rows == 1_000)
            return given
        }
        #expect(String(decoding: given, as: UTF8.self) == text)
    }

    @Test("moves many megabytes both ways")
    func large() async throws {
        let connection = try await openFresh(answerTimeout: .seconds(30))
        try await connection.execute("CREATE UNLOGGED TABLE t (b text)")
        let row = String(repeating: "y", count: 999) + "\n"
        let taken = try await connection.copyIn("COPY t FROM STDIN") { writer in
            let chunk = Array(String(repeating: row, count: 3_000).utf8)
            for _ in 0..<10 { try writer.write(chunk) }
        }
        #expect(taken == 30_000)
        let size = try await connection.transaction { connection in
            var size = 0
            try connection.copyOut("COPY t TO STDOUT") { size += $0.count }
            return size
        }
        #expect(size == 30_000_000)
    }

    @Test("keeps no row when the writer gives up")
    func writerGivesUp() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int)")
        await #expect(throws: Refusal.self) {
            try await connection.copyIn("COPY t FROM STDIN") { writer in
                try writer.write(Array("1\n2\n".utf8))
                throw Refusal()
            }
        }
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
    }

    @Test("reports the server's refusal of a row, however much follows it")
    func serverRefuses() async throws {
        let connection = try await openFresh(answerTimeout: .seconds(30))
        try await connection.execute("CREATE TABLE t (a int)")
        let rest = Array(String(repeating: "7\n", count: 100_000).utf8)
        let error = await failure {
            try await connection.copyIn("COPY t FROM STDIN") { writer in
                try writer.write(Array("1\nnonsense\n".utf8))
                for _ in 0..<100 { try writer.write(rest) }
            }
        }
        #expect(error?.sqlState == "22P02")
        #expect(try await connection.query("SELECT count(*) FROM t").scalar == "0")
    }

    @Test("stops the server when the reader has had enough")
    func readerGivesUp() async throws {
        let connection = try await openFresh(answerTimeout: .seconds(30))
        await #expect(throws: Refusal.self) {
            try await connection.copyOut("COPY (SELECT generate_series(1, 1000000000)) TO STDOUT") { _ in
                throw Refusal()
            }
        }
        #expect(try await connection.query("SELECT 1").scalar == "1")
    }

    @Test("reports an error in the middle of the rows")
    func errorInTheMiddle() async throws {
        let connection = try await openFresh()
        let error = await failure {
            try await connection.copyOut("COPY (SELECT 1 / (500 - a) FROM generate_series(1, 1000) a) TO STDOUT") { _ in
            }
        }
        #expect(error?.sqlState == "22012")
        #expect(try await connection.query("SELECT 1").scalar == "1")
    }

    @Test("refuses what is no COPY in its direction")
    func wrongStatement() async throws {
        let connection = try await openFresh()
        try await connection.execute("CREATE TABLE t (a int)")
        #expect(await failure { try await connection.copyOut("SELECT 1") { _ in } }?.isUsage == true)
        #expect(await failure { try await connection.copyOut("COPY t FROM STDIN") { _ in } }?.isUsage == true)
        #expect(await failure { try await connection.copyIn("COPY t TO STDOUT") { _ in } }?.isUsage == true)
        #expect(await failure { try await connection.copyIn("COPY nowhere FROM STDIN") { _ in } }?.sqlState == "42P01")
        #expect(try await connection.query("SELECT 1").scalar == "1")
    }
}
