// What sessions of the service do, one statement at a time, and what came of it.

import Merge

enum Match: Hashable, Sendable {
    case key(RowID)
    /// Every row with this value, in the table and its sister partitions.
    case equals(TableID, Int, Value)
}

indirect enum Statement: Hashable, Sendable {
    case insert(TableID, Row)
    /// INSERT ... ON CONFLICT (key) DO UPDATE SET.
    case upsert(TableID, Row, [Int: Value])
    case set(Match, [Int: Value])
    /// SET x = x + d.
    case increment(Match, Int, by: Int)
    case delete(Match)
    case truncate([TableID])
    /// Two rows exchange their values of some columns in one statement.
    case swap(RowID, RowID, [Int])
    /// The session reads a value, adds to it and writes the sum.
    case readAndWrite(RowID, read: Int, write: Int, plus: Int)
    /// IF the value read is at least a bound THEN SET.
    case guarded(RowID, read: Int, atLeast: Int, [Int: Value])
    /// Reads a whole row and keeps it.
    case readForm(RowID)
    /// Writes the whole row that was read before, with some columns changed.
    case saveForm(RowID, [Int: Value])
    /// To be rolled back to its beginning, or not; a failure inside rolls back as well.
    case savepoint([Statement], rollsBack: Bool)
}

/// What one run of a statement did.
struct StatementRun: Hashable, Sendable {
    enum End: Hashable, Sendable { case done, failed(Violation), notRun }
    var end = End.notRun
    /// Rows it found, by the names they had before it.
    var matched: Set<RowID> = []
    /// Values that it or its decision depended on.
    var reads: [Row] = []
    /// Rows written, by foreign keys too; one without a key means its whole table.
    var written: Set<RowID> = []
    /// Of a savepoint.
    var inner: [StatementRun] = []

    /// Whether it would have gone the same way, apart from what foreign keys did.
    func isLike(_ other: StatementRun) -> Bool {
        end == other.end && matched == other.matched && reads == other.reads && inner.count == other.inner.count
            && zip(inner, other.inner).allSatisfy { $0.isLike($1) }
    }
}

/// Rows that a session has read and not yet saved, nil where there was none.
typealias Forms = [RowID: Row?]

extension ModelDatabase {
    mutating func execute(_ statement: Statement, _ forms: inout Forms) -> StatementRun {
        var run = StatementRun()
        let before = self
        do throws(Violation) {
            try perform(statement, &run, &forms)
            try finishStatement()
            run.end = .done
            run.written = written(since: before.log.count)
        } catch {
            self = before
            run.end = .failed(error)
        }
        return run
    }

    private func written(since start: Int) -> Set<RowID> {
        var ids: Set<RowID> = []
        for logged in log[start...] {
            ids.insert(logged.id)
            if case .truncate(let tables) = logged.change {
                ids.formUnion(tables.map { RowID(table: $0, key: []) })
            }
            if let from = logged.from { ids.insert(from) }
        }
        return ids
    }

    private mutating func perform(
        _ statement: Statement, _ run: inout StatementRun, _ forms: inout Forms
    ) throws(Violation) {
        switch statement {
        case .insert(let table, let row): try insert(row, into: table)
        case .upsert(let table, let row, let set):
            let id = world.tables[table]!.rowID(row)
            if self[id] == nil { return try insert(row, into: table) }
            run.matched = [id]
            try write(id, set, as: .constant)
        case .set(let match, let values): for id in find(match, &run) { try write(id, values, as: .constant) }
        case .increment(let match, let column, let by):
            for id in find(match, &run) {
                try write(
                    id, [column: row(id)![column].number.map { Value($0 + by) } ?? .null], as: .increment)
            }
        case .delete(let match): for id in find(match, &run) { delete(row(id)!, from: id.table) }
        case .truncate(let tables): truncate(tables)
        case .swap(let first, let second, let columns):
            guard let a = read(first, columns, &run), let b = read(second, columns, &run) else { return }
            try write(first, Dictionary(uniqueKeysWithValues: zip(columns, b)), as: .computed)
            try write(second, Dictionary(uniqueKeysWithValues: zip(columns, a)), as: .computed)
        case .readAndWrite(let id, let source, let target, let plus):
            guard let value = read(id, [source], &run)?[0].number else { return }
            try write(id, [target: Value(value + plus)], as: .computed)
        case .guarded(let id, let column, let bound, let values):
            guard let value = read(id, [column], &run)?[0].number, value >= bound else { return }
            try write(id, values, as: .constant)
        case .readForm(let id): forms[id] = .some(self[id])
        case .saveForm(let id, let changes): try saveForm(id, changes, &run, forms)
        case .savepoint(let statements, let rollsBack):
            let before = self
            for statement in statements {
                let inner = execute(statement, &forms)
                run.inner.append(inner)
                if case .failed = inner.end { return self = before }
            }
            if rollsBack { self = before }
        }
    }

    private mutating func saveForm(
        _ id: RowID, _ changes: [Int: Value], _ run: inout StatementRun, _ forms: Forms
    ) throws(Violation) {
        guard let form = forms[id] ?? nil else { return }
        run.reads.append(world.claimed(form, id.table))
        guard self[id] != nil else { return }
        run.matched = [id]
        var values = Dictionary(uniqueKeysWithValues: form.indices.map { ($0, form[$0]) })
        for column in form.indices where world.follows(id.table, column) { values[column] = nil }
        try write(id, values.merging(changes) { $1 }, as: .constant)
    }

    // MARK: Finding and writing

    private func row(_ id: RowID) -> Row? { world.tables[id.table]!.isKeyless ? id.key : self[id] }

    private func read(_ id: RowID, _ columns: [Int], _ run: inout StatementRun) -> [Value]? {
        guard let row = self[id] else { return nil }
        run.matched.insert(id)
        let values = columns.map { row[$0] }
        run.reads.append(values)
        return values
    }

    /// Every copy of a row without a key is a row found.
    private func find(_ match: Match, _ run: inout StatementRun) -> [RowID] {
        var found: [RowID] = []
        switch match {
        case .key(let id):
            if world.tables[id.table]!.isKeyless {
                if let count = copies[id.table]?[id.key], count > 0 { found = [id] }
            } else if self[id] != nil {
                found = [id]
            }
        case .equals(let table, let column, let value):
            let model = world.tables[table]!
            for row in sortedRows(table) where row[column] == value { found.append(model.rowID(row)) }
        }
        run.matched.formUnion(found)
        return found
    }

    /// Assigns columns; a session's write also moves a column that follows, as an optimistic lock does.
    private mutating func write(_ id: RowID, _ values: [Int: Value], as kind: Assigned) throws(Violation) {
        guard let old = row(id) else { return }
        var new = old
        var assigned: [Int: Assigned] = [:]
        for (column, value) in values {
            new[column] = value
            assigned[column] = kind
        }
        for column in new.indices where world.follows(id.table, column) && assigned[column] == nil {
            guard let version = new[column].number else { continue }
            new[column] = Value(version + 1)
            assigned[column] = .increment
        }
        try update(old, in: id.table, to: new, assigned)
    }
}

/// One transaction of the service.
struct ModelTransaction: Hashable, Sendable {
    var origin: Origin
    var statements: [Statement]
}

struct TransactionRun: Sendable {
    var committed = false
    var statements: [StatementRun] = []
    var changes: [LoggedChange] = []
    var written: Set<RowID> { statements.reduce(into: []) { $0.formUnion($1.written) } }
}

extension ModelDatabase {
    mutating func run(_ transaction: ModelTransaction, _ forms: inout Forms) -> TransactionRun {
        var run = TransactionRun()
        let before = self
        log = []
        for statement in transaction.statements {
            let result = execute(statement, &forms)
            run.statements.append(result)
            if case .failed = result.end { break }
        }
        let failed = run.statements.contains { if case .failed = $0.end { true } else { false } }
        if failed || (world.isDeferred && violation != nil) {
            self = before
            return run
        }
        run.committed = true
        run.changes = log
        log = []
        return run
    }
}
