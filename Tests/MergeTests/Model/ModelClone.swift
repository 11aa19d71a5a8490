// The clone with its own tables for state and report, and an engine that works on it as a caller would: answers from before
// the batch, operations in their order under unique indexes that are checked at once.

import Foundation
import Merge

struct CloneFailure: Error, CustomStringConvertible { var description: String }

struct ModelClone: Sendable {
    let world: World
    private(set) var database: ModelDatabase
    private(set) var state: PersistedState
    private(set) var engine: MergeEngine
    /// The report, a finding per row, reason and column.
    private(set) var report: [FindingPlace: Finding] = [:]
    private(set) var quarantined: [QuarantinedTransaction] = []
    /// Rounds of lookups that the last batch took.
    private(set) var rounds = 0

    struct FindingPlace: Hashable, Sendable {
        var row: RowID
        var reason: Finding.Reason
        var column: String?
        init(_ finding: Finding) { (row, reason, column) = (finding.row, finding.reason, finding.column) }
    }

    init(_ database: ModelDatabase) {
        world = database.world
        self.database = database
        state = PersistedState()
        engine = MergeEngine(schema: world.schema, policy: world.policy)
    }

    func findings(_ row: RowID) -> [Finding] {
        report.values.filter { $0.row == row }.sorted { $0.reason.rawValue < $1.reason.rawValue }
    }

    // MARK: Batches

    /// - Returns: the batch as it was written.
    @discardableResult
    mutating func merge(_ batch: [SourceTransaction], refused: [RowID] = []) throws -> NetBatch {
        var answers = Answers()
        rounds = 0
        while true {
            switch try engine.merge(batch, answers, refused: refused) {
            case .needs(let lookups):
                rounds += 1
                guard rounds < 60 else { throw CloneFailure(description: "asks for ever: \(lookups)") }
                answer(lookups, &answers)
            case .done(let net):
                try apply(net)
                engine.commit(net)
                return net
            }
        }
    }

    private mutating func apply(_ net: NetBatch) throws {
        for table in net.tables { try database.apply(table) }
        record(net.state)
    }

    private mutating func record(_ delta: StateDelta) {
        state.apply(delta)
        quarantined += delta.quarantined
        for finding in delta.findings {
            let place = FindingPlace(finding)
            if report[place]?.absorb(finding) == nil { report[place] = finding }
        }
    }

    /// As after a crash: the engine is made anew from what is in the clone's tables.
    mutating func reload() throws {
        let stored = try JSONDecoder().decode(PersistedState.self, from: JSONEncoder().encode(state))
        guard stored == state else { throw CloneFailure(description: "the state is not what was stored") }
        var answers = Answers()
        for _ in 0..<5 {
            switch try MergeEngine.restore(schema: world.schema, policy: world.policy, from: stored, answers) {
            case .needs(let lookups): answer(lookups, &answers)
            case .done(let engine): return self.engine = engine
            }
        }
        throw CloneFailure(description: "cannot be restored")
    }

    /// Names every row of the tables that the canary emptied.
    mutating func unfold() throws {
        for table in engine.emptiedTables {
            let model = world.tables[table]!
            var rows: [RowID: CloneRow] = [:]
            for row in database.allRows(table) {
                let id = model.rowID(row)
                if rows[id] == nil { rows[id] = CloneRow(id: id, row: row, copies: 0) }
                rows[id]!.copies += 1
            }
            var answers = Answers()
            unfolding: while true {
                switch try engine.unfold(table, rows: Array(rows.values), answers) {
                case .needs(let lookups): answer(lookups, &answers)
                case .done(let delta):
                    record(delta)
                    break unfolding
                }
            }
        }
    }

    // MARK: Lookups

    private func answer(_ lookups: Set<Lookup>, _ answers: inout Answers) {
        for lookup in lookups {
            switch lookup {
            case .row(let id): answers.add(database[id], for: id)
            case .copies(let id): answers.add(copies: database.copies[id.table]?[id.key] ?? 0, for: id)
            case .holders(let entry): answers.add(holders: rows { holds($0, $1, entry) }, for: entry)
            case .children(let entry): answers.add(children: rows { refers($0, $1, entry) }, for: entry)
            case .judgement(let image):
                answers.add(world.tables[image.table]!.judgement(image.row), for: image)
            case .findings(let id): answers.add(findings: findings(id), for: id)
            }
        }
    }

    private func rows(where matches: (ModelTable, Row) -> Bool) -> [CloneRow] {
        var found: [CloneRow] = []
        for id in world.ids {
            let model = world.tables[id]!
            if model.isKeyless {
                for (row, count) in database.copies[id] ?? [:] where matches(model, row) {
                    found.append(CloneRow(id: model.rowID(row), row: row, copies: count))
                }
            } else {
                for row in database.allRows(id) where matches(model, row) {
                    found.append(CloneRow(id: model.rowID(row), row: row))
                }
            }
        }
        return found
    }

    private func holds(_ model: ModelTable, _ row: Row, _ entry: UniqueEntry) -> Bool {
        model.schema.uniques.contains { unique in
            guard unique.id == entry.unique else { return false }
            if unique.entries == .computed { return model.computed(row)[unique.id] == entry.values }
            return unique.columns.map { row[$0] } == entry.values
        }
    }

    private func refers(_ model: ModelTable, _ row: Row, _ entry: ReferenceEntry) -> Bool {
        model.schema.foreignKeys.contains { key in
            key.id == entry.foreignKey && key.columns.map { row[$0] } == entry.values
        }
    }
}

extension ModelDatabase {
    /// Writes operations one by one; every index is looked at after each.
    mutating func apply(_ net: NetTable) throws {
        let model = world.tables[net.table]!
        if net.isEmptied {
            for row in allRows(net.table) {
                if model.isKeyless { force(copies: 0, of: model.rowID(row)) } else { force(nil, at: model.rowID(row)) }
            }
        }
        for id in net.deletes {
            guard self[id] != nil else { throw CloneFailure(description: "no row \(id) to delete") }
            force(nil, at: id)
        }
        for update in net.updates {
            guard let old = self[update.row] else { throw CloneFailure(description: "no row \(update.row) to update") }
            let new = old.indices.map { update.values[$0] == .unchanged ? old[$0] : update.values[$0] }
            guard model.rowID(new) == update.row else { throw CloneFailure(description: "an update moved a key") }
            force(new, at: update.row)
            try checkUnique(model, new)
        }
        for row in net.inserts {
            let id = model.rowID(row)
            guard self[id] == nil else { throw CloneFailure(description: "row \(id) is there already") }
            guard !row.contains(.unchanged) else { throw CloneFailure(description: "row \(id) is not whole") }
            force(row, at: id)
            try checkUnique(model, row)
        }
        for copies in net.copiesRemoved {
            let id = RowID(table: net.table, key: copies.row)
            let left = (self.copies[net.table]?[copies.row] ?? 0) - copies.count
            guard left >= 0 else { throw CloneFailure(description: "no \(copies.count) copies of \(id) to remove") }
            force(copies: left, of: id)
        }
        for copies in net.copiesAdded {
            let id = RowID(table: net.table, key: copies.row)
            force(copies: (self.copies[net.table]?[copies.row] ?? 0) + copies.count, of: id)
        }
    }

    /// As a database does that is told to: deletes what may be gone, writes over what may be there.
    mutating func applyLeniently(_ net: NetTable) throws {
        for id in net.deletes { force(nil, at: id) }
        for update in net.updates {
            let old = self[update.row] ?? update.values
            force(old.indices.map { update.values[$0] == .unchanged ? old[$0] : update.values[$0] }, at: update.row)
        }
        for row in net.inserts {
            force(row, at: world.tables[net.table]!.rowID(row))
            try checkUnique(world.tables[net.table]!, row)
        }
    }

    private func checkUnique(_ model: ModelTable, _ row: Row) throws {
        let others = allRows(model.id)
        for unique in model.schema.uniques {
            let entry: (Row) -> [Value]? = { row in
                if unique.entries == .computed { return model.computed(row)[unique.id] }
                let values = unique.columns.map { row[$0] }
                return values.contains(.null) ? nil : values
            }
            guard let values = entry(row) else { continue }
            if others.filter({ entry($0) == values }).count > 1 {
                throw CloneFailure(description: "a transient violation of \(unique.id) by \(row.map(\.string))")
            }
        }
    }
}
