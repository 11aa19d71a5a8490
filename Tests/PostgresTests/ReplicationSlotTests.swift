// Goal: slots and snapshots are made and go away as asked, and waits for them end. Method: a real PostgreSQL.

import Postgres
import PostgresSupport
import Testing

@Suite("A replication slot", .timeLimit(.minutes(2)))
struct ReplicationSlotTests {
    @Test("the server says who it is")
    func identity() async throws {
        let bench = try await ReplicationBench(withSlot: false)
        let identity = try await bench.open().identifySystem()
        let row = try await bench.sql.query(
            "SELECT system_identifier, timeline_id FROM pg_control_system(), pg_control_checkpoint()")
        #expect(identity.systemIdentifier == row[0, "system_identifier"])
        #expect("\(identity.timeline)" == row[0, "timeline_id"])
        #expect(identity.database == bench.settings.database)
        #expect(identity.position > .zero)
    }

    @Test("its snapshot shows another session what committed before it, and the stream the rest")
    func exportedSnapshot() async throws {
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)", withSlot: false)
        try await bench.sql.execute("INSERT INTO t VALUES (1)")
        let stream = try await bench.open()
        let slot = try await stream.createLogicalSlot(bench.slot, exportSnapshot: true)
        let snapshot = try #require(slot.snapshotName)
        try await bench.sql.execute("INSERT INTO t VALUES (2)")
        let reader = try await Connection.open(bench.settings)
        let seen = try await reader.transaction(begin: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") { reader in
            try reader.execute("SET TRANSACTION SNAPSHOT \(quoteLiteral(snapshot))")
            return try reader.query("SELECT a FROM t").rows
        }
        #expect(seen == [["1"]])
        #expect(try await bench.slotValue("confirmed_flush_lsn") == slot.consistentPoint.description)
        try await stream.startReplication(slot: bench.slot, from: slot.consistentPoint, publications: ["everything"])
        #expect(try await bench.messages(of: stream, commits: 1).compactMap(\.summary) == ["I 2"])
    }

    @Test("its snapshot is gone after the next command")
    func snapshotEnds() async throws {
        let bench = try await ReplicationBench(withSlot: false)
        let stream = try await bench.open()
        let slot = try await stream.createLogicalSlot(bench.slot, temporary: true, exportSnapshot: true)
        let snapshot = try #require(slot.snapshotName)
        _ = try await stream.identifySystem()
        let error = await failure {
            try await bench.sql.transaction(begin: "BEGIN ISOLATION LEVEL REPEATABLE READ") { connection in
                try connection.execute("SET TRANSACTION SNAPSHOT \(quoteLiteral(snapshot))")
            }
        }
        #expect(error?.sqlState == "22023")
        #expect(await stream.takeNotices().isEmpty)
    }

    @Test("exports nothing when nothing is asked for, and a temporary one goes with its session")
    func temporary() async throws {
        let bench = try await ReplicationBench(withSlot: false)
        let stream = try await bench.open()
        let slot = try await stream.createLogicalSlot(bench.slot, temporary: true, exportSnapshot: false)
        #expect(slot.snapshotName == nil)
        #expect(try await bench.slotValue("temporary") == "t")
        await stream.close()
        try await eventually("the slot is gone") { try await bench.slotValue("temporary") == nil }
    }

    @Test("is given up when a writing transaction keeps it waiting too long, and can be made afterwards")
    func timeout() async throws {
        // The transaction would keep every slot of a shared server waiting.
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let bench = try await ReplicationBench("CREATE TABLE t (a int)", server: server, withSlot: false)
        try await bench.sql.execute("BEGIN; INSERT INTO t VALUES (1)")
        let stream = try await bench.open()
        let error = await failure {
            _ = try await stream.createLogicalSlot(bench.slot, exportSnapshot: true, timeout: .milliseconds(300))
        }
        #expect(error?.isTimeout == true)
        #expect(try await bench.slotValue("slot_name") == nil)
        try await bench.sql.execute("COMMIT")
        #expect(try await stream.createLogicalSlot(bench.slot, exportSnapshot: true).snapshotName != nil)
    }

    @Test("is given up when cancelled from another thread")
    func cancel() async throws {
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let bench = try await ReplicationBench("CREATE TABLE t (a int)", server: server, withSlot: false)
        try await bench.sql.execute("BEGIN; INSERT INTO t VALUES (1)")
        let stream = try await bench.open()
        let pid = await stream.backendPID
        async let cancelled = failure { _ = try await stream.createLogicalSlot(bench.slot, exportSnapshot: false) }
        try await eventually("the walsender waits for the transaction") {
            try await bench.sql.query("SELECT count(*) FROM pg_locks WHERE pid = $1 AND NOT granted", ["\(pid)"]).scalar
                == "1"
        }
        stream.cancel()
        #expect(await cancelled?.sqlState == "57014")
        #expect(try await stream.identifySystem().position > .zero, "the session lives on")
    }

    @Test("cannot be dropped under its reader, unless the dropper waits for that to go")
    func drop() async throws {
        let bench = try await ReplicationBench()
        let (reader, dropper) = (try await bench.stream(), try await bench.open())
        let busy = await failure { try await dropper.dropSlot(bench.slot, wait: false) }
        #expect(busy?.sqlState == "55006")
        async let dropped: Void = dropper.dropSlot(bench.slot, wait: true, timeout: .seconds(20))
        await reader.close()
        try await dropped
        #expect(try await bench.slotValue("slot_name") == nil)
        let missing = await failure { try await dropper.dropSlot(bench.slot, wait: false) }
        #expect(missing?.sqlState == "42704")
    }

    @Test("that does not exist is an error, and the session goes on")
    func missingSlot() async throws {
        let bench = try await ReplicationBench(withSlot: false)
        let stream = try await bench.open()
        let error = await failure {
            try await stream.startReplication(slot: "nowhere", from: .zero, publications: ["everything"])
        }
        #expect(error?.sqlState == "42704")
        #expect(await failure { _ = try await stream.next(timeout: .zero) }?.isUsage == true)
        #expect(try await stream.identifySystem().position > .zero)
    }

    @Test("is for roles with REPLICATION only")
    func privilege() async throws {
        let bench = try await ReplicationBench(withSlot: false)
        let role = "plain_\(bench.slot)"
        try await bench.sql.execute("CREATE ROLE \(role) LOGIN")
        let error = await failure {
            _ = try await ReplicationConnection.open(bench.settings.with(user: role, password: nil))
        }
        #expect(error?.isFailedConnection == true)
    }
}
