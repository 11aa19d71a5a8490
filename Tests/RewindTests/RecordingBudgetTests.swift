// Goal: a recording never costs production more than its budget, and a full disk costs it nothing but time. Method: a real
// server, a journal on a disk that can be full, and writes until something has to give.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

@Suite(.serialized, .timeLimit(.minutes(3))) struct RecordingBudgetTests {
    private static let schema = "create table rows (id bigint primary key, filler text)"

    /// A recorder on a disk that can be full, in place of the one that the snapshot started.
    private func onDisk(_ service: RecordedService, budget: Int64) async throws -> (Recorder, FullDisk) {
        let data = try await service.recording()
        await data.recorder(of: service.release)?.stop()
        let file = try #require(try RecordingFile.read(service.folder))
        let disk = FullDisk(FolderStorage(service.folder.journal))
        var settings = Recorder.Settings(budgetBytes: budget)
        settings.watchInterval = .milliseconds(100)
        settings.retryLimit = .milliseconds(100)
        let recorder = Recorder(
            file, in: service.folder, server: service.admin, settings: settings, storage: disk,
            logger: RecordedService.quiet)
        recorder.start()
        try await recorder.awaitStreaming(timeout: .seconds(10))
        return (recorder, disk)
    }

    @Test func `a full disk stops the acknowledging, and nothing else`() async throws {
        let service = try await RecordedService(Self.schema)
        let (recorder, disk) = try await onDisk(service, budget: 1 << 30)
        try await service.stable("insert into rows values (1)")
        try await eventually("the first is durable") { recorder.status.stableTransactions == 1 }
        disk.isFull.value = true
        for id in 2...10 { try await service.stable("insert into rows values (\(id))") }
        try await eventually("the status says why") {
            recorder.status.reason?.contains("no space left") == true && recorder.status.state == .recording
        }
        #expect(recorder.status.stableTransactions == 1)
        let durable = try #require(LogSequenceNumber(recorder.status.durableLSN))
        let session = try await service.session(service.adminRole)
        #expect(try await ReplicationSlot.read(recorder.slot, on: session)!.confirmed <= durable)
        disk.isFull.value = false
        let barrier = try await Barrier.commit(service.release, on: session)
        try await recorder.awaitDurable(barrier, timeout: .seconds(20))
        await session.close()
        #expect(recorder.status.reason == nil)
        #expect(recorder.status.stableTransactions == 10)
        await recorder.stop()
        var reader = try JournalReader(folder: service.folder.journal)
        #expect(try reader.all().flatMap { $0.inserted(into: "rows") } == (1...10).map(String.init))
        try await service.data().cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `past the budget the slot goes: production first`() async throws {
        // What others write counts too: a server without others.
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let service = try await RecordedService(Self.schema, server: server)
        let (recorder, disk) = try await onDisk(service, budget: 4 << 20)
        disk.isFull.value = true
        try await service.stable("insert into rows select n, repeat('x', 500) from generate_series(1, 20000) n")
        try await eventually("the recording is over budget") { recorder.status.state == .overBudget }
        try await eventually("the slot is gone") {
            try await service.traces().contains { $0.hasPrefix("slot") } == false
        }
        #expect(recorder.status.reason?.contains("the budget is 4194304") == true)
        await recorder.stop()
        disk.isFull.value = false
        let later = service.data()
        try await later.resumeRecording(release: service.release, policy: service.policy)
        #expect(await later.recording(release: service.release)?.state == .overBudget)
        try await later.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `a slot that nobody reads goes when it passes the budget`() async throws {
        // What others write counts too: a server without others.
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let service = try await RecordedService(Self.schema, server: server, budget: 2 << 20)
        let data = try await service.recording()
        await data.recorder(of: service.release)?.stop()
        try await service.stable("insert into rows select n, repeat('x', 500) from generate_series(1, 20000) n")
        let later = service.data()
        _ = try await later.tidyUp(policy: service.policy, now: Instant(millisecondsSince1970: 0))
        #expect(try await service.traces().contains { $0.hasPrefix("slot") } == false)
        #expect(await later.recording(release: service.release)?.state == .overBudget)
        try await later.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `an idle database in a busy cluster lets the server forget its log`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        let other = try await RecordedService(Self.schema)
        try await other.stable("insert into rows select n, repeat('x', 100) from generate_series(1, 20000) n")
        let end = try #require(LogSequenceNumber(try await service.ask("select pg_current_wal_lsn()").scalar ?? ""))
        try await eventually("the slot follows the other database") {
            let session = try await service.session(service.adminRole)
            let slot = try await ReplicationSlot.read("perch_\(service.release.sqlName)", on: session)
            await session.close()
            return slot.map { $0.confirmed >= end } ?? false
        }
        // And the journal knows the position too: it is not a gap.
        await data.recorder(of: service.release)?.stop()
        let later = service.data()
        try await later.resumeRecording(release: service.release, policy: service.policy)
        #expect(await later.recording(release: service.release)?.state == .recording)
        try await later.cleanUp(release: service.release, policy: service.policy)
    }
}

/// A disk that is full while the flag is up.
final class FullDisk: JournalStorage {
    let isFull = Flag()
    private let disk: FolderStorage

    init(_ disk: FolderStorage) {
        self.disk = disk
        isFull.value = false
    }

    func segments() throws(JournalError) -> [Int] { try disk.segments() }
    func path(_ segment: Int) -> String { disk.path(segment) }
    func lock() throws(JournalError) -> any Sendable { try disk.lock() }
    func open(_ segment: Int) throws(JournalError) -> any JournalFile { FullDiskFile(try disk.open(segment), isFull) }
    func create(_ segment: Int, _ bytes: [UInt8]) throws(JournalError) -> any JournalFile {
        FullDiskFile(try disk.create(segment, bytes), isFull)
    }
}

private final class FullDiskFile: JournalFile {
    private let file: any JournalFile
    private let isFull: Flag

    init(_ file: any JournalFile, _ isFull: Flag) {
        self.file = file
        self.isFull = isFull
    }

    func size() throws(JournalError) -> Int { try file.size() }
    func read(at offset: Int, count: Int) throws(JournalError) -> [UInt8] { try file.read(at: offset, count: count) }
    func write(_ bytes: [UInt8], at offset: Int) throws(JournalError) {
        if isFull.value {
            try file.write(Array(bytes.prefix(bytes.count / 2)), at: offset)
            throw .storage(operation: "write", path: "journal", code: ENOSPC)
        }
        try file.write(bytes, at: offset)
    }
    func truncate(to size: Int) throws(JournalError) { try file.truncate(to: size) }
    func synchronize() throws(JournalError) { try file.synchronize() }
}
