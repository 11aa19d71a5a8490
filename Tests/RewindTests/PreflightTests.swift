// Goal: preflight finds what would stop a release or spoil its way back, and says what to do. Method: a real server, healthy
// once, and then with each defect.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

@Suite(.serialized, .timeLimit(.minutes(3))) struct PreflightTests {
    private func found(_ findings: [Finding], _ check: String) -> Finding? {
        findings.first { $0.check == check && $0.level != .ok }
    }

    @Test func `a healthy database has no failure`() async throws {
        let service = try await RecordedService("create table orders (id int primary key)")
        let findings = await service.data().preflight(service.policy)
        #expect(findings.filter { $0.level == .failure } == [])
        #expect(
            Set(findings.map(\.check)).isSuperset(of: ["wal_level", "replica identity", "canary role", "disk", "role"]))
        #expect(findings.filter { $0.level != .ok }.allSatisfy { $0.hint != nil })
    }

    @Test func `each defect is found by name`() async throws {
        let server = try await PostgresServer.start(settings: ["max_slot_wal_keep_size": "100MB"])
        defer { server.remove() }
        let service = try await RecordedService(
            """
            create table keyless (n int); create unlogged table scratch (id int primary key);
            create materialized view sums as select 1 as n; create table orders (id int primary key);
            select lo_create(0);
            """, server: server)
        try await service.superuser(
            """
            grant create on schema public to \(service.canaryRole); set role \(service.canaryRole);
            create table public.mine (id int primary key)
            """)
        // A slot would wait for a transaction that is prepared before it.
        _ = try await service.ask("select pg_create_logical_replication_slot('debezium', 'pgoutput')")
        try await service.stable("begin; insert into orders values (1); prepare transaction 'stuck'")
        let findings = await service.data().preflight(service.policy)
        let expected: [(String, Finding.Level, String)] = [
            ("replica identity", .failure, "public.keyless"), ("unlogged tables", .warning, "public.scratch"),
            ("materialized views", .warning, "public.sums"), ("large objects", .warning, "1 large object"),
            ("prepared transactions", .failure, "stuck"), ("other slots", .warning, "debezium"),
            ("canary role", .failure, "owns tables"), ("slot limits", .warning, "100"),
        ]
        for (check, level, words) in expected {
            let finding = found(findings, check)
            #expect(finding?.level == level, "\(check)")
            #expect(finding?.message.contains(words) == true, "\(check): \(finding?.message ?? "not found")")
            #expect(finding?.hint != nil)
        }
    }

    @Test func `a rule for a column that is not there, or that it does not fit, is found by name`() async throws {
        let service = try await RecordedService(
            "create table orders (id int primary key, total text, made timestamptz); create table notes (line text)")
        for (table, column, rule, words) in [
            ("public.order", "total", Policy.DataRollback.ColumnRule.hold, "public.order, which is not"),
            ("public.orders", "sum", .hold, "public.orders has no column sum"),
            ("public.orders", "total", .add, "public.orders.total cannot be added"),
            ("public.orders", "id", .follow, "public.orders.id cannot follow live"),
            ("public.notes", "line", .hold, "public.notes has no key"),
        ] {
            var policy = service.policy
            policy.database?.rollback.columns = [table: [column: rule]]
            let finding = found(await service.data().preflight(policy), "merge")
            #expect(finding?.level == .failure && finding?.message.contains(words) == true, "\(words)")
        }
        var policy = service.policy
        policy.database?.rollback.columns = ["public.orders": ["made": .stamp]]
        #expect(found(await service.data().preflight(policy), "merge") == nil)
    }

    @Test func `the stable version's role cannot be the canary's`() async throws {
        let service = try await RecordedService("create table orders (id int primary key)")
        var policy = service.policy
        policy.database?.canaryRole = service.stableRole
        let findings = await service.data().preflight(policy)
        #expect(findings.contains { $0.level == .failure && $0.message.contains("could not be told apart") })
    }

    @Test func `a poor role of Perch's is told everything that it lacks at once`() async throws {
        let service = try await RecordedService("create table orders (id int primary key)")
        try await service.superuser("create role poor_\(service.database) login")
        var policy = service.policy
        policy.database?.adminURL = .environment("poor_\(service.database)")
        let failures = await service.data().preflight(policy).filter { $0.level == .failure }
        #expect(failures.map(\.check).filter { $0 == "role" }.count == 3)
        #expect(
            Set(failures.map(\.check)).isSuperset(of: [
                "database owner", "session_replication_role", "end sessions", "table rights", "canary role",
            ]))
    }

    @Test func `a server without logical decoding, or none at all, is a failure with a hint`() async throws {
        let server = try await PostgresServer.start(settings: ["wal_level": "replica"])
        defer { server.remove() }
        let service = try await RecordedService("create table orders (id int primary key)", server: server)
        let wal = found(await service.data().preflight(service.policy), "wal_level")
        #expect(wal?.level == .failure)
        #expect(wal?.hint?.contains("restart") == true)
        try await server.stop()
        let reachable = await service.data().preflight(service.policy)
        #expect(reachable.map(\.check) == ["reachable"])
        #expect(reachable.first?.level == .failure)
    }
}
