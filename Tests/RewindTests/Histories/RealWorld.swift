// A small application's tables, in a schema of their own so that several histories fit into one database: what is hard for
// a merge of two arms' writes, a few rows of each, and rules and constraints that differ from seed to seed.

import Releases

/// What a check needs to know of a table.
struct RealTable: Sendable {
    let name: String
    let columns: [String]
    /// All columns where the table has no key.
    let key: [String]
    /// Columns that refer to a table's key.
    var parents: [(columns: [String], table: String)] = []
    /// Columns that follow live, and are outside of every claim.
    var following: Set<String> = []

    var isKeyless: Bool { key.count == columns.count }
}

struct RealWorld: Sendable {
    static let ids = 1...6

    /// Of its schema.
    let name: String
    let tables: [RealTable]
    let rules: [String: [String: Policy.DataRollback.ColumnRule]]
    /// Tables with their first rows.
    let script: String

    init(_ name: String, _ random: inout SeededGenerator) {
        self.name = name
        var choices = Choices(random)
        script = "CREATE SCHEMA \(name); SET search_path = \(name);\n\(choices.tables())\n\(choices.rows())\n"
        let rules = choices.rules()
        random = choices.random
        self.rules = Dictionary(uniqueKeysWithValues: rules.map { ("\(name).\($0)", $1) })
        let following = Set((rules["accounts"] ?? [:]).filter { $0.value == .follow }.keys)
        tables = [
            RealTable(
                name: "accounts",
                columns: [
                    "id", "name", "a", "b", "n", "balance", "long", "doc", "tags", "version", "double",
                ], key: ["id"], following: following),
            RealTable(
                name: "orders", columns: ["id", "account", "slot", "a", "state"], key: ["id"],
                parents: [(["account"], "accounts")]),
            RealTable(
                name: "items", columns: ["order", "line", "note", "qty"], key: ["order", "line"],
                parents: [(["order"], "orders")]),
            RealTable(
                name: "nodes", columns: ["id", "parent", "a"], key: ["id"], parents: [(["parent"], "nodes")]),
            RealTable(name: "log", columns: ["line", "at", "n"], key: ["line", "at", "n"]),
            RealTable(name: "events", columns: ["id", "region", "what", "n"], key: ["id", "region"]),
            RealTable(name: "tickets", columns: ["id", "a", "n"], key: ["id"]),
        ]
    }

    /// The root of a partition, any other table itself.
    static func root(_ table: String) -> String { table.hasPrefix("events_") ? "events" : table }
}

private struct Choices {
    var random: SeededGenerator

    init(_ random: SeededGenerator) { self.random = random }

    mutating func pick(_ texts: [String]) -> String { texts.randomElement(using: &random)! }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func tables() -> String {
        let deferred = ["", "DEFERRABLE INITIALLY DEFERRED"]
        let actions = ["NO ACTION", "RESTRICT", "CASCADE", "SET NULL"]
        let name = pick(["UNIQUE", "UNIQUE DEFERRABLE INITIALLY DEFERRED", "UNIQUE DEFERRABLE", ""])
        return """
            CREATE TABLE accounts (
                id int PRIMARY KEY, name text \(name), a text, b text, n numeric,
                balance int NOT NULL DEFAULT 0 \(pick(["", "CHECK (balance > -5)"])), long text, doc jsonb, tags text[],
                version int NOT NULL DEFAULT 1, double bigint GENERATED ALWAYS AS (balance * 2) STORED);
            ALTER TABLE accounts ALTER long SET STORAGE EXTERNAL;
            \(name.isEmpty ? "CREATE UNIQUE INDEX ON accounts (lower(name)) WHERE a IS NOT NULL;" : "")
            CREATE TABLE orders (
                id int PRIMARY KEY,
                account int REFERENCES accounts ON DELETE \(pick(actions)) ON UPDATE \(pick(actions)) \(pick(deferred)),
                slot int, a text, state text NOT NULL DEFAULT 'new', UNIQUE (account, slot));
            CREATE TABLE items (
                "order" int REFERENCES orders ON DELETE \(pick(["CASCADE", "RESTRICT"])) ON UPDATE \(pick(["CASCADE", "NO ACTION"])),
                line int, note text, qty int CHECK (qty >= 0), PRIMARY KEY ("order", line));
            CREATE TABLE nodes (
                id int PRIMARY KEY, parent int REFERENCES nodes ON DELETE \(pick(actions)) \(pick(deferred)), a text);
            CREATE TABLE log (line text, at int, n numeric);
            ALTER TABLE log REPLICA IDENTITY FULL;
            CREATE TABLE events (id int, region text, what text, n int, PRIMARY KEY (id, region))
                PARTITION BY LIST (region);
            CREATE TABLE events_east PARTITION OF events FOR VALUES IN ('east');
            CREATE TABLE events_west PARTITION OF events FOR VALUES IN ('west');
            CREATE TABLE tickets (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text, n int);
            \(chance(20) ? "ALTER TABLE orders REPLICA IDENTITY FULL;" : "")
            """
    }

    mutating func rows() -> String {
        let amount = RealWorld.ids.lowerBound..<RealWorld.ids.upperBound
        var lines: [String] = []
        for id in amount where chance(85) {
            lines.append(
                """
                INSERT INTO accounts VALUES (\(id), 'name\(id)', 'a\(id)', 'b', \(id).50, \(id), repeat('long\(id)', 600),
                    '{"k": \(id), "list": [1, null]}', '{x,NULL,"y z"}');
                """)
        }
        lines.append(
            """
            INSERT INTO orders SELECT id, id, id % 3, 'o' || id FROM accounts;
            INSERT INTO items SELECT o.id, i, 'i', i FROM orders o, generate_series(1, 2) i;
            INSERT INTO nodes SELECT n, nullif(n / 2, 0), 'n' || n FROM generate_series(1, 5) n;
            INSERT INTO log SELECT 'line' || n % 3, n % 2, 1.5 FROM generate_series(1, 6) n;
            INSERT INTO events SELECT n, CASE WHEN n % 2 = 0 THEN 'east' ELSE 'west' END, 'e' || n, n
                FROM generate_series(1, 5) n;
            INSERT INTO tickets (a, n) SELECT 't' || n, n FROM generate_series(1, 4) n;
            """)
        return lines.joined(separator: "\n")
    }

    mutating func rules() -> [String: [String: Policy.DataRollback.ColumnRule]] {
        var accounts: [String: Policy.DataRollback.ColumnRule] = [:]
        if chance(60) { accounts["balance"] = .add }
        if chance(30) { accounts["n"] = chance(50) ? .hold : .add }
        if chance(50) { accounts["version"] = .follow }
        return ["accounts": accounts, "items": chance(30) ? ["qty": .add] : [:]].filter { !$0.value.isEmpty }
    }
}
