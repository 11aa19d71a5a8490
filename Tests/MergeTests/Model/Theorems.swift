// T1 to T5: the clone against a run in which there never was a canary.

import Merge

struct Tally: Sendable, CustomStringConvertible {
    var histories = 0
    var transactions = 0
    var changes = 0
    var withoutDivergence = 0
    /// Histories in which each theorem's premises held.
    var t1 = 0
    var t2 = 0
    var t2WithContact = 0
    var t3 = 0
    var withDifferences = 0
    /// Differing rows that were only excused because they hang on others by a foreign key.
    var hanging = 0
    var quarantined = 0
    /// Rows.
    var healed = 0
    /// Rows of the largest heal transaction.
    var grouped = 0
    var reloads = 0
    var maxRounds = 0
    var reasons: [Finding.Reason: Int] = [:]

    mutating func add(_ other: Tally) {
        histories += other.histories
        transactions += other.transactions
        changes += other.changes
        withoutDivergence += other.withoutDivergence
        t1 += other.t1
        t2 += other.t2
        t2WithContact += other.t2WithContact
        t3 += other.t3
        withDifferences += other.withDifferences
        hanging += other.hanging
        quarantined += other.quarantined
        healed += other.healed
        grouped = max(grouped, other.grouped)
        reloads += other.reloads
        maxRounds = max(maxRounds, other.maxRounds)
        reasons.merge(other.reasons) { $0 + $1 }
    }

    var description: String {
        "\(histories), transactions \(transactions), changes \(changes), without divergence \(withoutDivergence), T1 \(t1), "
            + "T2 \(t2) (with contact \(t2WithContact)), T3 \(t3), different \(withDifferences), kept out \(quarantined), "
            + "rows healed \(healed), restarts \(reloads), by reason "
            + reasons.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key.rawValue) \($0.value)" }
            .joined(separator: ", ")
    }
}

struct ShadowRun {
    var database: ModelDatabase
    /// Whether an operation read, matched, failed or succeeded otherwise than in live.
    var diverged = false
    /// Rows such operations wrote in either run.
    var writtenByDiverging: Set<RowID> = []

    /// The same stable operations alone.
    init(_ history: History) {
        database = history.initial
        var forms = Forms()
        for step in history.steps where step.origin == .stable && !step.isQuarantined {
            let run = database.run(step.transaction, &forms)
            if run.committed != step.run.committed {
                note(run.committed ? run.written : step.run.written)
            } else if run.committed {
                for (own, lives) in zip(run.statements, step.run.statements) where !own.isLike(lives) {
                    note(own.written.union(lives.written))
                }
            }
            for logged in step.run.changes + run.changes {
                if let from = logged.from, writtenByDiverging.contains(from) { writtenByDiverging.insert(logged.id) }
            }
        }
    }

    private mutating func note(_ rows: Set<RowID>) {
        diverged = true
        writtenByDiverging.formUnion(rows)
    }
}

extension History {
    /// - Throws: ``HistoryFailure`` for a theorem that does not hold.
    func checkTheorems() throws -> Tally {
        let shadow = ShadowRun(self)
        let differing = differences(clone.database, shadow.database)
        let contacts = steps.flatMap { step in
            step.findings.filter { $0.lastCommitLSN == step.source?.commitLSN && !step.isQuarantined }
                .map { ($0, step.run.changes) }
        }
        let report = contacts.filter { $0.0.reason != .unattributed }
        let fits = report.allSatisfy(fits)
        var tally = Tally(histories: 1, transactions: steps.count, changes: operations)
        if !differing.isEmpty { tally.withDifferences = 1 }
        for (finding, _) in contacts { tally.reasons[finding.reason, default: 0] += 1 }
        tally.quarantined = steps.filter(\.isQuarantined).count
        (tally.healed, tally.grouped, tally.reloads, tally.maxRounds) = (healed, grouped, reloads, maxRounds)
        if !shadow.diverged {
            tally.withoutDivergence = 1
            if report.isEmpty {
                tally.t1 = 1
                try require("T1", differing, shadow)
            }
            if fits {
                tally.t2 = 1
                if !report.isEmpty { tally.t2WithContact = 1 }
                if !report.isEmpty, report.allSatisfy({ $0.0.reason == .added }) { tally.t3 = 1 }
                try require("T2", differing, shadow)
            }
        }
        let listed = Set(clone.report.values.map(\.row))
        let excused = listed.union(shadow.writtenByDiverging)
        for id in differing where !excused.contains(id) && !excused.contains(RowID(table: id.table, key: [])) {
            guard hangs(id, on: excused, shadow.database) else {
                try require(shadow.diverged ? "T5" : "T4", [id], shadow)
                continue
            }
            tally.hanging += 1
        }
        return tally
    }

    private func require(_ theorem: String, _ differing: Set<RowID>, _ shadow: ShadowRun) throws {
        guard let id = differing.min() else { return }
        let (own, alone) =
            world.tables[id.table]!.isKeyless
            ? ("\(clone.database.copies[id.table]?[id.key] ?? 0)", "\(shadow.database.copies[id.table]?[id.key] ?? 0)")
            : (shown(clone.database[id]), shown(shadow.database[id]))
        throw HistoryFailure(
            seed: seed, reason: "\(theorem): \(id) is \(own) in the clone, \(alone) without a canary")
    }

    /// Whether a contact is one after which the clone is right if nobody read the canary's values.
    private func fits(_ finding: Finding, _ changes: [LoggedChange]) -> Bool {
        let assigned = changes.filter { $0.id == finding.row }.compactMap { logged in
            finding.column.flatMap { name in logged.assigned[world.tables[finding.row.table]!.column(name)] }
        }
        return switch finding.reason {
        case .deleteModified, .foreignKeyAction, .spared, .writeback, .unattributed: true
        case .moved: !finding.isOpen
        case .overwritten: assigned.allSatisfy { $0 == .constant }
        case .added: assigned.allSatisfy { $0 == .increment }
        case .kept: assigned.isEmpty
        default: false
        }
    }

    /// Rows that are not the same, columns that follow left aside.
    private func differences(_ a: ModelDatabase, _ b: ModelDatabase) -> Set<RowID> {
        var ids: Set<RowID> = []
        for table in world.ids {
            if world.tables[table]!.isKeyless {
                let (x, y) = (a.copies[table] ?? [:], b.copies[table] ?? [:])
                for row in Set(x.keys).union(y.keys) where x[row] != y[row] {
                    ids.insert(RowID(table: table, key: row))
                }
            } else {
                let (x, y) = (a.rows[table] ?? [:], b.rows[table] ?? [:])
                for key in Set(x.keys).union(y.keys)
                where x[key].map({ world.claimed($0, table) }) != y[key].map({ world.claimed($0, table) }) {
                    ids.insert(RowID(table: table, key: key))
                }
            }
        }
        return ids
    }

    /// Whether a parent of a row, in any of the three databases, is excused, or a parent's parent.
    private func hangs(_ id: RowID, on excused: Set<RowID>, _ shadow: ModelDatabase) -> Bool {
        var seen: Set<RowID> = [id]
        var open = [id]
        while let next = open.popLast() {
            let model = world.tables[next.table]!
            for database in [clone.database, shadow, live, initial] {
                guard let row = model.isKeyless ? next.key : database[next] else { continue }
                for key in model.schema.foreignKeys {
                    let values = key.columns.map { row[$0] }
                    for parent in parents(key, values, in: [clone.database, shadow, live, initial])
                    where seen.insert(parent).inserted {
                        if excused.contains(parent) { return true }
                        open.append(parent)
                    }
                }
            }
        }
        return false
    }

    private func parents(_ key: ForeignKey, _ values: [Value], in databases: [ModelDatabase]) -> Set<RowID> {
        var found: Set<RowID> = []
        for table in world.ids {
            let model = world.tables[table]!
            for unique in model.schema.uniques where unique.id == key.references {
                if unique.columns == model.schema.key { found.insert(RowID(table: table, key: values)) }
                for database in databases {
                    for row in database.allRows(table) where unique.columns.map({ row[$0] }) == values {
                        found.insert(model.rowID(row))
                    }
                }
            }
        }
        return found
    }
}
