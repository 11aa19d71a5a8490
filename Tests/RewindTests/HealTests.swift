// Goal: after a heal live holds what the clone holds, on every row, and nobody was held or sent away. Method: real
// PostgreSQL, both arms through their own roles; each kind of row that is hard to heal; histories with sessions at work.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

private let shop = """
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL UNIQUE, email text UNIQUE, version int NOT NULL DEFAULT 1);
    CREATE TABLE orders (
        id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, state text NOT NULL, total numeric(10,2));
    CREATE TABLE lines (
        "order" int REFERENCES orders ON DELETE CASCADE, line int, note text, PRIMARY KEY ("order", line));
    CREATE TABLE log (line text, at int);
    ALTER TABLE log REPLICA IDENTITY FULL;
    CREATE TABLE events (id int, day int, what text, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2);
    INSERT INTO customers SELECT n, 'name ' || n, 'mail ' || n FROM generate_series(1, 20) n;
    INSERT INTO orders SELECT n, n % 20 + 1, 'new', n FROM generate_series(1, 60) n;
    INSERT INTO lines SELECT n % 60 + 1, n, 'line ' || n FROM generate_series(1, 120) n;
    INSERT INTO log SELECT 'line ' || n % 3, n % 2 FROM generate_series(1, 20) n;
    INSERT INTO events SELECT n, n % 2 + 1, 'event' FROM generate_series(1, 20) n;
    """
private let tables = [
    "customers", "orders", "lines", "log", "events",
].map { "SELECT \"t\"::text FROM \($0) \"t\" ORDER BY 1" }

/// Live and clone, table by table.
private func expectEqualToClone(_ stage: Stage, _ comment: String = "") async throws {
    for query in tables {
        let live = try await stage.rows(query)
        let clone = try await stage.rows(query, in: stage.restored)
        #expect(live == clone, "\(query) \(comment)")
    }
}

@Suite struct HealTests {
    private func stage(
        _ snapshot: Policy.SnapshotMode = .dump, _ mode: Policy.DataRollback.Mode = .heal,
        change: @Sendable (inout Policy.DataRollback) -> Void = { _ in }
    ) async throws -> Stage {
        try await Stage(shop, snapshot: snapshot) {
            $0.mode = mode
            change(&$0)
        }
    }

    @Test func `What the canary wrote goes back in place; nobody is held, no session ends`() async throws {
        let stage = try await stage()
        let session = try await Connection.open(
            stage.server.settings(database: stage.database, user: "shop_\(stage.database)"))
        try await stage.canary(
            "UPDATE orders SET state = 'broken' WHERE id <= 10; DELETE FROM lines WHERE \"order\" = 3")
        try await stage.canary(
            "INSERT INTO customers VALUES (100, 'eve'); INSERT INTO orders VALUES (100, 100, 'x', 1)")
        try await session.execute("UPDATE orders SET total = total + 1 WHERE id = 5")
        let summary = try await stage.rewind()
        #expect(summary.mode == "heal" && summary.why == "the policy says so" && summary.previousDatabase == "")
        #expect(summary.rowsHealed == 14 && summary.tablesVerified == 6 && summary.rowsVerified == 240)
        #expect(await stage.gate.calls == [])
        #expect(try await stage.rows("SELECT state, total FROM orders WHERE id = 5") == ["new|6.00"])
        #expect(try await stage.rows("SELECT id FROM customers WHERE id > 20") == [])
        // The service's session is the same, and works.
        try await session.execute("UPDATE orders SET state = 'paid' WHERE id = 5")
        await session.close()
        try await stage.stable("UPDATE orders SET state = 'new' WHERE id = 5")
        try await expectEqualToClone(stage)
        let healed = try await stage.rows(
            """
            SELECT key->>'id', before->>'state', after->>'state' FROM perch.healed_\(stage.release.sqlName)
            WHERE "table" = 'orders' AND key->>'id' = '5'
            """)
        #expect(healed == ["5|broken|new"])
        try await stage.data.endRecording(release: stage.release, policy: stage.policy)
        let admin = try await Connection.open(stage.server.settings(database: stage.database))
        let now = wallClock()
        let service = stage.release.service
        #expect(try await HealedRows.dropOld(service, before: now.advanced(by: .minutes(-1)), admin) == [])
        let gone = "dropped table perch.healed_\(stage.release.sqlName): its time is over"
        #expect(try await HealedRows.dropOld(service, before: now.advanced(by: .minutes(1)), admin) == [gone])
        await admin.close()
    }

    @Test func `Values that are unique and go round, also where no NULL may be`() async throws {
        let stage = try await stage()
        try await stage.canary(
            """
            UPDATE customers SET name = 'x', email = 'x' WHERE id = 1;
            UPDATE customers SET name = 'name 1', email = 'mail 1' WHERE id = 2;
            UPDATE customers SET name = 'name 2', email = 'mail 2' WHERE id = 3;
            UPDATE customers SET name = 'name 3', email = 'mail 3' WHERE id = 1;
            UPDATE customers SET name = 'name 99' WHERE id = 9;
            INSERT INTO customers VALUES (200, 'name 9');
            DELETE FROM lines WHERE "order" = 20; DELETE FROM orders WHERE id = 20;
            """)
        let summary = try await stage.rewind()
        #expect(summary.rowsHealed == 8)
        try await expectEqualToClone(stage)
    }

    @Test func `Tables without a key, partitions, keys that changed and tables that were emptied`() async throws {
        let stage = try await stage()
        try await stage.canary(
            """
            INSERT INTO log VALUES ('line 0', 0), ('line 0', 0), ('new', 1); DELETE FROM log WHERE line = 'line 1';
            UPDATE events SET day = 3 - day WHERE id < 6; UPDATE lines SET line = line + 1000 WHERE "order" < 4;
            """)
        try await stage.stable("INSERT INTO log VALUES ('stable', 1); INSERT INTO events VALUES (50, 1, 'stable')")
        try await stage.canary("TRUNCATE lines")
        try await stage.stable("INSERT INTO lines VALUES (9, 9000, 'stable')")
        try await stage.rewind()
        try await expectEqualToClone(stage)
        #expect(try await stage.rows("SELECT count(*) FROM lines") == ["121"])
        #expect(try await stage.rows("SELECT count(*) FROM log") == ["21"])
    }

    @Test func `A column that follows live counts on, so that who read before cannot save`() async throws {
        let stage = try await stage { $0.columns = ["public.customers": ["version": .follow]] }
        try await stage.canary("UPDATE customers SET email = 'wrong', version = version + 1 WHERE id = 1")
        try await stage.rewind()
        #expect(try await stage.rows("SELECT email, version FROM customers WHERE id = 1") == ["mail 1|3"])
    }

    @Test func `auto heals, or says why it does not`() async throws {
        let small = try await stage(.clone, .auto)
        try await small.canary("UPDATE orders SET state = 'broken'")
        let healed = try await small.rewind()
        #expect(healed.mode == "heal" && healed.why.contains("60 rows differ"))

        let many = try await stage(.dump, .auto) { $0.healLimit = 59 }
        try await many.canary("UPDATE orders SET state = 'broken'")
        let swapped = try await many.rewind()
        #expect(swapped.mode == "swap" && swapped.why == "60 rows differ, and heal_limit is 59")

        let additive = try await stage(.dump, .auto)
        try await additive.canary(
            "SET ROLE shop_\(additive.database); ALTER TABLE orders ADD note text; CREATE TABLE extras (id int); RESET ROLE;"
                + "UPDATE orders SET note = 'n', state = 'x' WHERE id = 1")
        let kept = try await additive.rewind()
        #expect(kept.mode == "heal")
        #expect(
            kept.notUndone.last
                == "the canary's changes of the schema stay: column public.orders.note, relation public.extras"
        )
        #expect(try await additive.rows("SELECT state, note FROM orders WHERE id = 1") == ["new|n"])

        let destructive = try await stage(.dump, .auto)
        try await destructive.canary(
            "SET ROLE shop_\(destructive.database); ALTER TABLE orders DROP total; RESET ROLE;"
                + "UPDATE orders SET state = 'x' WHERE id = 1")
        let other = try await destructive.rewind()
        #expect(other.mode == "swap" && other.why.contains("column public.orders.total numeric(10,2)"))
        #expect(try await destructive.rows("SELECT state, total FROM orders WHERE id = 1") == ["new|1.00"])

        let halting = try await stage(.dump, .heal) { $0.destructiveDDL = .halt }
        try await halting.canary(
            "SET ROLE shop_\(halting.database); ALTER TABLE orders ADD must int NOT NULL DEFAULT 1")
        try await halting.canary("SET ROLE shop_\(halting.database); ALTER TABLE orders ALTER must DROP DEFAULT")
        try await halting.canary("UPDATE orders SET state = 'x' WHERE id = 1")
        let failure = await #expect(throws: Failure.self) { try await halting.rewind() }
        #expect(failure?.message.contains("public.orders.must is new, and an INSERT has to name it") == true)
    }

    @Test func `A kept clone follows stable and tells how far it is`() async throws {
        let stage = try await stage(.clone, .swap)
        try await stage.stable("UPDATE orders SET state = 'paid' WHERE id = 1")
        try await stage.canary("UPDATE orders SET state = 'broken' WHERE id IN (2, 3)")
        var status: CloneStatus?
        let end = ContinuousClock.now + .seconds(60)
        while status?.taintedRows != 2, ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(50))
            status = await stage.data.recording(release: stage.release)?.clone
        }
        #expect(status?.state == .following && status?.taintedRows == 2 && status?.decisionsOpen == 0)
        #expect(
            try await stage.rows("SELECT id, state FROM orders WHERE id < 4 ORDER BY 1", in: stage.restored)
                == ["1|paid", "2|new", "3|new"])
        let summary = try await stage.rewind()
        #expect(summary.mode == "swap" && summary.stableTransactionsReplayed == 1)
        #expect(
            try await stage.rows("SELECT id, state FROM orders WHERE id < 4 ORDER BY 1") == [
                "1|paid", "2|new", "3|new",
            ])
    }

    @Test func `A clone whose keeper died is taken up where its own tables say`() async throws {
        let stage = try await stage(.clone, .heal)
        try await stage.canary("UPDATE orders SET state = 'broken' WHERE id = 2")
        await stage.data.stopRecording()
        try await stage.stable("UPDATE orders SET state = 'paid' WHERE id = 1")
        let again = Stage.postgresData(stage.folder)
        try await again.resumeRecording(release: stage.release, policy: stage.policy)
        try await stage.rewind(with: again)
        try await expectEqualToClone(stage)
        #expect(try await stage.rows("SELECT id, state FROM orders WHERE id < 3 ORDER BY 1") == ["1|paid", "2|new"])
    }

    @Test func `What was healed can be put back, once, and not over what was written since`() async throws {
        let stage = try await stage()
        try await stage.canary(
            """
            UPDATE orders SET state = 'broken', total = NULL WHERE id <= 3; DELETE FROM lines WHERE "order" = 30;
            INSERT INTO customers VALUES (100, 'eve', NULL); INSERT INTO log VALUES ('new', NULL), ('new', NULL);
            """)
        let canarys = try await tables.asyncMap { try await stage.rows($0) }
        try await stage.rewind()
        try await stage.data.endRecording(release: stage.release, policy: stage.policy)
        let healed = try await tables.asyncMap { try await stage.rows($0) }
        func undo(skips: Bool = false, rehearses: Bool = false) async throws -> HealUndone {
            try await stage.data.undoHeal(
                release: stage.release, policy: stage.policy, skipsChanged: skips, isRehearsal: rehearses)
        }
        try await stage.stable("UPDATE orders SET state = 'paid' WHERE id = 2")
        let rehearsal = try await undo(rehearses: true)
        #expect(rehearsal.changedSince == ["public.orders (id = 2)"] && rehearsal.rows == 7)
        let refusal = await #expect(throws: Failure.self) { try await undo() }
        #expect(refusal?.message == "1 rows were written since they were healed: public.orders (id = 2)")
        try await stage.stable("UPDATE orders SET state = 'new' WHERE id = 2")
        #expect(try await tables.asyncMap { try await stage.rows($0) } == healed)

        #expect(try await undo().rows == 8)
        #expect(try await tables.asyncMap { try await stage.rows($0) } == canarys)
        let again = await #expect(throws: Failure.self) { try await undo() }
        #expect(again?.message.contains("there is nothing to undo") == true)
    }
}

extension Array where Element: Sendable {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
