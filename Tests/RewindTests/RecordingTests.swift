// Goal: a recording has every commit once, or says that it does not. Method: a real server whose connections, slots and
// life are taken away while it is written to.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Synchronization
import SystemPackage
import Testing

@testable import Rewind

@Suite(.serialized, .timeLimit(.minutes(5))) struct RecordingTests {
    private static let schema = "create table rows (id bigint primary key, filler text)"

    /// Ids that the server acknowledged, from one writer until it is told to stop; survives lost sessions.
    private func write(_ service: RecordedService, from: Int, while isWriting: Flag) async throws -> [String] {
        var acknowledged: [String] = []
        var next = from
        var session: Connection?
        while isWriting.value {
            next += 1
            do {
                if session == nil { session = try await service.session(service.stableRole) }
                _ = try await session?.query("insert into rows values ($1, repeat('x', 50))", ["\(next)"])
                acknowledged.append("\(next)")
            } catch {
                await session?.close()
                session = nil
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        await session?.close()
        return acknowledged
    }

    /// That the journal has what the table has, once and in order.
    private func compare(
        _ service: RecordedService, _ data: PostgresData, acknowledged: [String]
    ) async throws {
        let recorded = try await service.recorded(data).flatMap { $0.inserted(into: "rows") }
        let table = try await service.ask("select id from rows order by id").rows.compactMap { $0[0] }
        #expect(recorded == table)
        #expect(Set(recorded).count == recorded.count)
        #expect(Set(acknowledged).isSubset(of: Set(recorded)))
        #expect(acknowledged.count > 20)
    }

    @Test func `a recorder that is cut off and stopped again and again has no gap and no duplicate`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        let isWriting = Flag()
        async let acknowledged = write(service, from: 0, while: isWriting)
        let recorder = try #require(data.recorder(of: service.release))
        for round in 0..<8 {
            let before = recorder.status.stableTransactions
            try await eventually("transactions come") { recorder.status.stableTransactions > before + 5 }
            if round.isMultiple(of: 2) {
                _ = try await service.ask(
                    "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1",
                    [recorder.slot])
            } else {
                await recorder.stop()
                #expect(recorder.status.state == .stopped)
                recorder.start()
            }
            try await recorder.awaitStreaming(timeout: .seconds(10))
        }
        isWriting.value = false
        try await compare(service, data, acknowledged: try await acknowledged)
        try await data.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `a transaction that is cut off in its middle comes again, whole`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        let recorder = try #require(data.recorder(of: service.release))
        let path = service.folder.journal.appending("000001.seg").string
        for round in 0..<3 {
            let before = recorder.status.journalBytes
            try await service.stable(
                "insert into rows select \(round * 100_000) + n, repeat('x', 200) from generate_series(1, 60000) n")
            try await eventually("a part of the transaction is in the file") {
                let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int64 ?? 0
                return size > before + 1 << 20
            }
            #expect(recorder.status.stableTransactions == round)
            if round == 1 {
                await recorder.stop()
                recorder.start()
            } else {
                _ = try await service.ask(
                    "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1",
                    [recorder.slot])
            }
            try await eventually(within: .seconds(60), "the transaction is durable") {
                recorder.status.stableTransactions == round + 1
            }
        }
        let transactions = try await service.recorded(data)
        #expect(transactions.map(\.changes.count) == [60_000, 60_000, 60_000])
        #expect(Set(transactions.flatMap { $0.inserted(into: "rows") }).count == 180_000)
        try await data.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `a crashed and restarted server loses and repeats nothing`() async throws {
        let server = try await PostgresServer.start(isDurable: true)
        defer { server.remove() }
        let service = try await RecordedService(Self.schema, server: server)
        let data = try await service.recording()
        let isWriting = Flag()
        async let acknowledged = write(service, from: 0, while: isWriting)
        let recorder = try #require(data.recorder(of: service.release))
        for _ in 0..<3 {
            let before = recorder.status.stableTransactions
            try await eventually("transactions come") { recorder.status.stableTransactions > before + 20 }
            try await server.restart(.immediate)
        }
        let before = recorder.status.stableTransactions
        try await eventually("transactions come again") { recorder.status.stableTransactions > before + 20 }
        isWriting.value = false
        try await compare(service, data, acknowledged: try await acknowledged)
        await recorder.stop()
    }

    @Test func `a daemon that starts again goes on where the journal ends`() async throws {
        let service = try await RecordedService(Self.schema)
        let first = try await service.recording()
        try await service.stable("insert into rows values (1)")
        _ = try await service.recorded(first)
        await first.recorder(of: service.release)?.stop()
        try await service.canary("insert into rows values (2)")
        let second = service.data()
        #expect(await second.recording(release: service.release)?.state == .stopped)
        #expect(await second.recording(release: service.release)?.stableTransactions == 1)
        try await second.resumeRecording(release: service.release, policy: service.policy)
        try await second.resumeRecording(release: service.release, policy: service.policy)
        let transactions = try await service.recorded(second)
        #expect(transactions.flatMap { $0.inserted(into: "rows") } == ["1", "2"])
        let status = try #require(await second.recording(release: service.release))
        #expect(status.state == .recording)
        #expect((status.stableTransactions, status.canaryTransactions, status.canaryRows) == (1, 1, 1))
        #expect(await second.recording(release: ReleaseID(service: service.release.service, number: 1_000_000)) == nil)
        try await second.cleanUp(release: service.release, policy: service.policy)
        // What is known of it stays known.
        #expect(await service.data().recording(release: service.release)?.canaryRows == 1)
    }

    // MARK: Gaps

    /// - Returns: the reason, after another daemon has found the same.
    private func brokenReason(_ service: RecordedService, _ data: PostgresData) async throws -> String {
        try await eventually("the recording is broken") {
            await data.recording(release: service.release)?.state == .broken
        }
        await data.recorder(of: service.release)?.stop()
        let later = service.data()
        try await later.resumeRecording(release: service.release, policy: service.policy)
        let status = try #require(await later.recording(release: service.release))
        #expect(status.state == .broken)
        try await later.cleanUp(release: service.release, policy: service.policy)
        return status.reason ?? ""
    }

    @Test func `a slot dropped behind our back breaks the recording`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        let session = try await service.session(service.adminRole)
        try await ReplicationSlot.drop("perch_\(service.release.sqlName)", on: session, deadline: .seconds(10))
        await session.close()
        #expect(try await brokenReason(service, data).contains("is gone"))
    }

    @Test func `a slot made anew in its place breaks the recording`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        await data.recorder(of: service.release)?.stop()
        let slot = "perch_\(service.release.sqlName)"
        try await service.stable("insert into rows values (1)")
        _ = try await service.ask("select pg_drop_replication_slot($1)", [slot])
        _ = try await service.ask("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot])
        try await data.resumeRecording(release: service.release, policy: service.policy)
        #expect(try await brokenReason(service, data).contains("what lies between is lost"))
    }

    @Test func `a publication that went away breaks the recording`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        try await service.superuser("drop publication perch_\(service.release.sqlName)")
        #expect(try await brokenReason(service, data).contains("publication"))
    }

    @Test func `a journal that lost what it had acknowledged breaks the recording`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        for id in 1...20 { try await service.stable("insert into rows values (\(id))") }
        _ = try await service.recorded(data)
        let recorder = try #require(data.recorder(of: service.release))
        let durable = LogSequenceNumber(recorder.status.durableLSN)!
        try await eventually("the server knows what is durable") {
            let session = try await service.session(service.adminRole)
            let slot = try await ReplicationSlot.read(recorder.slot, on: session)
            await session.close()
            return slot.map { $0.confirmed >= durable } ?? false
        }
        await recorder.stop()
        let path = service.folder.journal.appending("000001.seg").string
        let bytes = try #require(FileManager.default.contents(atPath: path))
        try bytes.dropLast(900).write(to: URL(fileURLWithPath: path))
        let other = service.data()
        try await other.resumeRecording(release: service.release, policy: service.policy)
        #expect(try await brokenReason(service, other).contains("what lies between is lost"))
    }

    @Test func `a flipped bit in the journal breaks the recording`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        for id in 1...20 { try await service.stable("insert into rows values (\(id))") }
        _ = try await service.recorded(data)
        await data.recorder(of: service.release)?.stop()
        let path = service.folder.journal.appending("000001.seg").string
        var bytes = try #require(FileManager.default.contents(atPath: path))
        bytes[bytes.count / 2] ^= 4
        try bytes.write(to: URL(fileURLWithPath: path))
        let other = service.data()
        try await other.resumeRecording(release: service.release, policy: service.policy)
        #expect(try await brokenReason(service, other).contains("damaged"))
    }

    // MARK: Fence, export

    @Test func `a fenced canary is gone, and its last commit is in the journal`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        let open = try await service.session(service.canaryRole)
        try await open.execute("insert into rows values (1); ")
        try await open.execute("begin; insert into rows values (2)")
        try await data.fenceCanary(release: service.release, policy: service.policy)
        #expect(await data.recording(release: service.release)?.canaryTransactions == 1)
        await #expect(throws: PostgresError.self) { try await open.execute("commit") }
        await #expect(throws: PostgresError.self) { _ = try await service.session(service.canaryRole) }
        try await data.fenceCanary(release: service.release, policy: service.policy)
        let url = try await data.databaseURL(for: .canary, policy: service.policy)
        let again = try await Connection.open(try ConnectionSettings(url: url))
        #expect(try await again.query("select current_user").scalar == service.canaryRole)
        try await again.execute(
            "begin; insert into rows values (3); prepare transaction 'of the canary \(service.database)'")
        await again.close()
        let failure = await #expect(throws: Failure.self) {
            try await data.fenceCanary(release: service.release, policy: service.policy)
        }
        #expect(failure?.message.contains("of the canary") == true)
        try await service.superuser("rollback prepared 'of the canary \(service.database)'")
        try await data.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `the export has a line for each change`() async throws {
        let service = try await RecordedService(
            "\(Self.schema); create table bare (n int); alter table bare replica identity full")
        let data = try await service.recording()
        try await service.canary("insert into rows values (1, repeat(md5('a'), 1)), (2, null)")
        try await service.stable(
            "begin; update rows set id = 3 where id = 1; insert into bare values (7); update bare set n = 8; delete from rows where id = 2; truncate rows, bare; commit"
        )
        _ = try await service.recorded(data)
        let lines = Mutex<[String]>([])
        try await data.exportRecording(release: service.release, policy: service.policy) { line in
            lines.withLock { $0.append(line) }
        }
        let all = try lines.withLock { $0 }.map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        #expect(all.first?["format"] as? String == "perch-recording-2")
        let objects = all.filter { $0["operation"] as? String != "relation" }
        #expect(
            objects.dropFirst().map { "\($0["origin"]!) \($0["operation"]!)" } == [
                "canary insert", "canary insert", "stable update", "stable insert", "stable update", "stable delete",
                "stable truncate",
            ])
        #expect((objects[2]["row"] as? [String: Any])?["filler"] is NSNull)
        #expect((objects[3]["key"] as? [String: String]) == ["id": "1"])
        #expect((objects[3]["row"] as? [String: String])?["id"] == "3")
        #expect((objects[5]["old"] as? [String: String]) == ["n": "7"])
        #expect((objects[7]["tables"] as? [String]).map(Set.init) == ["public.rows", "public.bare"])
        try await data.cleanUp(release: service.release, policy: service.policy)
    }
}
