// Goal: the stream says what was committed, in the form and order that a recorder can rely on. Method: a real PostgreSQL
// and its pgoutput, read by our decoder.

import Postgres
import PostgresSupport
import Testing

@Suite("The replication stream", .timeLimit(.minutes(2)))
struct ReplicationStreamTests {
    @Test("frames every transaction with its id and positions")
    func frames() async throws {
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)")
        let xid = try await bench.sql.query("INSERT INTO t VALUES (1) RETURNING pg_current_xact_id()").scalar
        let flushed = try await bench.sql.query("SELECT pg_current_wal_flush_lsn()").scalar
        let messages = try await bench.messages(of: bench.stream(), commits: 1)
        guard case .begin(let finalLSN, let began, let sentXid) = messages.first,
            case .commit(0, let commitLSN, let endLSN, let ended) = messages.last
        else {
            Issue.record("\(messages)")
            return
        }
        #expect("\(sentXid)" == xid)
        #expect(finalLSN == commitLSN)
        #expect(commitLSN < endLSN)
        #expect(endLSN <= LogSequenceNumber(flushed ?? "") ?? .zero)
        #expect(began == ended)
        let now = try await bench.sql.query("SELECT (extract(epoch FROM now()) * 1000)::bigint").scalar
        let age = (Int64(now ?? "") ?? 0) - ended.millisecondsSince1970
        #expect((0..<60_000).contains(age))
        guard case .relation(let relation) = messages.dropFirst().first else {
            Issue.record("no relation before its first change: \(messages)")
            return
        }
        #expect(relation.namespace == "public")
        #expect(relation.name == "t")
        #expect(relation.columns == [.init(isKey: true, name: "a", typeID: 23, typeModifier: -1)])
    }

    @Test("has inserts, updates, deletes, changes of the key, and TRUNCATE with its options")
    func changes() async throws {
        let bench = try await ReplicationBench(
            "CREATE TABLE t (a serial PRIMARY KEY, b text); CREATE TABLE child (a int REFERENCES t, c int PRIMARY KEY)")
        try await bench.sql.execute(
            """
            BEGIN; INSERT INTO t (b) VALUES ('x'), (NULL); UPDATE t SET b = 'y' WHERE a = 1; UPDATE t SET a = 9 WHERE a = 2;
            DELETE FROM t WHERE a = 1; TRUNCATE t RESTART IDENTITY CASCADE; TRUNCATE child; COMMIT
            """)
        let messages = try await bench.messages(of: bench.stream(), commits: 1)
        #expect(
            messages.compactMap(\.summary) == [
                "I 1 x", "I 2 -", "U 1 y", "U K:2 - > 9 -", "D K:1 -", "T 2 3", "T 1 0",
            ])
    }

    @Test("leaves an unchanged out-of-line value out, also when the key changes")
    func unchangedToast() async throws {
        let bench = try await ReplicationBench(
            "CREATE TABLE t (a int PRIMARY KEY, b text, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL")
        try await bench.sql.execute("INSERT INTO t VALUES (1, 'x', repeat('0123456789', 1000))")
        try await bench.sql.execute("UPDATE t SET b = 'y'; UPDATE t SET a = 2; UPDATE t SET big = 'small'")
        let messages = try await bench.messages(of: bench.stream(), commits: 2)
        guard case .insert(_, let values) = messages.first(where: { $0.summary != nil }) else {
            Issue.record("\(messages)")
            return
        }
        #expect(values[2].string?.utf8.count == 10_000)
        #expect(messages.compactMap(\.summary).dropFirst() == ["U 1 y u", "U K:1 - - > 2 y u", "U 2 y small"])
    }

    @Test("carries the whole old row with replica identity full")
    func replicaIdentityFull() async throws {
        let bench = try await ReplicationBench(
            """
            CREATE TABLE t (a int, b text, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
            ALTER TABLE t REPLICA IDENTITY FULL;
            CREATE TABLE u (a int NOT NULL UNIQUE, b text); ALTER TABLE u REPLICA IDENTITY USING INDEX u_a_key
            """)
        try await bench.sql.execute(
            """
            INSERT INTO t VALUES (1, NULL, repeat('x', 9000)); INSERT INTO u VALUES (1, 'b');
            UPDATE t SET b = 'y'; DELETE FROM t; UPDATE u SET a = 2; DELETE FROM u
            """)
        let messages = try await bench.messages(of: bench.stream(), commits: 1)
        let big = String(repeating: "x", count: 40)
        #expect(
            messages.compactMap(\.summary).dropFirst(2) == [
                "U O:1 - \(big) > 1 y u", "D O:1 y \(big)", "U K:1 - > 2 b", "D K:2 -",
            ])
        let relations = messages.compactMap { message -> Relation? in
            if case .relation(let relation) = message { relation } else { nil }
        }
        // A relation may be described again at any time.
        let byName = Dictionary(relations.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        #expect(byName.mapValues(\.replicaIdentity) == ["t": .full, "u": .index])
        #expect(byName["t"]?.columns.map(\.isKey) == [true, true, true])
    }

    @Test("has transactional messages in the place of their transaction, and without those of aborted subtransactions")
    func logicalMessages() async throws {
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)")
        try await bench.sql.execute(
            """
            BEGIN;
            SELECT pg_logical_emit_message(true, 'first', 'x');
            INSERT INTO t VALUES (1);
            SAVEPOINT s;
            SELECT pg_logical_emit_message(true, 'aborted', 'x');
            INSERT INTO t VALUES (2);
            ROLLBACK TO SAVEPOINT s;
            SELECT pg_logical_emit_message(true, 'second', 'x');
            INSERT INTO t VALUES (3);
            COMMIT;
            BEGIN;
            SELECT pg_logical_emit_message(true, 'rolled back', 'x');
            SELECT pg_logical_emit_message(false, 'at once', 'x');
            ROLLBACK;
            SELECT pg_logical_emit_message(true, 'alone', '\u{e4}');
            """)
        let messages = try await bench.messages(of: bench.stream(), commits: 2)
        #expect(
            messages.compactMap(\.summary) == ["M+ first", "I 1", "M+ second", "I 3", "M- at once", "M+ alone"])
        #expect(
            messages.contains {
                if case .message(_, _, "alone", let content) = $0 { content == Array("\u{e4}".utf8) } else { false }
            })
    }

    @Test("writes values the same way whatever the database's own settings are")
    func pinnedFormats() async throws {
        let bench = try await ReplicationBench(
            "CREATE TABLE t (a int PRIMARY KEY, at timestamptz, span interval, x float8, raw bytea, word text)")
        let database = quoteIdentifier(bench.settings.database)
        try await bench.sql.execute(
            """
            ALTER DATABASE \(database) SET datestyle = 'German'; ALTER DATABASE \(database) SET intervalstyle = 'iso_8601';
            ALTER DATABASE \(database) SET extra_float_digits = -10; ALTER DATABASE \(database) SET TimeZone = 'Asia/Tokyo';
            ALTER DATABASE \(database) SET bytea_output = 'escape'; ALTER DATABASE \(database) SET client_encoding = 'LATIN1';
            INSERT INTO t VALUES (1, '2024-02-29 23:00:00+00', '1 day 02:03:04', 0.1::float8 + 0.2, '\\x00ff', 'w\u{f6}rd');
            """)
        let messages = try await bench.messages(of: bench.stream(["DateStyle": "SQL", "work_mem": "1 MB"]), commits: 1)
        #expect(
            messages.compactMap(\.summary) == [
                "I 1 2024-02-29 23:00:00+00 1 day 02:03:04 0.30000000000000004 \\x00ff w\u{f6}rd"
            ])
    }

    @Test("keeps the bytes of a database in SQL_ASCII")
    func sqlASCII() async throws {
        let server = try await PostgresServer.start(encoding: "SQL_ASCII")
        defer { server.remove() }
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY, b text)", server: server)
        let latin = try await Connection.open(bench.settings.with("client_encoding", "SQL_ASCII"))
        try await latin.copyIn("COPY t FROM STDIN") { writer in
            try writer.write(Array("1\t".utf8) + [0xE4, 0x0A])
        }
        let messages = try await bench.messages(of: bench.stream(), commits: 1)
        let inserted = messages.contains { message in
            if case .insert(_, let new) = message { new[1] == .text([0xE4]) } else { false }
        }
        #expect(inserted, "\(messages)")
    }

    @Test("repeats what was not confirmed, and only that")
    func duplicates() async throws {
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)")
        try await bench.sql.execute("INSERT INTO t VALUES (1)")
        try await bench.sql.execute("INSERT INTO t VALUES (2)")
        let first = try await bench.stream()
        let messages = try await bench.messages(of: first, commits: 2)
        #expect(messages.compactMap(\.summary) == ["I 1", "I 2"])
        let ends = messages.compactMap { message -> LogSequenceNumber? in
            if case .commit(_, _, let endLSN, _) = message { endLSN } else { nil }
        }
        await first.close()
        try await eventually("the slot is free") { try await bench.slotValue("active") == "f" }

        let second = try await bench.stream()
        #expect(try await bench.messages(of: second, commits: 2).compactMap(\.summary) == ["I 1", "I 2"])
        try await second.sendStatus(written: ends[1], flushed: ends[0], applied: ends[0])
        try await eventually("the slot has moved") {
            try await bench.slotValue("confirmed_flush_lsn") == ends[0].description
        }
        await second.close()
        try await eventually("the slot is free") { try await bench.slotValue("active") == "f" }

        let third = try await bench.stream()
        #expect(try await bench.messages(of: third, commits: 1).compactMap(\.summary) == ["I 2"])
    }

    @Test("comes in batches as large as asked for")
    func batches() async throws {
        let bench = try await ReplicationBench("CREATE TABLE t (a int PRIMARY KEY)")
        try await bench.sql.execute("INSERT INTO t SELECT generate_series(1, 5000)")
        let stream = try await bench.stream()
        var (inserts, largest) = (0, 0)
        let deadline = ContinuousClock.now + .seconds(20)
        while inserts < 5_000, ContinuousClock.now < deadline {
            let batch = try await stream.nextBatch(timeout: .milliseconds(200), maximumBytes: 4_096)
            inserts +=
                batch.filter { frame in
                    if case .data(_, _, _, let bytes) = frame { bytes.first == UInt8(ascii: "I") } else { false }
                }.count
            largest = max(largest, batch.count)
        }
        #expect(inserts == 5_000)
        #expect(largest > 10)
        #expect(largest < 200, "an insert takes some 40 bytes")
    }
}
