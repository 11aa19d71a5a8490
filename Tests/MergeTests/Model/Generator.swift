// Random histories: few rows and few values, so that both versions meet on the same ones all the time.

import Merge

struct Generator {
    var random: SeededGenerator
    let world: World
    /// Tables that are written; a history that writes few has more to merge.
    private let hot: [TableID]
    private var written = 0
    /// Rows that a session of each origin has read and may save.
    private var forms: [Origin: [RowID]] = [:]

    init(_ world: World, _ random: SeededGenerator) {
        self.world = world
        self.random = random
        hot = self.random.pick([
            [Names.accounts], [Names.accounts, Names.orders], [Names.accounts, Names.orders, Names.items],
            [Names.accounts, Names.items, Names.log], [Names.accounts, Names.east, Names.west],
            [Names.east, Names.west, Names.notes], [Names.mails, Names.log], [Names.nodes],
            [Names.orders, Names.items], [Names.accounts, Names.log], world.ids,
        ])
    }

    // MARK: Values

    private mutating func fresh() -> Value {
        written += 1
        return Value("w\(written)")
    }

    /// Sometimes one that comes again, so that both versions write the same.
    private mutating func text() -> Value { random.chance(30) ? Value(random.pick(["x", "y"])) : fresh() }

    private mutating func value(_ table: TableID, _ column: Int, _ live: ModelDatabase) -> Value {
        let model = world.tables[table]!
        if model.nullable.contains(column), random.chance(12) { return .null }
        if let key = model.schema.foreignKeys.first(where: { $0.columns.contains(column) }) {
            return parentValue(key, column, live)
        }
        switch model.schema.columns[column].name {
        case "id", "line": return Value(1 + random.below(5))
        case "u": return Value(random.pick(["ann", "bob", "cat", "dan"]))
        case "slot": return Value(1 + random.below(2))
        case "n", "m": return Value(random.below(6))
        case "v": return Value(1)
        case "s": return fresh()
        case "region": return Value(random.pick(["east", "west"]))
        case "mail": return Value(random.pick(["Ann", "ann", "Bob", "bob"]))
        case "active": return Value(random.pick(["t", "t", "f"]))
        default: return text()
        }
    }

    private mutating func parentValue(_ key: ForeignKey, _ column: Int, _ live: ModelDatabase) -> Value {
        let place = key.columns.firstIndex(of: column)!
        var values: Set<Value> = []
        for table in world.ids {
            for unique in world.tables[table]!.schema.uniques where unique.id == key.references {
                for row in live.allRows(table) { values.insert(row[unique.columns[place]]) }
            }
        }
        let present = values.filter { $0 != .null }.sorted()
        return present.isEmpty || random.chance(5) ? Value(1 + random.below(5)) : random.pick(present)
    }

    mutating func row(_ table: TableID, _ live: ModelDatabase) -> Row {
        var row = world.tables[table]!.schema.columns.indices.map { value(table, $0, live) }
        if table == Names.east { row[world.tables[table]!.column("region")] = Value("east") }
        if table == Names.west { row[world.tables[table]!.column("region")] = Value("west") }
        if world.tables[table]!.schema.foreignKeys.contains(where: { $0.columns.count > 1 }) {
            fitParent(&row, world.tables[table]!, live)
        }
        return row
    }

    /// A parent of several columns is only met by taking one as it is.
    private mutating func fitParent(_ row: inout Row, _ model: ModelTable, _ live: ModelDatabase) {
        for key in model.schema.foreignKeys where key.columns.count > 1 {
            var parents: [[Value]] = []
            for table in world.ids {
                for unique in world.tables[table]!.schema.uniques where unique.id == key.references {
                    for parent in live.sortedRows(table) { parents.append(unique.columns.map { parent[$0] }) }
                }
            }
            guard !parents.isEmpty, random.chance(85) else { continue }
            for (column, value) in zip(key.columns, random.pick(parents)) { row[column] = value }
        }
    }

    // MARK: Statements

    private mutating func existing(_ table: TableID, _ live: ModelDatabase) -> RowID? {
        let rows = live.sortedRows(table)
        return rows.isEmpty ? nil : world.tables[table]!.rowID(random.pick(rows))
    }

    private mutating func table() -> TableID { random.pick(hot) }

    /// Assignments of some columns; of key columns only when asked for.
    private mutating func assignments(_ table: TableID, _ live: ModelDatabase, key: Bool) -> [Int: Value] {
        let model = world.tables[table]!
        var columns = model.schema.columns.indices.filter {
            !world.follows(table, $0) && (key || !model.schema.key.contains($0))
        }
        var values: [Int: Value] = [:]
        for _ in 0..<(1 + random.below(2)) where !columns.isEmpty {
            let column = columns.remove(at: random.below(columns.count))
            values[column] = value(table, column, live)
        }
        if key {
            for column in model.schema.key where random.chance(60) { values[column] = value(table, column, live) }
        }
        return values
    }

    private func numbers(_ table: TableID) -> [Int] {
        let columns = world.tables[table]!.schema.columns
        return columns.indices.filter { columns[$0].addition != .impossible && world.rule(table, $0) != .stamp }
    }

    mutating func statement(_ origin: Origin, _ live: ModelDatabase) -> Statement {
        let table = table()
        let model = world.tables[table]!
        guard let id = existing(table, live), !random.chance(15) else { return .insert(table, row(table, live)) }
        let numbers = numbers(table)
        switch random.below(100) {
        case 0..<12: return .delete(match(id, live))
        case 12..<14: return .truncate(random.pick([[Names.notes], [Names.log], [Names.mails], [Names.items]]))
        case 14..<28 where !numbers.isEmpty:
            return .increment(match(id, live), random.pick(numbers), by: random.pick([-2, -1, 1, 1, 2]))
        case 28..<34 where !model.isKeyless: return .set(.key(id), assignments(table, live, key: true))
        case 34..<38 where !model.isKeyless:
            return .upsert(table, row(table, live), assignments(table, live, key: false))
        case 38..<43 where !model.isKeyless: return swap(id, live)
        case 43..<47 where numbers.count > 0:
            return .readAndWrite(
                id, read: random.pick(numbers), write: random.pick(numbers), plus: 1 + random.below(2))
        case 47..<51 where numbers.count > 0:
            return .guarded(
                id, read: random.pick(numbers), atLeast: 2 + random.below(3), assignments(table, live, key: false))
        case 51..<56 where !model.isKeyless:
            forms[origin, default: []].append(id)
            return .readForm(id)
        case 56..<66:
            if let form = forms[origin]?.first {
                forms[origin]!.removeFirst()
                return .saveForm(form, assignments(form.table, live, key: false))
            }
            return .set(match(id, live), assignments(table, live, key: false))
        case 66..<69:
            let inner = (0..<2).map { _ in plain(origin, live) }
            return .savepoint(inner, rollsBack: random.chance(50))
        default: return .set(match(id, live), assignments(table, live, key: false))
        }
    }

    private mutating func plain(_ origin: Origin, _ live: ModelDatabase) -> Statement {
        while true {
            switch statement(origin, live) {
            case .savepoint, .readForm, .saveForm: continue
            case let plain: return plain
            }
        }
    }

    private mutating func match(_ id: RowID, _ live: ModelDatabase) -> Match {
        let model = world.tables[id.table]!
        guard !model.isKeyless, random.chance(15), let row = live[id] else { return .key(id) }
        let columns = row.indices.filter { !world.follows(id.table, $0) && row[$0] != .null }
        let column = random.pick(columns)
        return .equals(id.table, column, row[column])
    }

    private mutating func swap(_ id: RowID, _ live: ModelDatabase) -> Statement {
        let other = existing(id.table, live)!
        let columns: [Int] =
            switch id.table {
            case Names.accounts: [1]
            case Names.orders: [1, 2]
            case Names.mails: [1]
            default: [world.tables[id.table]!.column("a")]
            }
        return .swap(id, other, columns)
    }

    mutating func transaction(_ live: ModelDatabase) -> ModelTransaction {
        let origin: Origin = random.chance(45) ? .canary : random.chance(10) ? .unattributed : .stable
        let role: Origin = origin == .canary ? .canary : .stable
        return ModelTransaction(
            origin: origin, statements: (0..<(1 + random.below(3))).map { _ in statement(role, live) })
    }
}
