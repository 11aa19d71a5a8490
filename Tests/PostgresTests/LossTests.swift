// Goal: whatever happens to the server, every call ends, and says what is known. Method: a real PostgreSQL whose
// backends are cancelled, terminated, frozen and killed; a listener that never answers.

import Glibc
import Postgres
import PostgresSupport
import Testing

@Suite("A connection in trouble", .timeLimit(.minutes(2)))
struct LossTests {
    /// Returns once the session runs a statement that sleeps.
    private func awaitSleep(of pid: Int32, seenBy observer: Connection) async throws {
        try await eventually("backend \(pid) sleeps") {
            try await observer.query(
                "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1", ["\(pid)"]
            ).scalar == "t"
        }
    }

    @Test("is cancelled from any thread and goes on")
    func cancel() async throws {
        let (connection, observer) = (try await openFresh(), try await openFresh())
        let pid = await connection.backendPID
        async let cancelled = failure { _ = try await connection.query("SELECT pg_sleep(60)") }
        try await awaitSleep(of: pid, seenBy: observer)
        connection.cancel()
        #expect(await cancelled?.sqlState == "57014")
        #expect(try await connection.query("SELECT 1").scalar == "1")
    }

    @Test("reports the loss when its backend is terminated while idle, and for ever after")
    func terminatedIdle() async throws {
        let (connection, observer) = (try await openFresh(), try await openFresh())
        let pid = await connection.backendPID
        _ = try await observer.query("SELECT pg_terminate_backend($1, 5000)", ["\(pid)"])
        for _ in 0..<3 {
            #expect(await failure { _ = try await connection.query("SELECT 1") }?.isLoss == true)
            #expect(await connection.isOpen == false)
        }
        #expect(await failure { _ = try await connection.pipeline([("SELECT 1", [])]) }?.isLoss == true)
        #expect(await failure { try await connection.execute("SELECT 1") }?.isLoss == true)
        #expect(await failure { try await connection.copyOut("COPY (SELECT 1) TO STDOUT") { _ in } }?.isLoss == true)
        #expect(await failure { try await connection.transaction { _ in } }?.isLoss == true)
    }

    @Test("reports the loss when its backend is terminated in a statement, with the server's reason")
    func terminatedBusy() async throws {
        let (connection, observer) = (try await openFresh(), try await openFresh())
        let pid = await connection.backendPID
        async let lost = failure { _ = try await connection.query("SELECT pg_sleep(60)") }
        try await awaitSleep(of: pid, seenBy: observer)
        _ = try await observer.query("SELECT pg_terminate_backend($1)", ["\(pid)"])
        let error = await lost
        #expect(error?.isLoss == true)
        #expect(error?.description.contains("administrator command") == true)
    }

    @Test("reports the loss when its backend ends in a pipeline or a COPY")
    func terminatedElsewhere() async throws {
        let observer = try await openFresh()
        let inPipeline = try await openFresh()
        var pid = await inPipeline.backendPID
        async let lostPipeline = failure {
            _ = try await inPipeline.pipeline([("SELECT 1", []), ("SELECT pg_sleep(60)", []), ("SELECT 3", [])])
        }
        try await awaitSleep(of: pid, seenBy: observer)
        _ = try await observer.query("SELECT pg_terminate_backend($1)", ["\(pid)"])
        #expect(await lostPipeline?.isLoss == true)

        let inCopy = try await openFresh()
        pid = await inCopy.backendPID
        async let lostCopy = failure {
            try await inCopy.copyOut("COPY (SELECT pg_sleep(60)) TO STDOUT") { _ in }
        }
        try await awaitSleep(of: pid, seenBy: observer)
        _ = try await observer.query("SELECT pg_terminate_backend($1)", ["\(pid)"])
        #expect(await lostCopy?.isLoss == true)
    }

    @Test("reports the loss when a COPY's writer outlives its backend")
    func terminatedUnderWriter() async throws {
        let (connection, observer) = (try await openFresh(), try await openFresh())
        try await connection.execute("CREATE TABLE t (a text)")
        let pid = await connection.backendPID
        let row = String(repeating: "z", count: 99) + "\n"
        let chunk = Array(String(repeating: row, count: 10_000).utf8)
        async let lost = failure {
            // Far more than the server could take before it is told to end.
            try await connection.copyIn("COPY t FROM STDIN") { writer in
                for _ in 0..<100_000 { try writer.write(chunk) }
            }
        }
        try await eventually("the COPY runs") {
            try await observer.query("SELECT count(*) FROM pg_stat_progress_copy WHERE pid = $1", ["\(pid)"]).scalar
                == "1"
        }
        _ = try await observer.query("SELECT pg_terminate_backend($1)", ["\(pid)"])
        #expect(await lost?.isLoss == true)
    }

    @Test("reports the loss when the server crashes, and a new one opens after recovery")
    func immediateShutdown() async throws {
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let (busy, idle) = (try await Connection.open(server.settings()), try await Connection.open(server.settings()))
        let observer = try await Connection.open(server.settings())
        let pid = await busy.backendPID
        async let lost = failure { _ = try await busy.query("SELECT pg_sleep(60)") }
        try await awaitSleep(of: pid, seenBy: observer)
        try await server.stop(.immediate)
        #expect(await lost?.isLoss == true)
        #expect(await failure { _ = try await idle.query("SELECT 1") }?.isLoss == true)
        let refused = await failure { _ = try await Connection.open(server.settings()) }
        #expect(refused?.isFailedConnection == true)
        try await server.start()
        let again = try await Connection.open(server.settings())
        #expect(try await again.query("SELECT 1").scalar == "1")
    }

    @Test("a slow statement is cancelled after the answer timeout, and the session goes on")
    func answerTimeout() async throws {
        let connection = try await openFresh(answerTimeout: .milliseconds(200))
        #expect(await failure { _ = try await connection.query("SELECT pg_sleep(60)") }?.isTimeout == true)
        #expect(try await connection.query("SELECT 1").scalar == "1")
        let inPipeline = await failure {
            _ = try await connection.pipeline([("SELECT 1", []), ("SELECT pg_sleep(60)", []), ("SELECT 2", [])])
        }
        #expect(inPipeline?.isTimeout == true)
        #expect(try await connection.query("SELECT 1").scalar == "1")
        let inCopy = await failure { try await connection.copyOut("COPY (SELECT pg_sleep(60)) TO STDOUT") { _ in } }
        #expect(inCopy?.isTimeout == true)
        #expect(try await connection.query("SELECT 1").scalar == "1")
    }

    @Test("a frozen server is given up after the answer timeout")
    func frozen() async throws {
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let connection = try await Connection.open(server.settings(), answerTimeout: .milliseconds(200))
        let pid = await connection.backendPID
        #expect(kill(pid, SIGSTOP) == 0)
        defer { kill(pid, SIGCONT) }
        let clock = ContinuousClock()
        let start = clock.now
        #expect(await failure { _ = try await connection.query("SELECT 1") }?.isTimeout == true)
        #expect(clock.now - start < .seconds(20))
        #expect(await connection.isOpen == false)
        #expect(await failure { _ = try await connection.query("SELECT 1") }?.isLoss == true)
    }

    @Test("opening is given up when nobody answers")
    func silentServer() async throws {
        let listener = try FakeServer()
        let settings = ConnectionSettings(parameters: [
            "host": "127.0.0.1", "port": "\(listener.port)", "user": "shop", "password": "hunter2", "dbname": "shop",
        ])
        let error = await failure { _ = try await Connection.open(settings, timeout: .milliseconds(300)) }
        #expect(error?.isFailedConnection == true)
        #expect(error?.description.contains("no answer within") == true)
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test("opening names the reason: unknown database, unknown role, closed port")
    func refusedOpen() async throws {
        let server = try await PostgresServer.shared()
        let database = await failure { _ = try await Connection.open(server.settings(database: "nowhere")) }
        #expect(database?.description.contains("database \"nowhere\" does not exist") == true)
        let role = await failure { _ = try await Connection.open(server.settings(user: "nobody")) }
        #expect(role?.description.contains("role \"nobody\" does not exist") == true)
        let port = await failure { _ = try await Connection.open(server.settings().with("port", "1")) }
        #expect(port?.isFailedConnection == true)
        let unknown = await failure { _ = try await Connection.open(server.settings().with("nonsense", "1")) }
        #expect(unknown?.isFailedConnection == true)
    }

    @Test("closing ends the session at once, twice is fine, and later calls say so")
    func close() async throws {
        let (connection, observer) = (try await openFresh(), try await openFresh())
        let pid = await connection.backendPID
        await connection.close()
        await connection.close()
        #expect(await failure { _ = try await connection.query("SELECT 1") }?.isLoss == true)
        try await eventually("the backend is gone") {
            try await observer.query("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", ["\(pid)"]).scalar == "0"
        }
    }

    @Test("a connection that nobody holds any more ends its session and its thread")
    func released() async throws {
        let observer = try await openFresh()
        let threads = { try threadCount() }
        var pids: [String] = []
        let before = try threads()
        for _ in 0..<20 { pids.append("\(await (try await openFresh()).backendPID)") }
        let list = pids.joined(separator: ",")
        try await eventually("all backends are gone") {
            try await observer.query("SELECT count(*) FROM pg_stat_activity WHERE pid IN (\(list))").scalar == "0"
        }
        // Other tests run beside this one and have threads of their own, but hardly twenty more than before.
        try await eventually("their threads are gone") { try threads() < before + 20 }
    }
}

private func threadCount() throws -> Int {
    var count = 0
    let folder = try #require(opendir("/proc/self/task"))
    defer { closedir(folder) }
    while readdir(folder) != nil { count += 1 }
    return count
}
