// One decision, from the rows as they are to the rows as wanted:
//
//     settle what an earlier crash left open | BEGIN, lock the rows, compare, write | `written` in the file | COMMIT |
//     `committed` in the file
//
// The file names the transaction before it commits, so after a crash the server itself says whether it did.

import Ports
import Postgres
import Releases

struct Decision {
    let release: ReleaseID
    let chosen: Chosen
    let order: QuarantineOrder
    let rows: DecidedRows
    let faultPoint: FaultPoint
    private var file: DecisionFile

    init(
        release: ReleaseID, chosen: Chosen, order: QuarantineOrder, rows: DecidedRows, faultPoint: @escaping FaultPoint
    ) {
        self.release = release
        self.chosen = chosen
        self.order = order
        self.rows = rows
        self.faultPoint = faultPoint
        file = chosen.file
    }

    mutating func make() async throws(Failure) -> [QuarantineWrite] {
        try await settle()
        try await execute("BEGIN")
        let addresses = try addresses()
        let now = try await rows.read(addresses, locked: true)
        try requireSeen(now)
        var plan = DecisionPlan(tables: rows.tables, now: now)
        for entry in chosen.entries { try plan.add(entry, order) }
        let planned = plan.writes
        try requireUndecided(planned.isEmpty)
        try await rows.write(planned)
        let writes = try await written(planned, plan, now)
        guard !order.isRehearsal else { return writes }
        if writes.isEmpty {
            // Nothing to undo or to find out: the decision alone is kept.
            try keep(.written, writes: [])
            try finish(.committed)
            return []
        }
        let number = try await transactionNumber()
        try keep(.written, transaction: number, writes: writes)
        try await reach(faultPoint, "quarantine.written")
        try await commit()
        try await reach(faultPoint, "quarantine.committed")
        try finish(.committed)
        return writes
    }

    // MARK: Checks

    private func addresses() throws(Failure) -> [RowAddress] {
        var all: [RowAddress] = []
        for entry in chosen.entries { all += try DecisionPlan.addresses(of: entry, in: rows.tables) }
        return all
    }

    private func requireSeen(_ now: [RowAddress: [String: String?]]) throws(Failure) {
        for entry in chosen.entries {
            guard let seen = order.seen[entry.id],
                let address = try DecisionPlan.addresses(of: entry, in: rows.tables).first
            else { continue }
            let hint = "look at it again: `perch quarantine show \(release) \(entry.id)`"
            switch (seen, now[address]) {
            case (.absent, nil): continue
            case (.absent, .some): throw Failure("\(address.sentence) was not there, and is now", hint: hint)
            case (.row, nil): throw Failure("\(address.sentence) was there, and is not now", hint: hint)
            case (.row(let before), let row?):
                let columns = Set(before.keys).union(row.keys).sorted()
                guard let changed = columns.first(where: { before[$0] != row[$0] }) else { continue }
                throw Failure(
                    "\(address.sentence) has changed: \(changed) was \(shown(before[changed])), is \(shown(row[changed]))",
                    hint: hint)
            }
        }
    }

    /// A second time only on purpose, or where nothing would be written.
    private func requireUndecided(_ isSo: Bool) throws(Failure) {
        guard !order.isAgain, !isSo else { return }
        let decisions = file.decisions
        for (entry, identity) in zip(chosen.entries, chosen.identities) {
            guard let decision = decisions[identity] else { continue }
            let what = decision.side.map { "\(decision.how.rawValue) (\($0.rawValue))" } ?? decision.how.rawValue
            throw Failure(
                "entry \(entry.id) was decided by \(decision.person): \(what)",
                hint: "the row may have changed since; --again decides anew")
        }
    }

    private func shown(_ value: String??) -> String {
        switch value {
        case .none: "no column"
        case .some(.none): "null"
        case .some(.some(let text)): "'\(text)'"
        }
    }

    // MARK: What was written

    /// As triggers and foreign keys left the rows.
    private func written(
        _ planned: [PlannedWrite], _ plan: DecisionPlan, _ now: [RowAddress: [String: String?]]
    ) async throws(Failure) -> [QuarantineWrite] {
        let places = planned.map { $0.moved ?? $0.address }
        let after = try await rows.read(places, locked: false)
        var writes: [QuarantineWrite] = []
        for (write, place) in zip(planned, places) {
            guard (after[place] == nil) == (plan.wanted(place) == nil) else {
                throw Failure(
                    "\(place.sentence) is not as it was written: a trigger or a foreign key changed it back",
                    hint: "write it by hand, then `perch quarantine discard`")
            }
            let operation: QuarantineWrite.Operation =
                switch write.change {
                case .insert: .insert
                case .update: .update
                case .delete: .delete
                }
            let key = rows.tables.values.first { $0.name == place.table }?.key ?? []
            writes.append(
                QuarantineWrite(
                    operation: operation, table: place.table.description,
                    key: Dictionary(uniqueKeysWithValues: zip(key, write.address.key)), from: now[write.address],
                    to: after[place]))
        }
        return writes
    }

    private mutating func keep(
        _ step: DecisionLine.Step, transaction: String? = nil, writes: [QuarantineWrite]
    ) throws(Failure) {
        let sides = Set(
            try chosen.entries.map { entry throws(Failure) in try DecisionPlan.side(of: entry, order.side) })
        try file.append(
            DecisionLine(
                step: step, number: file.nextNumber, entries: chosen.identities,
                side: sides.count == 1 ? sides.first : order.side, person: order.person, reason: order.reason,
                at: order.at.millisecondsSince1970, transaction: transaction, writes: writes))
    }

    private mutating func finish(_ step: DecisionLine.Step) throws(Failure) {
        try file.append(DecisionLine(step: step, number: file.nextNumber - 1))
    }

    // MARK: The transaction

    private func execute(_ sql: String) async throws(Failure) {
        do {
            try await rows.connection.execute(sql)
        } catch {
            throw refusal(error, of: "write to the live database")
        }
    }

    private func transactionNumber() async throws(Failure) -> String {
        do {
            return try await rows.connection.query("SELECT pg_current_xact_id()").scalar ?? ""
        } catch {
            throw refusal(error, of: "write to the live database")
        }
    }

    private mutating func commit() async throws(Failure) {
        do {
            try await rows.connection.execute("COMMIT")
        } catch {
            guard error.serverError != nil else {
                throw Failure(
                    "the connection was lost while the decision committed: \(error)",
                    hint: "ask again: whether it did is found out first", isTransient: true)
            }
            try finish(.abandoned)
            throw refusal(error, of: "write to the live database")
        }
    }

    /// What a crash left between the file's two lines.
    private mutating func settle() async throws(Failure) {
        for line in file.unsettled {
            guard let transaction = line.transaction else {
                try file.append(DecisionLine(step: .committed, number: line.number))
                continue
            }
            let status: String?
            do {
                status = try await rows.connection.query(
                    "SELECT pg_xact_status($1::xid8)", [transaction]
                ).scalar
            } catch {
                throw refusal(error, of: "find out what became of transaction \(transaction)")
            }
            switch status {
            case "committed": try file.append(DecisionLine(step: .committed, number: line.number))
            case "aborted": try file.append(DecisionLine(step: .abandoned, number: line.number))
            case "in progress":
                throw Failure(
                    "transaction \(transaction), an earlier decision, is still in progress", hint: "ask again",
                    isTransient: true)
            // Too long ago for the server to know: it stays unsettled, and is decided anew only on purpose.
            default: continue
            }
        }
    }
}
