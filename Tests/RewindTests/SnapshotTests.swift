// Goal: a snapshot is the data at exactly one position, and the recording has everything behind it. Method: a real server
// under concurrent writers; the dump is restored and the journal replayed the plain way, and the result compared with live.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Synchronization
import SystemPackage
import Testing

@testable import Rewind

@Suite(.serialized, .timeLimit(.minutes(5))) struct SnapshotTests {
    private static let shop = """
        create table accounts (id int primary key, balance int not null, note text);
        create table "Order Lines" (id bigint generated always as identity primary key, account int references accounts,
          amount numeric, "when" timestamptz default now(), blob bytea, big text);
        create table days (day date, n int, primary key (day, n)) partition by range (day);
        create table days_1 partition of days for values from ('2026-01-01') to ('2026-07-01');
        create table days_2 partition of days for values from ('2026-07-01') to ('2027-01-01');
        create unlogged table cache (k text primary key);
        insert into accounts select n, 1000, null from generate_series(1, 50) n;
        """

    /// One transaction of a writer: some rows, a rolled back savepoint, a TOASTed value that later updates leave alone.
    private static func work(_ seed: Int) -> String {
        """
        begin;
        update accounts set balance = balance - \(seed % 7) where id = \(seed % 50 + 1);
        savepoint s; update accounts set balance = 0 where id = \(seed % 50 + 1); rollback to s;
        insert into "Order Lines" (account, amount, blob, big) values (\(seed % 50 + 1), \(seed) / 3.0, '\\x00ff27',
          (select string_agg(md5(n::text || '\(seed)'), '') from generate_series(1, 200) n));
        update "Order Lines" set amount = amount + 1 where id = (select max(id) - 2 from "Order Lines");
        delete from "Order Lines" where id = (select min(id) from "Order Lines") and \(seed) % 5 = 0;
        insert into days values (date '2026-01-01' + \(seed % 360), \(seed)) on conflict do nothing;
        update days set day = date '2026-12-31' - (n % 300) where n = \(seed - 10) and not exists (
          select from days d2 where d2.day = date '2026-12-31' - (days.n % 300) and d2.n = days.n);
        commit
        """
    }

    @Test func `dump and journal together are the live database, under concurrent writers`() async throws {
        let service = try await RecordedService(Self.shop)
        let data = service.data()
        let isWriting = Flag()
        let summary = try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 1...3 {
                group.addTask {
                    let session = try await service.session(writer == 3 ? service.canaryRole : service.stableRole)
                    var count = 0
                    while isWriting.value, !Task.isCancelled {
                        count += 1
                        // Deadlocks among the writers are the writers' own business.
                        do {
                            try await session.execute(Self.work(count * 3 + writer))
                        } catch {
                            try await session.execute("rollback")
                        }
                    }
                    await session.close()
                }
            }
            let summary = try await data.snapshot(release: service.release, policy: service.policy) { _ in }
            try await eventually(within: .seconds(60), "there are writes behind the snapshot") {
                try await service.recorded(data).count > 60
            }
            isWriting.value = false
            try await group.waitForAll()
            return summary
        }
        let manifest = try #require(try Manifest.read(from: service.folder.root.string))
        #expect(manifest.summary == summary)
        #expect(manifest.tables.map(\.table).contains("public.cache") == false)
        let transactions = try await service.recorded(data)
        let first = try #require(LogSequenceNumber(summary.lsn))
        #expect(transactions.allSatisfy { $0.endLSN > first })
        #expect(Set(transactions.map(\.origin)) == [.stable, .canary])

        let restored = "restored_\(service.database)"
        _ = try await service.ask("create database \(restored) template template0")
        let programs = PostgresPrograms.fitting(serverVersion: 150_000)
        try await programs.run(
            "pg_restore", ["--exit-on-error", "--dbname=\(restored)", service.folder.dump.string],
            on: service.admin.with(database: restored))
        let clone = try await Connection.open(service.admin.with(database: restored))
        try await clone.execute("\(TableFingerprint.pinnedSettings); set session_replication_role = replica")
        for expected in manifest.tables {
            let name = expected.table.split(separator: ".", maxSplits: 1).map(String.init)
            let found = try await TableFingerprint.read(TableName(schema: name[0], table: name[1]), on: clone)
            #expect(found == expected)
        }
        // GENERATED ALWAYS takes no values from elsewhere without saying so.
        try await clone.execute(#"alter table public."Order Lines" alter id set generated by default"#)
        let replay = PlainReplay(connection: clone)
        for transaction in transactions { try await replay.apply(transaction) }
        let live = try await service.session(service.adminRole)
        try await live.execute(TableFingerprint.pinnedSettings)
        for table in try await PublishedTables.load(on: live).leaves {
            let wanted = try await TableFingerprint.read(table, on: live)
            #expect(try await TableFingerprint.read(table, on: clone) == wanted)
            #expect(wanted.rows > 0 || table.table == "days_1")
        }
        await live.close()
        await clone.close()
        try await data.cleanUp(release: service.release, policy: service.policy)
        _ = try await service.ask("drop database \(restored) with (force)")
    }

    @Test func `a long transaction is named, and nothing is left behind`() async throws {
        // Slots wait for the transactions of the whole cluster.
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let service = try await RecordedService(Self.shop, server: server)
        let blocker = try await service.session(service.stableRole)
        try await blocker.execute("begin; update accounts set note = 'x' where id = 1")
        let pid = await blocker.backendPID
        let failure = await #expect(throws: Failure.self) {
            _ = try await service.snapshotRun(slotLimit: .seconds(1)).run { _ in }
        }
        #expect(failure?.message.contains("pid \(pid) of \(service.stableRole)") == true)
        #expect(failure?.isTransient == true)
        #expect(try await service.traces() == ["publication perch_\(service.release.sqlName)"])
        let senders = try await service.ask("select count(*) from pg_stat_activity where backend_type = 'walsender'")
        #expect(senders.scalar == "0")
        try await blocker.execute("rollback")
        // Asked again, it begins anew.
        let data = try await service.recording()
        #expect(await data.recording(release: service.release)?.state == .recording)
    }

    @Test func `a prepared transaction is named`() async throws {
        let server = try await PostgresServer.start()
        defer { server.remove() }
        let service = try await RecordedService(Self.shop, server: server)
        try await service.stable("begin; update accounts set note = 'x' where id = 1; prepare transaction 'left over'")
        let failure = await #expect(throws: Failure.self) {
            _ = try await service.snapshotRun(slotLimit: .seconds(1)).run { _ in }
        }
        #expect(failure?.message.contains("prepared transaction left over") == true)
    }

    @Test func `a snapshot that fails leaves nothing, and a whole one is not taken again`() async throws {
        let service = try await RecordedService(Self.shop)
        let data = service.data()
        // Perch's own schema in the way: what is marked could not be made.
        try await service.superuser("create schema perch; create table perch.mine (n int)")
        var policy = service.policy
        policy.database?.adminURL = .environment("nobody")
        await #expect(throws: Failure.self) {
            _ = try await data.snapshot(release: service.release, policy: policy) { _ in }
        }
        let first = try await data.snapshot(release: service.release, policy: service.policy) { _ in }
        try await service.stable("insert into accounts values (1000, 1, 'a')")
        let again = try await data.snapshot(release: service.release, policy: service.policy) { _ in }
        #expect(first == again)
        // Another daemon after a crash that came before the snapshot was whole.
        await data.recorder(of: service.release)?.stop()
        try FileManager.default.removeItem(atPath: service.folder.root.appending(Manifest.fileName).string)
        let other = service.data()
        let third = try await other.snapshot(release: service.release, policy: service.policy) { _ in }
        #expect(third.lsn != first.lsn)
        #expect(try await service.recorded(other).isEmpty)
        try await other.cleanUp(release: service.release, policy: service.policy)
        try await other.cleanUp(release: service.release, policy: service.policy)
        #expect(try await service.traces() == ["schema perch"])
        #expect(try await service.ask("select count(*) from perch.mine").scalar == "0")
    }

    @Test func `marks of another release are not dumped`() async throws {
        let service = try await RecordedService(Self.shop)
        let other = Attribution(
            release: ReleaseID(service: service.release.service, number: 9_999), canaryRole: service.canaryRole,
            nonce: "n")
        let session = try await SnapshotRun.open(service.admin)
        try await other.install(
            on: session, tables: [TableName(schema: "public", table: "accounts")], deadline: .seconds(5))
        let data = service.data()
        let failure = await #expect(throws: Failure.self) {
            _ = try await data.snapshot(release: service.release, policy: service.policy) { _ in }
        }
        #expect(failure?.message.contains("perch_mark_rec_9999") == true)
        try await Attribution.remove(of: other.release, on: session, deadline: .seconds(5))
        await session.close()
    }

    @Test func `a table truncated between snapshot and lock is noticed`() async throws {
        let service = try await RecordedService(Self.shop)
        let holder = try await service.session(service.adminRole)
        try await holder.execute("begin isolation level repeatable read read only; select 1 from pg_class limit 1")
        try await service.stable("truncate accounts cascade")
        let session = try await SnapshotRun.open(service.admin)
        let tables = try await PublishedTables.load(on: session)
        let failure = await #expect(throws: Failure.self) {
            try await service.snapshotRun().holdTables(tables, holder)
        }
        #expect(failure?.message.contains("accounts") == true)
        #expect(failure?.isTransient == true)
        await holder.close()
        await session.close()
    }

    @Test func `a role that preflight is content with can do everything without being a superuser`() async throws {
        let service = try await RecordedService(Self.shop)
        let role = "modest_\(service.database)"
        try await service.superuser(
            """
            create role \(role) login replication createdb createrole in role \(service.stableRole), pg_signal_backend;
            grant set on parameter session_replication_role to \(role);
            grant \(service.canaryRole) to \(role) with admin option
            """)
        var policy = service.policy
        policy.database?.adminURL = .environment(role)
        let data = service.data()
        let failures = await data.preflight(policy).filter { $0.level == .failure }
        #expect(failures == [])
        _ = try await data.snapshot(release: service.release, policy: policy) { _ in }
        try await service.canary("insert into accounts values (1000, 1, 'a')")
        try await data.fenceCanary(release: service.release, policy: policy)
        #expect(await data.recording(release: service.release)?.canaryRows == 1)
        _ = try await data.databaseURL(for: .canary, policy: policy)
        // And it can take a broken recording's slot away.
        let recorder = try #require(data.recorder(of: service.release))
        recorder.end(.broken, "for the test")
        try await eventually("the slot is gone") {
            try await service.traces().contains { $0.hasPrefix("slot") } == false
        }
        try await data.cleanUp(release: service.release, policy: policy)
        #expect(try await service.traces().isEmpty)
    }

    @Test func `a database without tables can be released too`() async throws {
        let service = try await RecordedService("")
        let data = try await service.recording()
        #expect(try await service.recorded(data).isEmpty)
        try await data.cleanUp(release: service.release, policy: service.policy)
        #expect(try await service.traces().isEmpty)
    }
}

/// A switch that tasks look at; on at first.
final class Flag: Sendable {
    private let state = Mutex(true)
    var value: Bool {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
