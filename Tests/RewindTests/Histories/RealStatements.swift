// What the two arms of the simulated application do: random transactions over few rows and few values, so that both meet on
// the same ones. A statement returns what its session learns from it, and nothing else: which rows it wrote, or what it read.

/// SQL; `{1}` stands for the first value that its transaction read, as a literal.
typealias RealStatement = String

struct RealTransaction: Sendable {
    let world: Int
    let isCanary: Bool
    let statements: [RealStatement]
}

struct RealStatements {
    /// How much the canary is in stable's way.
    enum Canary: CaseIterable {
        /// Changes plain columns, and makes rows that stable rarely refers to.
        case mild
        /// The same as stable.
        case wild
    }

    private var random: SeededGenerator
    private let canary: Canary
    private let hot: [String]
    private var written = 0
    private var isCanary = false

    init(_ random: SeededGenerator) {
        self.random = random
        canary = self.random.pick([.mild, .mild, .wild])
        hot = self.random.pick([
            ["accounts"], ["accounts", "orders"], ["orders", "items"], ["accounts", "orders", "items"],
            ["nodes"], ["log", "events"], ["events"], ["accounts", "log", "tickets"],
            ["accounts", "orders", "items", "nodes", "log", "events", "tickets"],
        ])
    }

    mutating func transaction(_ world: Int, stableOnly: Bool = false) -> RealTransaction {
        isCanary = !stableOnly && random.chance(40)
        var statements: [RealStatement] = []
        for _ in 0..<random.pick([1, 1, 2, 3]) {
            // Answers are numbered through a transaction; a second reader would take the first one's.
            let hasRead = statements.contains { $0.hasPrefix("SELECT") }
            var more = steps()
            while hasRead, more.contains(where: { $0.hasPrefix("SELECT") }) { more = steps() }
            if random.chance(12) {
                more = ["SAVEPOINT s"] + more + [random.chance(60) ? "ROLLBACK TO s" : "RELEASE s"]
            }
            statements += more
        }
        return RealTransaction(world: world, isCanary: isCanary, statements: statements)
    }

    private var isMild: Bool { isCanary && canary == .mild }

    // MARK: Values

    private mutating func fresh() -> String {
        written += 1
        return "'\(isCanary ? "c" : "s")\(written)'"
    }
    private mutating func text() -> String { random.chance(30) ? random.pick(["'x'", "'y'", "NULL"]) : fresh() }
    private mutating func id() -> Int { Int.random(in: RealWorld.ids, using: &random) }
    /// Of a row that is new.
    private mutating func newID() -> Int { isMild ? 20 + id() : id() + (random.chance(30) ? 6 : 0) }
    private mutating func small() -> Int { Int.random(in: 1...3, using: &random) }
    private mutating func number() -> String {
        random.pick(["1", "1.0", "1.00", "-2.5", "'NaN'", "'Infinity'", "NULL", "1e20", "\(small())"])
    }
    private mutating func name() -> String { "'name\(isMild ? 20 + small() : small())'" }

    private mutating func account() -> String {
        let columns = [
            "a = \(text())", "b = \(text())", "n = \(number())", "balance = \(small() * 10)", "name = \(name())",
            "long = repeat(\(fresh()), 1000)", "doc = '{\"k\": \(small())}'", "doc = doc || '{\"m\": \(small())}'",
            "tags = ARRAY[\(fresh()), NULL]", "tags = tags || 'more'", "version = version + 1", "b = \(text())",
        ]
        let first = random.pick(columns)
        let second = random.pick(columns)
        return first.prefix(4) == second.prefix(4) ? first : "\(first), \(second)"
    }

    // MARK: Statements

    private mutating func steps() -> [RealStatement] {
        switch random.pick(hot) {
        case "accounts": accounts()
        case "orders": [orders()]
        case "items": [items()]
        case "nodes": [nodes()]
        case "log": [log()]
        case "events": [events()]
        default: [tickets()]
        }
    }

    private mutating func accounts() -> [RealStatement] {
        let id = id()
        switch random.below(isMild ? 62 : 100) {
        case 0..<35: return ["UPDATE accounts SET \(account()) WHERE id = \(id) RETURNING id"]
        case 35..<47:
            return [
                "UPDATE accounts SET balance = balance + \(random.pick([-3, -1, 1, 2, 5])) WHERE id = \(id) RETURNING id"
            ]
        case 47..<51: return ["UPDATE accounts SET \(account()) WHERE a = 'x' RETURNING id"]
        case 51..<62:
            return [
                """
                INSERT INTO accounts (id, name, a, n, long, doc) VALUES (\(newID()), 'name\(written + 30)\(isCanary)',
                \(text()), \(number()), repeat('l', 3000), '[1.0]') RETURNING id
                """
            ]
        case 62..<66:
            return [
                """
                INSERT INTO accounts (id, name, a) VALUES (\(newID()), \(name()), \(text()))
                ON CONFLICT (id) DO UPDATE SET a = excluded.a RETURNING id, xmax <> 0
                """
            ]
        case 66..<73: return ["DELETE FROM accounts WHERE id = \(id) RETURNING id"]
        case 73..<78: return ["UPDATE accounts SET id = \(newID()) WHERE id = \(id) RETURNING id"]
        case 78..<83:
            return [
                "SELECT balance FROM accounts WHERE id = \(id)",
                "UPDATE accounts SET balance = {1}::int + \(small()) WHERE id = \(id) RETURNING id",
            ]
        case 83..<88:
            return [
                "SELECT version, a FROM accounts WHERE id = \(id)",
                "UPDATE accounts SET a = {2}, b = \(fresh()), version = version + 1 WHERE id = \(id) AND version = {1}::int RETURNING id",
            ]
        case 88..<95:
            let other = id % RealWorld.ids.upperBound + 1
            return [
                "SELECT a.name, b.name FROM accounts a, accounts b WHERE a.id = \(id) AND b.id = \(other)",
                "UPDATE accounts SET name = 'parked' WHERE id = \(id) RETURNING id",
                "UPDATE accounts SET name = {1} WHERE id = \(other) RETURNING id",
                "UPDATE accounts SET name = {2} WHERE id = \(id) RETURNING id",
            ]
        case 95..<97: return ["UPDATE accounts SET balance = balance + 1 WHERE balance > 3 RETURNING id"]
        default: return [random.pick(["TRUNCATE items", "TRUNCATE accounts, orders, items", "TRUNCATE log, tickets"])]
        }
    }

    private mutating func orders() -> RealStatement {
        let id = id()
        let account = random.chance(10) ? "NULL" : "\(isMild && random.chance(50) ? 20 + small() : self.id())"
        switch random.below(isMild ? 70 : 100) {
        case 0..<25: return "UPDATE orders SET a = \(text()), state = \(fresh()) WHERE id = \(id) RETURNING id"
        case 25..<35: return "UPDATE orders SET state = \(fresh()) WHERE id = \(id) RETURNING id"
        case 35..<50:
            return "UPDATE orders SET account = \(account), slot = \(random.below(5)) WHERE id = \(id) RETURNING id"
        case 50..<70:
            return "INSERT INTO orders VALUES (\(newID()), \(account), \(random.below(9)), \(text())) RETURNING id"
        case 70..<85: return "DELETE FROM orders WHERE id = \(id) RETURNING id"
        case 85..<92: return "UPDATE orders SET id = \(newID()) WHERE id = \(id) RETURNING id"
        default: return "UPDATE orders SET slot = slot + 3 WHERE state = 'new' RETURNING id"
        }
    }

    private mutating func items() -> RealStatement {
        let order = id()
        let place = "\"order\" = \(order) AND line = \(small())"
        switch random.below(isMild ? 70 : 100) {
        case 0..<20: return "UPDATE items SET note = \(text()) WHERE \(place) RETURNING \"order\", line"
        case 20..<40:
            return
                "UPDATE items SET qty = qty + \(random.pick([-1, 1, 2])) WHERE \(place) RETURNING \"order\", line"
        case 40..<70:
            return
                "INSERT INTO items VALUES (\(order), \(isMild ? 20 + small() : small()), \(text()), \(small())) RETURNING \"order\", line"
        case 70..<85: return "DELETE FROM items WHERE \(place) RETURNING \"order\", line"
        case 85..<98: return "UPDATE items SET \"order\" = \(id()) WHERE \(place) RETURNING \"order\", line"
        default: return "TRUNCATE items"
        }
    }

    private mutating func nodes() -> RealStatement {
        let id = id()
        switch random.below(isMild ? 75 : 100) {
        case 0..<35: return "UPDATE nodes SET a = \(text()) WHERE id = \(id) RETURNING id"
        case 35..<55: return "UPDATE nodes SET parent = \(self.id()) WHERE id = \(id) RETURNING id"
        case 55..<75: return "INSERT INTO nodes VALUES (\(newID()), \(self.id()), \(text())) RETURNING id"
        case 75..<92: return "DELETE FROM nodes WHERE id = \(id) RETURNING id"
        default: return "UPDATE nodes SET id = \(newID()) WHERE id = \(id) RETURNING id"
        }
    }

    /// An UPDATE that can hit another row and leave the same one behind returns the row as it was.
    private mutating func log() -> RealStatement {
        let line = "'line\(random.below(4))'"
        let one = "ctid = (SELECT ctid FROM log WHERE line = \(line) ORDER BY at, n LIMIT 1)"
        let was = "RETURNING o.line, o.at, o.n"
        switch random.below(100) {
        case 0..<50:
            return "INSERT INTO log VALUES (\(isMild ? fresh() : line), \(small()), \(number())) RETURNING line, at, n"
        case 50..<70:
            return "UPDATE log l SET at = \(10 + small()) FROM log o WHERE l.ctid = o.ctid AND l.\(one) \(was)"
        case 70..<85: return "DELETE FROM log WHERE \(one) RETURNING line, at, n"
        case 85..<97:
            return "UPDATE log l SET n = \(number()) FROM log o WHERE l.ctid = o.ctid AND l.line = \(line) \(was)"
        default: return "TRUNCATE log"
        }
    }

    private mutating func events() -> RealStatement {
        let (id, region) = (id(), random.pick(["'east'", "'west'"]))
        let other = "FROM events o WHERE (e.id, e.region) = (o.id, o.region) AND e.id = \(id) RETURNING o.id, o.region"
        switch random.below(isMild ? 70 : 100) {
        case 0..<30: return "UPDATE events SET what = \(text()) WHERE id = \(id) RETURNING id, region"
        case 30..<45: return "UPDATE events SET n = n + \(small()) WHERE id = \(id) RETURNING id, region"
        case 45..<55: return "UPDATE events e SET region = \(region) \(other)"
        case 55..<70: return "INSERT INTO events VALUES (\(newID()), \(region), \(text()), 1) RETURNING id, region"
        case 70..<85: return "DELETE FROM events WHERE id = \(id) RETURNING id, region"
        case 85..<97: return "UPDATE events e SET id = \(newID()), region = \(region), what = \(text()) \(other)"
        default: return "TRUNCATE events"
        }
    }

    private mutating func tickets() -> RealStatement {
        let id = id()
        switch random.below(100) {
        case 0..<35: return "UPDATE tickets SET a = \(text()), n = n + 1 WHERE id = \(id) RETURNING id"
        case 35..<60:
            return "INSERT INTO tickets OVERRIDING SYSTEM VALUE VALUES (\(newID()), \(text()), 1) RETURNING id"
        case 60..<75: return "INSERT INTO tickets (a, n) VALUES (\(text()), 1) RETURNING id"
        default: return "DELETE FROM tickets WHERE id = \(id) RETURNING id"
        }
    }
}

extension SeededGenerator {
    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements.randomElement(using: &self)! }
}
