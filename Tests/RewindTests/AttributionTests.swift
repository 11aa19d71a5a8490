// Goal: a transaction is the canary's exactly when a session of the canary's role wrote in it. Method: every way to write
// that is known to slip past a trigger, done by both roles on a real server, and the origin read from the journal.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

@Suite(.serialized, .timeLimit(.minutes(3))) struct AttributionTests {
    private static let schema = """
        create table parent (id int primary key, note text);
        create table child (id int primary key, parent int references parent on delete cascade);
        create table parts (id int, area text, primary key (id, area)) partition by list (area);
        create table parts_n partition of parts for values in ('n');
        create table parts_s partition of parts for values in ('s') partition by range (id);
        create table parts_s_low partition of parts_s for values from (0) to (100);
        create table heir_base (id int primary key);
        create table heir (extra text, primary key (id)) inherits (heir_base);
        create function definer(n int) returns void language sql security definer as
          $$ insert into parent values (n, 'definer') $$;
        create view window_on as select id, note from parent;
        insert into parent select n, 'old' from generate_series(1, 20) n;
        insert into child select n, n from generate_series(1, 20) n;
        """

    /// Each is one transaction with changes.
    private static let ways = [
        "insert into parent values (%n, 'x')",
        "update parent set note = 'y' where id = 1",
        "delete from child where id = (select min(id) from child)",
        "delete from parent where id = (select min(id) from parent)",
        "truncate heir",
        "truncate parent cascade",
        "insert into parts values (%n, 'n')",
        "insert into parts values (5, 's') on conflict do nothing; delete from parts where area = 's'",
        "insert into parts_n values (%n, 'n')",
        "insert into parts_s values (%n % 100, 's') on conflict (id, area) do update set id = excluded.id",
        "insert into parts_s_low values (%n % 50, 's') on conflict (id, area) do update set id = excluded.id",
        "insert into heir values (%n, 'h')",
        "update heir_base set id = id + 1000000 where id >= 0",
        "select definer(%n)",
        "insert into window_on values (%n, 'view')",
        "with new as (insert into parent values (%n, 'cte') returning id) select count(*) from new",
        "insert into parent values (%n, 'a') on conflict (id) do update set note = 'b'",
        "merge into parent using (select %n as n) s on id = n when not matched then insert values (n, 'merge')",
        "begin; savepoint a; insert into parent values (%n, 'kept'); release a; commit",
        "begin; savepoint a; insert into parent values (%n, 'lost'); rollback to a; insert into parent values (%n, 'kept'); commit",
        "do $$ begin begin insert into parent values (%n, 'lost'); raise 'no'; exception when others then insert into parent values (%n, 'handled'); end; end $$",
        "begin; create temp table t on commit drop as select %n as n; insert into parent select n, 'temp' from t; commit",
        "begin; set transaction isolation level serializable; insert into parent values (%n, 'ssi'); commit",
        "insert into child values (%n, null); update child set id = id + 1000000 where id = %n",
    ]

    @Test func `every way to write is told apart`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        var count = 0
        for way in Self.ways {
            for (arm, role) in [(RecordedOrigin.canary, service.canaryRole), (.stable, service.stableRole)] {
                let before = try await service.recorded(data).count
                count += 1
                try await service.run(way.replacingOccurrences(of: "%n", with: "\(5_000 + count)"), as: role)
                let new = try await service.recorded(data).dropFirst(before)
                #expect(new.map(\.origin) == [arm], "\(arm): \(way)")
            }
        }
        try await data.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `the login decides, not SET ROLE`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        try await service.canary("set role \(service.stableRole); insert into parent values (100, 'x')")
        try await service.superuser("set role \(service.canaryRole); insert into parent values (101, 'x')")
        try await service.superuser(
            "set session authorization \(service.canaryRole); insert into parent values (102, 'x')")
        #expect(try await service.recorded(data).map(\.origin) == [.canary, .stable, .canary])
        try await data.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `sessions in which triggers are off are marked too`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        try await service.superuser("grant set on parameter session_replication_role to \(service.canaryRole)")
        try await service.canary("set session_replication_role = replica; insert into parent values (100, 'x')")
        #expect(try await service.recorded(data).map(\.origin) == [.canary])
        try await data.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `what was rolled back leaves nothing, and its mark with it`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        try await service.canary("begin; insert into parent values (100, 'x'); rollback")
        // The canary's only statement is gone at commit: what stays in this transaction is nobody's.
        try await service.canary("begin; savepoint a; insert into parent values (101, 'x'); rollback to a; commit")
        #expect(try await service.recorded(data).isEmpty)
        try await data.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `a message with a guessed prefix marks nothing`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        try await service.stable(
            """
            begin; select pg_logical_emit_message(true, 'perch/\(service.release)', '');
            select pg_logical_emit_message(true, 'perch/\(service.release)/0', '');
            insert into parent values (100, 'x'); commit
            """)
        #expect(try await service.recorded(data).map(\.origin) == [.stable])
        try await data.cleanUp(release: service.release, policy: service.policy)
    }

    @Test func `a busy table is marked as soon as it is free, and a stuck one is named`() async throws {
        let service = try await RecordedService(Self.schema)
        let writer = try await service.session(service.stableRole)
        try await writer.execute("begin; update parent set note = 'long' where id = 1")
        let attribution = Attribution(release: service.release, canaryRole: service.canaryRole, nonce: "n")
        let session = try await SnapshotRun.open(service.admin)
        let tables = try await PublishedTables.load(on: session).all
        let refused = await #expect(throws: Failure.self) {
            try await attribution.install(on: session, tables: tables, deadline: .milliseconds(500))
        }
        #expect(refused?.message.contains("parent") == true)
        async let installed: Void = attribution.install(on: session, tables: tables, deadline: .seconds(20))
        try await eventually("the installer waits for the table") {
            try await service.ask(
                "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%perch_mark%'"
            ).rows.count == 1
        }
        try await writer.execute("commit")
        try await installed
        // Again, as after a crash.
        try await attribution.install(on: session, tables: tables, deadline: .seconds(5))
        let marks = try await session.query(
            "select count(*), count(*) filter (where tgenabled = 'A') from pg_trigger where tgname ~ '^perch_mark'")
        #expect(marks.rows[0] == ["\(tables.count)", "\(tables.count)"])
        try await Attribution.remove(of: service.release, on: session, deadline: .seconds(5))
        try await Attribution.remove(of: service.release, on: session, deadline: .seconds(5))
        #expect(try await service.traces().isEmpty)
    }

    @Test func `commands that change the schema are recorded, others are not`() async throws {
        let service = try await RecordedService(Self.schema)
        let data = try await service.recording()
        try await service.stable("create temp table scratch (n int); drop table scratch")
        try await service.canary("set role \(service.stableRole); alter table parent add column extra int")
        try await service.stable("create index on child (parent)")
        try await service.stable("begin; drop table heir; rollback")
        try await service.stable("drop table heir")
        let schema = try await service.recorded(data).filter { !$0.schemaCommands.isEmpty }
        #expect(schema.count == 3)
        #expect(schema.map { $0.schemaCommands[0].contains("alter table parent") } == [true, false, false])
        #expect(schema.last?.schemaCommands.last == "drop table heir")
        try await data.cleanUp(release: service.release, policy: service.policy)
        #expect(try await service.traces().isEmpty)
    }
}
