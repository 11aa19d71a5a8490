// The list of what a replay kept out or put together, and its numbers. What the canary wrote goes to the file as the journal
// is read; the merge's findings are read back from the restored database at the end, so a crash loses none of them.

import Merge
import Ports
import Postgres
import Releases

/// What was done and kept out so far.
struct ReplayCounts: Hashable, Sendable {
    var stableTransactions = 0
    /// Of stable's transactions.
    var changes = 0
    var canaryTransactions = 0
    var canaryRows = 0
    var stableTransactionsKeptOut = 0
    /// Lines of the report about stable's writes.
    var findings = 0
    var rowsMerged = 0
    var open = 0
}

struct ReplayReport {
    let schema: CloneSchema
    let policy: Policy.DataRollback
    let file: QuarantineFile
    private(set) var counts = ReplayCounts()
    private var nextID = 1
    /// Commit LSN -> live's rows before its changes, as an earlier list has them.
    private let earlier: [String: [[String: String?]?]]

    private static let page = 1_000

    init(schema: CloneSchema, policy: Policy.DataRollback, file: QuarantineFile) {
        self.schema = schema
        self.policy = policy
        self.file = file
        earlier = file.earlier.reduce(into: [:]) { known, list in
            let rows = Dictionary(grouping: list.filter(\.isKeptOut), by: \.commitLSN).mapValues { $0.map(\.before) }
            known.merge(rows) { $0.count > $1.count ? $0 : $1 }
        }
    }

    /// Takes note of a merged transaction; to be called once for each, in commit order.
    ///
    /// - Parameters:
    ///   - keptOut: commit LSNs of stable transactions that were kept out as a whole, with why.
    ///   - images: live's rows before its changes, as far as they are known.
    mutating func note(
        _ transaction: RecordedTransaction, _ keptOut: [UInt64: String], _ images: LiveImages
    ) throws(Failure) {
        guard !transaction.changes.isEmpty, transaction.origin != .heal else { return }
        if policy.writes == .stable,
            transaction.origin == .canary || transaction.origin == .neither && policy.unattributed == .canary
        {
            counts.canaryTransactions += 1
            let new = entries(
                of: transaction, .canaryWrite, images,
                detail: transaction.origin == .neither ? "neither role wrote it" : "the canary wrote it")
            counts.canaryRows += new.count
            try file.append(new)
        } else if let why = keptOut[transaction.commitLSN.rawValue] {
            counts.stableTransactionsKeptOut += 1
            try file.append(
                entries(
                    of: transaction, .transactionKeptOut, images,
                    detail: "its transaction met what the canary wrote: \(why)"))
        } else {
            counts.stableTransactions += 1
            counts.changes += transaction.changes.count
        }
    }

    /// Numbers of the findings so far.
    mutating func count(_ connection: Connection) async throws(PostgresError) {
        let numbers = try await connection.query(
            """
            SELECT count(*), count(*) FILTER (WHERE is_open),
              count(DISTINCT ("table", key)) FILTER (WHERE "column" IS NOT NULL) FROM perch.merge_finding
            """)
        counts.findings = numbers.rows[0][0].flatMap { Int($0) } ?? 0
        counts.open = numbers.rows[0][1].flatMap { Int($0) } ?? 0
        counts.rowsMerged = numbers.rows[0][2].flatMap { Int($0) } ?? 0
    }

    /// Entries that a person has to decide, under the policy's mode.
    var decisionsOpen: Int {
        switch policy.merge {
        case .nonconflict, .nocascade: counts.open
        case .force, .cascade: 0
        }
    }

    /// - Throws: when the policy wants every decision made before the data is switched, and one is open; the list is complete
    ///   and durable then, for people to look at.
    mutating func requireDecisions(_ connection: Connection) async throws(Failure) {
        let mode = MergeMode(rawValue: policy.merge.rawValue) ?? .nonconflict
        guard mode.gate(openEntries: counts.open) == .refuse else { return }
        let (first, decisions) = (nextID, try file.decisions())
        var open = 0
        try await forEachFinding(connection) { entry throws(Failure) in
            if entry.isOpen, !decisions.isDecided(entry) { open += 1 }
        }
        nextID = first
        guard mode.gate(openEntries: open) == .refuse else { return }
        try await finish(connection)
        throw Failure(
            "\(open) rows wait for a decision, and rollback.merge is nocascade",
            hint: "live data is untouched; `perch quarantine list --open` names them: apply or discard them, "
                + "or let live's values stand with rollback.merge: nonconflict", isTransient: true)
    }

    /// Writes the findings behind the canary's writes; the file is complete then.
    mutating func finish(_ connection: Connection) async throws(Failure) {
        let (file, decisions) = (file, try file.decisions())
        var open = 0
        try await forEachFinding(connection) { entry throws(Failure) in
            if entry.isOpen, !decisions.isDecided(entry) { open += 1 }
            try file.append([entry])
        }
        do {
            try await count(connection)
        } catch {
            throw Failure("cannot read the report of the replay: \(error)", isTransient: true)
        }
        counts.open = open
        try file.finish()
    }

    private mutating func forEachFinding(
        _ connection: Connection, _ body: (QuarantinedChange) throws(Failure) -> Void
    ) async throws(Failure) {
        var last = 0
        while true {
            let lines: [CloneState.ReportLine]
            do {
                lines = try await CloneState.report(connection, after: last, limit: Self.page)
            } catch {
                throw Failure("cannot read the report of the replay: \(error)", isTransient: true)
            }
            guard let end = lines.last else { return }
            last = end.number
            for line in lines { try body(entry(line.finding, committedAt: line.committedAt)) }
        }
    }

    // MARK: Entries

    private mutating func entry(_ finding: Merge.Finding, committedAt: Int64) -> QuarantinedChange {
        defer { nextID += 1 }
        let table = schema[finding.row.table]
        return QuarantinedChange(
            id: nextID, reason: QuarantinedChange.Reason(finding.reason), origin: .stable,
            table: table.name.description, operation: finding.operation, key: table.shownKey(finding.row),
            row: finding.stable.map(table.shown),
            commitLSN: LogSequenceNumber(rawValue: finding.lastCommitLSN).description, xid: finding.xid,
            committedAt: committedAt, detail: QuarantinedChange.Reason(finding.reason).sentence(finding.column),
            column: finding.column, before: finding.saved.map(table.shown), canary: finding.live.map(table.shown),
            isOpen: finding.isOpen && decides, count: finding.count)
    }

    private var decides: Bool { policy.merge == .nonconflict || policy.merge == .nocascade }

    private mutating func entries(
        of transaction: RecordedTransaction, _ reason: QuarantinedChange.Reason, _ images: LiveImages, detail: String
    ) -> [QuarantinedChange] {
        var all = transaction.changes.enumerated().flatMap { number, change in
            entries(
                change, of: transaction, reason, before: images.row(before: number, of: transaction), detail: detail)
        }
        // What is listed again after it was merged is no more to be seen, but it was listed before.
        if let earlier = earlier[transaction.commitLSN.description], earlier.count == all.count {
            for index in all.indices { all[index].before = all[index].before ?? earlier[index] }
        }
        return all
    }

    private mutating func entries(
        _ change: RecordedChange, of transaction: RecordedTransaction, _ reason: QuarantinedChange.Reason,
        before: [String: String?]?, detail: String
    ) -> [QuarantinedChange] {
        switch change {
        case .insert(let relation, let new):
            return [entry(transaction, relation, reason, "INSERT", old: nil, new: new, nil, detail)]
        case .update(let relation, let old, let new):
            let new = filled(new, from: old)
            return [entry(transaction, relation, reason, "UPDATE", old: old, new: new, before, detail)]
        case .delete(let relation, let old):
            return [entry(transaction, relation, reason, "DELETE", old: old, new: nil, before, detail)]
        case .truncate(let relations, _, _):
            return relations.map { entry(transaction, $0, reason, "TRUNCATE", old: nil, new: nil, nil, detail) }
        }
    }

    private mutating func entry(
        _ transaction: RecordedTransaction, _ relation: RelationDefinition, _ reason: QuarantinedChange.Reason,
        _ operation: String, old: OldTuple?, new: [TupleValue]?, _ before: [String: String?]?, _ detail: String
    ) -> QuarantinedChange {
        defer { nextID += 1 }
        let table = schema[TableName(relation)]
        let names = table.map { table in table.key.map { table.columns[$0].name } } ?? []
        var key: [String: String?] = [:]
        if let values = old?.values ?? new {
            for (column, value) in zip(relation.columns, values) where names.isEmpty || names.contains(column.name) {
                key[column.name] = .some(Value(value).shown)
            }
        }
        let whole = old.flatMap { $0.kind == .full ? relation.named($0.values) : nil }
        return QuarantinedChange(
            id: nextID, reason: reason, origin: transaction.origin == .canary ? .canary : .stable,
            table: TableName(relation).description,
            operation: operation, key: key, row: new.map { relation.named($0) },
            commitLSN: transaction.commitLSN.description, xid: transaction.xid,
            committedAt: transaction.committedAt.millisecondsSince1970, detail: detail, before: whole ?? before)
    }
}

extension Merge.Finding {
    /// What was done to the row: by stable's statement, or in the restored data because of another row's.
    fileprivate var operation: String {
        if row.key.isEmpty { return "TRUNCATE" }
        if let stable, !stable.isEmpty { return live == nil ? "INSERT" : "UPDATE" }
        let gaveWay = counterpart != nil || reason == .check || reason == .constraint
        return gaveWay ? saved == nil ? "INSERT" : "UPDATE" : "DELETE"
    }
}

extension CloneTable {
    /// Column -> text; values that the stream did not send are left out.
    fileprivate func shown(_ row: Row) -> [String: String?] {
        var named: [String: String?] = [:]
        for (column, value) in zip(columns, row) where value != .unchanged { named[column.name] = .some(value.shown) }
        return named
    }

    fileprivate func shownKey(_ id: RowID) -> [String: String?] {
        var named: [String: String?] = [:]
        for (position, value) in zip(key.isEmpty ? all : key, id.key) {
            named[columns[position].name] = .some(value.shown)
        }
        return named
    }
}

extension RelationDefinition {
    /// Column -> text; values that the stream did not send are left out.
    fileprivate func named(_ values: [TupleValue]) -> [String: String?] {
        var row: [String: String?] = [:]
        for (column, value) in zip(columns, values) where value != .unchangedToast {
            row[column.name] = .some(Value(value).shown)
        }
        return row
    }
}

/// An UPDATE's new row with the unsent values that a whole old row carries filled in.
private func filled(_ new: [TupleValue], from old: OldTuple?) -> [TupleValue] {
    guard let old, old.kind == .full else { return new }
    return zip(new, old.values).map { $0 == .unchangedToast ? $1 : $0 }
}
