// Goal: what a person decides about the quarantine is what the live database gets, once, whole and only over what was seen.
// Method: a service written by both arms and rewound, through a real PostgreSQL; then decisions, also ones that a crash,
// another session or a constraint comes between.

import Foundation
import Ports
import Postgres
import Releases
import SystemPackage
import Testing

@testable import Rewind

private let schema = """
    CREATE TABLE orders (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state varchar(8), cents bigint, note text,
        twice bigint GENERATED ALWAYS AS (cents * 2) STORED);
    INSERT INTO orders (state, cents, note) SELECT 'open', 100 * n, NULL FROM generate_series(1, 6) n;
    CREATE TABLE lines (
        id int PRIMARY KEY, order_id int REFERENCES orders, parent int REFERENCES lines, what text, tags text[],
        UNIQUE (order_id, what));
    INSERT INTO lines VALUES (1, 1, NULL, 'tea', '{a,"b c"}'), (2, 2, NULL, 'cup', NULL);
    CREATE TABLE visits (day date, id int, who text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    CREATE TABLE log (line text);
    ALTER TABLE log REPLICA IDENTITY FULL;
    """

/// What both arms write before each rewind, and its quarantine.
private struct Decided {
    let stage: Stage
    let entries: [QuarantinedChange]

    init(_ more: [(Arm, String)] = []) async throws {
        stage = try await Stage(schema) { $0.columns = ["public.orders": ["cents": .hold]] }
        for (arm, script) in [
            (
                Arm.canary,
                """
                INSERT INTO orders (id, state, cents) OVERRIDING SYSTEM VALUE VALUES (50, 'new', 5);
                INSERT INTO lines VALUES (50, 50, NULL, 'pot', '{}'), (51, 50, 50, 'lid', NULL);
                INSERT INTO visits VALUES ('2026-01-05', 1, 'ann');
                UPDATE orders SET state = 'paid', note = 'E''\\' WHERE id = 1;
                UPDATE orders SET note = 'twice' WHERE id = 1;
                DELETE FROM lines WHERE id = 2;
                """
            ),
            (.canary, "UPDATE orders SET cents = 999 WHERE id = 3"),
            (.stable, "UPDATE orders SET cents = 333 WHERE id = 3"),
            (.canary, "UPDATE lines SET id = 9 WHERE id = 1"),
        ] + more {
            try await arm == .stable ? stage.stable(script) : stage.canary(script)
        }
        try await stage.rewind()
        entries = try await stage.quarantine()
    }

    func ids(_ isWanted: (QuarantinedChange) -> Bool) -> [Int] { entries.filter(isWanted).map(\.id) }

    /// The canary's first transaction.
    var first: [Int] { ids { $0.commitLSN == entries[0].commitLSN } }
    var held: Int { get throws { try #require(entries.first { $0.reason == .held }).id } }

    func apply(
        _ ids: [Int], _ change: (inout QuarantineOrder) -> Void = { _ in }, with data: PostgresData? = nil,
        faultPoint: @escaping FaultPoint = { _ in }
    ) async throws -> [QuarantineWrite] {
        var order = QuarantineOrder(ids: ids, person: "alice", at: Instant(millisecondsSince1970: 1_000))
        change(&order)
        return try await (data ?? stage.data).applyQuarantine(
            release: stage.release, policy: stage.policy, order, faultPoint: faultPoint)
    }

    func now(_ ids: [Int]) async throws -> [Int: QuarantinedRow] {
        try await stage.data.quarantinedRows(release: stage.release, policy: stage.policy, ids: ids)
    }

    func decision(_ id: Int) async throws -> QuarantineDecision? {
        try await stage.quarantine().first { $0.id == id }?.decision
    }
}

@Suite struct DecisionTests {
    @Test func `The canary's transaction is written again, parents first, in one transaction`() async throws {
        let decided = try await Decided()
        // Backwards: children before parents.
        let writes = try await decided.apply(decided.first.reversed()) { $0.reason = "a customer asked" }
        #expect(
            try await decided.stage.rows(
                "SELECT id, state, cents, twice, note FROM orders WHERE id IN (1, 50) ORDER BY 1")
                == ["1|paid|100|200|twice", "50|new|5|10|NULL"])
        #expect(
            try await decided.stage.rows("SELECT id, order_id, parent, what, tags FROM lines ORDER BY 1")
                == ["1|1|NULL|tea|{a,\"b c\"}", "50|50|NULL|pot|{}", "51|50|50|lid|NULL"])
        #expect(try await decided.stage.rows("SELECT day, id, who FROM visits_1") == ["2026-01-05|1|ann"])
        // The row that was written twice is written once.
        #expect(
            writes.map { "\($0.operation.rawValue) \($0.table)" }.sorted() == [
                "delete public.lines", "insert public.lines", "insert public.lines", "insert public.orders",
                "insert public.visits", "update public.orders",
            ])
        let decision = try #require(try await decided.decision(decided.first[0]))
        #expect(
            decision
                == QuarantineDecision(
                    how: .applied, side: .canary, person: "alice", reason: "a customer asked", at: 1_000))
    }

    @Test func `All sides of a write stand beside each other, as live had them`() async throws {
        let decided = try await Decided()
        let updates = decided.entries.filter { $0.key == ["id": "1"] && $0.table == "public.orders" }
        #expect(updates.map { $0.before?["state"] } == ["open", "paid"])
        #expect(updates.map { $0.before?["note"] } == [.some(nil), "E'\\"])
        #expect(updates.map(\.differingColumns) == [["note", "state"], ["note"]])
        let deleted = try #require(decided.entries.first { $0.operation == "DELETE" })
        #expect(deleted.before?["what"] == "cup" && deleted.image(.canary) == .absent)
        let inserted = try #require(decided.entries.first { $0.operation == "INSERT" })
        #expect(inserted.image(.before) == .absent && inserted.image(.stable) == nil)
        let held = try #require(decided.entries.first { $0.reason == .held })
        #expect(QuarantinedChange.Side.allCases.map { held.image($0)?.row?["cents"] } == ["300", "999", "333"])
    }

    @Test func `A conflict is decided by its column, and whose is taken must be said`() async throws {
        let decided = try await Decided()
        let id = try decided.held
        #expect(try #require(decided.entries.first { $0.id == id }).isOpen)
        let unsaid = await #expect(throws: Failure.self) { try await decided.apply([id]) }
        #expect(unsaid?.message == "entry \(id) is a conflict: it has to be said whose row is taken")
        let read = "SELECT state, cents FROM orders WHERE id = 3"
        #expect(try await decided.stage.rows(read) == ["open|333"])
        try await decided.stage.stable("UPDATE orders SET state = 'sent' WHERE id = 3")
        for (side, value) in [(QuarantinedChange.Side.canary, "999"), (.before, "300"), (.stable, "333")] {
            _ = try await decided.apply([id]) {
                $0.side = side
                $0.isAgain = side != .canary
            }
            #expect(try await decided.stage.rows(read) == ["sent|\(value)"])
        }
        let entry = try #require(try await decided.stage.quarantine().first { $0.id == id })
        #expect(!entry.isOpen && entry.decision?.side == .stable)
    }

    @Test func `A row that is not as it was seen is refused by name, column and values, and nothing is written`()
        async throws
    {
        let decided = try await Decided()
        let seen = try await decided.now(decided.first)
        #expect(seen.count == decided.first.count)
        try await decided.stage.stable("UPDATE orders SET note = 'stable' WHERE id = 1")
        let failure = await #expect(throws: Failure.self) {
            try await decided.apply(decided.first) { $0.seen = seen }
        }
        #expect(failure?.message == "row (1) of public.orders has changed: note was null, is 'stable'")
        #expect(try await decided.stage.rows("SELECT count(*) FROM orders WHERE id = 50") == ["0"])
        #expect(try await decided.decision(decided.first[0]) == nil)
        try await decided.stage.stable("DELETE FROM lines WHERE id = 2")
        let gone = await #expect(throws: Failure.self) {
            try await decided.apply(decided.ids { $0.operation == "DELETE" }) { $0.seen = seen }
        }
        #expect(gone?.message == "row (2) of public.lines was there, and is not now")
    }

    @Test func `A rehearsal tries everything and keeps nothing`() async throws {
        let decided = try await Decided()
        let writes = try await decided.apply(decided.first) { $0.isRehearsal = true }
        #expect(writes.count == 6)
        let update = try #require(writes.first { $0.operation == .update })
        #expect(update.from?["state"] == "open" && update.to?["state"] == "paid" && update.key == ["id": "1"])
        #expect(try await decided.stage.rows("SELECT count(*) FROM orders WHERE id = 50") == ["0"])
        #expect(try await decided.decision(decided.first[0]) == nil)
    }

    @Test func `What the database refuses is written in no part`() async throws {
        let decided = try await Decided()
        try await decided.stage.stable(
            "INSERT INTO lines VALUES (70, 3, NULL, 'x', NULL); DELETE FROM lines WHERE id = 1")
        // The lines of order 50 without their order.
        let failure = await #expect(throws: Failure.self) {
            try await decided.apply(decided.ids { $0.table == "public.lines" && $0.operation == "INSERT" })
        }
        #expect(failure?.message.contains("lines_order_id_fkey") == true)
        #expect(failure?.isTransient == false)
        #expect(try await decided.stage.rows("SELECT id FROM lines ORDER BY 1") == ["2", "70"])
    }

    @Test func `A row gets its other key back in place`() async throws {
        let decided = try await Decided()
        try await decided.stage.stable("INSERT INTO lines VALUES (8, 1, 1, 'tin', NULL)")
        let moved = decided.ids { $0.key == ["id": "1"] && $0.table == "public.lines" }
        #expect(moved.count == 1)
        let failure = await #expect(throws: Failure.self) { try await decided.apply(moved) { $0.isWholeRow = true } }
        #expect(failure?.message.contains("lines_parent_fkey") == true, "a child refers to it")
        try await decided.stage.stable("DELETE FROM lines WHERE id = 8")
        let writes = try await decided.apply(moved) { $0.isWholeRow = true }
        #expect(writes.map(\.operation) == [.update] && writes[0].to?["id"] == "9")
        #expect(
            try await decided.stage.rows("SELECT id, what, tags FROM lines ORDER BY 1") == [
                "2|cup|NULL", "9|tea|{a,\"b c\"}",
            ])
        #expect(try await decided.apply(moved) { $0.isWholeRow = true } == [], "it is so already")
    }

    @Test func `What was applied is applied once, also when the row went on since`() async throws {
        let decided = try await Decided()
        _ = try await decided.apply(decided.first)
        #expect(try await decided.apply(decided.first) == [])
        try await decided.stage.stable("UPDATE orders SET state = 'sent' WHERE id = 1")
        let failure = await #expect(throws: Failure.self) { try await decided.apply(decided.first) }
        #expect(failure?.message.contains("was decided by alice: applied (canary)") == true)
        #expect(try await decided.stage.rows("SELECT state FROM orders WHERE id = 1") == ["sent"])
    }

    @Test(arguments: ["quarantine.written", "quarantine.committed"])
    func `After a crash the server says whether it was applied`(_ place: String) async throws {
        let decided = try await Decided()
        _ = await #expect(throws: Failure.self) {
            try await decided.apply(decided.first, faultPoint: { if $0 == place { throw EndOfTheWorld() } })
        }
        let isCommitted = place == "quarantine.committed"
        #expect(try await decided.decision(decided.first[0])?.how == .unsettled)
        // Users go on with the row; a daemon that knows nothing of it decides again.
        try await decided.stage.stable("UPDATE orders SET state = 'sent' WHERE id = 1")
        let another = Stage.postgresData(decided.stage.folder)
        if isCommitted {
            _ = await #expect(throws: Failure.self) { try await decided.apply(decided.first, with: another) }
            #expect(try await decided.decision(decided.first[0])?.how == .applied)
            #expect(try await decided.stage.rows("SELECT state FROM orders WHERE id = 1") == ["sent"])
        } else {
            #expect(try await decided.apply(decided.first, with: another).count == 6)
            #expect(try await decided.stage.rows("SELECT state FROM orders WHERE id = 1") == ["paid"])
        }
        let lines = try DecisionFile(reading: decided.stage.data.folder(decided.stage.release).decisions).lines
        #expect(
            lines.map(\.step) == (isCommitted ? [.written, .committed] : [.written, .abandoned, .written, .committed]))
    }

    @Test func `A row without a key is decided by hand`() async throws {
        let decided = try await Decided([(.canary, "INSERT INTO log VALUES ('c')")])
        let ids = decided.ids { $0.table == "public.log" }
        #expect(try await decided.now(ids) == [:])
        let failure = await #expect(throws: Failure.self) { try await decided.apply(ids) }
        #expect(failure?.message.contains("cannot be told apart by a key") == true)
        try await decided.stage.data.discardQuarantine(
            release: decided.stage.release, ids: ids, person: "bob", reason: nil, at: Instant(millisecondsSince1970: 2))
        #expect(try await decided.decision(ids[0])?.how == .discarded)
    }

    @Test func `A value that does not fit is refused, not cut`() async throws {
        let decided = try await Decided()
        try await decided.stage.stable("ALTER TABLE orders ALTER state TYPE varchar(3) USING substr(state, 1, 3)")
        let ids = decided.ids { $0.key == ["id": "1"] && $0.table == "public.orders" }
        let failure = await #expect(throws: Failure.self) { try await decided.apply(ids) { $0.columns = ["state"] } }
        #expect(failure?.message.contains("too long") == true)
    }
}
