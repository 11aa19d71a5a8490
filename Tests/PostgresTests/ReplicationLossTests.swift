// Goal: a stream that is quiet stays up, and one that ends says why. Method: a real PostgreSQL with short timeouts, whose
// walsenders are ended in several ways; a fake server for what only version 18 does.

import Postgres
import PostgresSupport
import Testing

@Suite("A replication stream in trouble", .timeLimit(.minutes(2)))
struct ReplicationLossTests {
    @Test("answers keepalives while it is read, so that the server does not give it up")
    func keepalives() async throws {
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)")
        // It asks after half of this, and would end the session after all of it.
        let stream = try await bench.stream(["wal_sender_timeout": "3s"])
        #expect(try await requests(in: stream, upTo: 3) == 3)
        try await bench.sql.execute("INSERT INTO t VALUES (1)")
        #expect(try await bench.messages(of: stream, commits: 1).compactMap(\.summary) == ["I 1"])
    }

    /// Counts requests for a reply, on the stream's own thread: tasks of the shared pool may have to wait for tests that
    /// compute, longer than the server does.
    private func requests(in stream: isolated ReplicationConnection, upTo limit: Int) throws -> Int {
        var count = 0
        let deadline = ContinuousClock.now + .seconds(20)
        while count < limit, ContinuousClock.now < deadline {
            if case .keepalive(_, replyRequested: true, _) = try stream.next(timeout: .milliseconds(100)) { count += 1 }
        }
        return count
    }

    @Test("is given up by the server when nobody reads it, and says so")
    func unanswered() async throws {
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)")
        let stream = try await bench.stream(["wal_sender_timeout": "300ms"])
        try await eventually("the server has given up") { try await bench.slotValue("active") == "f" }
        let error = await failure {
            for _ in 0..<100 { _ = try await stream.next(timeout: .milliseconds(50)) }
        }
        #expect(error?.isLoss == true)
    }

    @Test("gives nothing when nothing comes in time")
    func quiet() async throws {
        let bench = try await ReplicationBench()
        let stream = try await bench.stream()
        try await eventually("nothing has come within a hundredth of a second") {
            try await stream.next(timeout: .milliseconds(10)) == nil
        }
    }

    @Test("asks for a keepalive and gets it at once")
    func requestedKeepalive() async throws {
        let bench = try await ReplicationBench()
        let stream = try await bench.stream()
        try await stream.sendStatus(written: .zero, flushed: .zero, applied: .zero, replyRequested: true)
        var hasAnswer = false
        let deadline = ContinuousClock.now + .seconds(10)
        while !hasAnswer, ContinuousClock.now < deadline {
            if case .keepalive(let walEnd, _, _) = try await stream.next(timeout: .milliseconds(100)) {
                hasAnswer = walEnd > .zero
            }
        }
        #expect(hasAnswer)
    }

    @Test("ends with the server's error when a publication does not exist")
    func missingPublication() async throws {
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)")
        let stream = try await bench.open()
        try await stream.startReplication(
            slot: bench.slot, from: .zero, publications: ["everything", "no \"such' one"])
        try await bench.sql.execute("INSERT INTO t VALUES (1)")
        let error = await failure {
            for _ in 0..<100 { _ = try await stream.next(timeout: .milliseconds(100)) }
        }
        #expect(error?.sqlState == "42704")
        #expect(error?.description.contains("publication \"no \"such' one\" does not exist") == true)
        #expect(await failure { _ = try await stream.next(timeout: .zero) }?.isUsage == true, "the stream is over")
    }

    @Test("ends when a server of version 18 warns that it leaves a publication out")
    func skippedPublication() async throws {
        let server = try FakeServer()
        func field(_ code: Character, _ value: String) -> [UInt8] { ascii(String(code)) + cString(value) }
        let warning =
            field("S", "WARNUNG") + field("V", "WARNING") + field("C", "55000")
            + field("M", "skipped loading publication \"perch\"") + [0]
        let keepalive = ascii("k") + u64(1) + u64(2) + [0]
        server.serve([
            FakeServer.done,
            FakeServer.message("W", [0, 0, 0]) + FakeServer.message("N", warning) + FakeServer.message("d", keepalive),
        ])
        let stream = try await ReplicationConnection.open(
            ConnectionSettings(parameters: [
                "host": "127.0.0.1", "port": "\(server.port)", "user": "u", "sslmode": "disable",
                "gssencmode": "disable",
            ]))
        try await stream.startReplication(slot: "s", from: .zero, publications: ["perch"])
        let error = await failure {
            for _ in 0..<100 { _ = try await stream.next(timeout: .milliseconds(100)) }
        }
        #expect(error?.serverError?.severity == "WARNING")
        #expect(error?.serverError?.message == "skipped loading publication \"perch\"")
        #expect(await stream.isOpen == false)
    }

    @Test("is not taken for a result where none was asked for")
    func unexpectedStream() async throws {
        let server = try FakeServer()
        server.serve([FakeServer.message("W", [0, 0, 0])])
        let settings = ConnectionSettings(parameters: [
            "host": "127.0.0.1", "port": "\(server.port)", "user": "u", "sslmode": "disable", "gssencmode": "disable",
        ])
        let connection = try await Connection.open(settings)
        #expect(await failure { try await connection.execute("SELECT 1") }?.isUsage == true)
        #expect(await connection.isOpen == false)
    }

    @Test("passes on what the server remarks while it streams")
    func notices() async throws {
        let bench = try await ReplicationBench()
        let stream = try await bench.stream(["client_min_messages": "log"])
        var remarks: [String] = []
        try await eventually("the walsender's remark has come") {
            _ = try await stream.next(timeout: .milliseconds(50))
            remarks += await stream.takeNotices().map(\.message)
            return remarks.contains { $0.contains("starting logical decoding for slot \"\(bench.slot)\"") }
        }
    }

    @Test("reports the loss when its walsender is terminated")
    func terminated() async throws {
        let bench = try await ReplicationBench()
        let stream = try await bench.stream()
        _ = try await bench.sql.query("SELECT pg_terminate_backend($1)", ["\(await stream.backendPID)"])
        let error = await failure {
            for _ in 0..<100 { _ = try await stream.next(timeout: .milliseconds(100)) }
        }
        #expect(error?.isLoss == true)
        #expect(error?.description.contains("administrator command") == true)
        #expect(await failure { _ = try await stream.next(timeout: .zero) }?.isLoss == true)
    }

    @Test("reports the loss when the server stops or crashes", arguments: [PostgresServer.StopMode.fast, .immediate])
    func stopped(_ mode: PostgresServer.StopMode) async throws {
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)", server: server)
        let stream = try await bench.stream()
        async let lost = failure {
            // A fast shutdown waits until we have confirmed everything.
            for _ in 0..<1_000 {
                switch try await stream.next(timeout: .milliseconds(50)) {
                case .keepalive(let walEnd, _, _):
                    try await stream.sendStatus(written: walEnd, flushed: walEnd, applied: walEnd)
                case .data, nil: break
                }
            }
        }
        try await server.stop(mode)
        #expect(await lost?.isLoss == true)
        try await server.start()
        let sql = try await Connection.open(bench.settings)
        try await sql.execute("INSERT INTO t VALUES (1)")
        #expect(try await bench.messages(of: bench.stream(), commits: 1).compactMap(\.summary) == ["I 1"])
    }
}
