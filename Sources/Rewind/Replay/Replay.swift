// Applies what the walk lets through to the restored database.
//
// Many source transactions go into one transaction of the restored database, as one pipeline. When it refuses one, the
// batch is rolled back and done again a change at a time, each in a savepoint: the refused ones go to quarantine, the rest
// stays. Nobody else uses the database, so what happened once happens again.

import Logging
import Ports
import Postgres
import Releases

struct Replay {
    /// A batch is full when it has this many changes; whole source transactions only.
    static let changesPerBatch = 2_000
    /// Also when it has this many bytes of values.
    static let bytesPerBatch = 16 << 20

    let connection: Connection
    let tables: RestoredTables
    let quarantine: QuarantineFile
    let faultPoint: FaultPoint
    private(set) var walk: ReplayWalk
    /// Everything up to here is applied, or was decided not to be.
    private(set) var position: LogSequenceNumber
    /// What a database that was worked on before already knows; used up as the walk comes by.
    private var known: ReplayProgress
    private var batch: [RecordedTransaction] = []
    private var batchChanges = 0
    private var batchBytes = 0
    private(set) var lastCommittedAt = PostgresTimestamp(microsecondsSince2000: 0)
    /// The canary ran DDL; the restored database stays without it.
    private(set) var canaryChangedSchema = false

    /// - Parameter connection: of the restored database, for the replay alone; see ``session``.
    init(
        _ connection: Connection, tables: RestoredTables, writes: Policy.DataRollback.Writes, start: LogSequenceNumber,
        progress: ReplayProgress, quarantine: QuarantineFile, faultPoint: @escaping FaultPoint
    ) {
        self.connection = connection
        self.tables = tables
        self.quarantine = quarantine
        self.faultPoint = faultPoint
        walk = ReplayWalk(writes: writes, facts: tables.facts)
        position = start
        known = progress
    }

    /// Settings of the replaying session: triggers, rules and foreign keys do not act, their effects are in the recording;
    /// values read as the recording session wrote them; a lost tail of commits is lost together with the position.
    static let session = """
        SET session_replication_role = replica; SET synchronous_commit = off; SET statement_timeout = 0;
        SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET row_security = off;
        SET check_function_bodies = off; \(TableFingerprint.pinnedSettings)
        """

    /// Brings the restored database to `limit`.
    mutating func advance(to limit: LogSequenceNumber, _ reader: inout JournalReader) async throws(Failure) {
        do {
            try await reader.forEachTransaction(upTo: limit) { try await take($0) }
            try await flush()
        } catch let failure as Failure {
            throw failure
        } catch let error as PostgresError {
            throw Failure(
                "replay stopped at \(position): \(error)",
                hint: "live data is untouched; ask for the rollback again when the server is well",
                isTransient: error.serverError == nil)
        } catch let error as JournalError {
            throw Failure(
                "replay stopped at \(position): \(error)",
                hint: "live data is untouched; the recording cannot be trusted past this point")
        } catch {
            throw Failure("replay stopped at \(position): \(error)")
        }
        position = max(position, limit)
    }

    private mutating func take(_ transaction: RecordedTransaction) async throws {
        if let command = transaction.schemaCommands.first {
            guard transaction.origin == .canary, walk.writes == .stable else {
                throw Failure(
                    "\(transaction.origin.rawValue) changed the schema at \(transaction.commitLSN): "
                        + String(command.prefix(120)),
                    hint: "replay works on the snapshot's schema; use rollback.mode: keep and repair by hand")
            }
            canaryChangedSchema = true
        }
        lastCommittedAt = transaction.committedAt
        if transaction.endLSN <= known.position {
            try repeatDecisions(transaction)
            position = transaction.endLSN
            return
        }
        try removeAgain()
        batch.append(transaction)
        batchChanges += transaction.changes.count
        batchBytes += transaction.changes.reduce(0) { $0 + $1.bytes }
        if batchChanges >= Self.changesPerBatch || batchBytes >= Self.bytesPerBatch { try await flush() }
    }

    /// For what was applied before a crash: only the walk goes on.
    private mutating func repeatDecisions(_ transaction: RecordedTransaction) throws {
        try removeAgain(before: transaction.endLSN)
        walk.begin(transaction)
        for index in transaction.changes.indices {
            switch walk.step(index, of: transaction) {
            case .apply:
                let id = ReplayProgress.ChangeID(transactionEnd: transaction.endLSN, change: index)
                if let refusal = known.refusals[id] {
                    try quarantine.append(walk.refused(index, of: transaction, refusal))
                }
            case .quarantine(let entries): try quarantine.append(entries)
            case .nothing: break
            }
        }
    }

    /// Takes note of removals made at positions the walk has passed.
    private mutating func removeAgain(before end: LogSequenceNumber? = nil) throws {
        while let removal = known.removals.first, end.map({ removal.position < $0 }) ?? true {
            known.removals.removeFirst()
            try noteRemoval(removal)
        }
    }

    mutating func noteRemoval(_ removal: ReplayProgress.Removal) throws(Failure) {
        guard let table = tables[removal.table] else {
            throw Failure("a row was removed from table \(removal.table), which is not in the restored database")
        }
        let place = RecordedTransaction(
            xid: 0, commitLSN: removal.position, endLSN: removal.position, committedAt: lastCommittedAt,
            origin: .stable,
            changes: [])
        let values = removal.row.map { $0.map { TupleValue.text(Array($0.utf8)) } ?? .null }
        try quarantine.append([walk.removed(values, of: table.relation, at: place, detail: removal.detail)])
    }

    private mutating func flush() async throws {
        if batch.isEmpty {
            try removeAgain()
            return
        }
        try await reach(faultPoint, "replay.batch")
        let transactions = batch
        batch = []
        batchChanges = 0
        batchBytes = 0
        let end = transactions[transactions.count - 1].endLSN
        let before = walk
        if let entries = try await applyAtOnce(transactions, end) {
            try quarantine.append(entries)
        } else {
            walk = before
            try quarantine.append(try await applyOneByOne(transactions, end))
        }
        position = end
        known.position = end
    }

    /// - Returns: what went to quarantine; nil when the database refused something, and then nothing was done.
    private mutating func applyAtOnce(
        _ transactions: [RecordedTransaction], _ end: LogSequenceNumber
    ) async throws -> [QuarantinedChange]? {
        var entries: [QuarantinedChange] = []
        var statements: [ChangeStatement] = []
        for transaction in transactions {
            walk.begin(transaction)
            for index in transaction.changes.indices {
                switch walk.step(index, of: transaction) {
                case .apply(let change, let mustHit):
                    statements.append(try ChangeStatement(change, mustHit: mustHit, tables: tables))
                case .quarantine(let new): entries += new
                case .nothing: break
                }
            }
        }
        var pipeline: [(sql: String, parameters: [String?])] = [("BEGIN", []), ("SET CONSTRAINTS ALL DEFERRED", [])]
        let first = pipeline.count
        pipeline += statements.map { ($0.sql, $0.parameters) }
        pipeline.append((ReplayProgress.advance, [end.description]))
        do {
            let results = try await connection.pipeline(pipeline, prepared: true)
            for (statement, result) in zip(statements, results[first...]) where statement.mustHit {
                guard result.affected == 1 else {
                    throw Failure(
                        "a recorded change found \(result.affected) rows instead of one: \(statement.sql)",
                        hint: "snapshot and recording do not fit together; live data is untouched; "
                            + "use rollback.mode: keep")
                }
            }
            _ = try await connection.query("COMMIT")
            return entries
        } catch {
            try? await connection.execute("ROLLBACK")
            guard let state = (error as? PostgresError)?.sqlState, isRefusal(state) else { throw error }
            return nil
        }
    }

    // MARK: A change at a time

    private mutating func applyOneByOne(
        _ transactions: [RecordedTransaction], _ end: LogSequenceNumber
    ) async throws -> [QuarantinedChange] {
        var entries: [QuarantinedChange] = []
        do {
            try await connection.execute("BEGIN; SET CONSTRAINTS ALL DEFERRED")
            for transaction in transactions {
                let before = walk
                try await connection.execute("SAVEPOINT source")
                var new = try await applyChanges(of: transaction)
                if try await breaksDeferredConstraint() {
                    // Which change it is shows when each is checked at once.
                    walk = before
                    try await connection.execute("ROLLBACK TO source; SET CONSTRAINTS ALL IMMEDIATE")
                    new = try await applyChanges(of: transaction)
                    try await connection.execute("SET CONSTRAINTS ALL DEFERRED")
                }
                try await connection.execute("RELEASE source")
                entries += new
            }
            _ = try await connection.query(ReplayProgress.advance, [end.description])
            try await connection.execute("COMMIT")
        } catch {
            try? await connection.execute("ROLLBACK")
            throw error
        }
        return entries
    }

    private func breaksDeferredConstraint() async throws -> Bool {
        do {
            try await connection.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
            return false
        } catch {
            guard isRefusal(error.sqlState ?? "") else { throw error }
            return true
        }
    }

    private mutating func applyChanges(of transaction: RecordedTransaction) async throws -> [QuarantinedChange] {
        var entries: [QuarantinedChange] = []
        walk.begin(transaction)
        for index in transaction.changes.indices {
            switch walk.step(index, of: transaction) {
            case .apply(let change, let mustHit):
                let statement = try ChangeStatement(change, mustHit: mustHit, tables: tables)
                guard let refusal = try await attempt(statement, change) else { continue }
                entries += walk.refused(index, of: transaction, refusal)
                _ = try await connection.query(
                    ReplayProgress.refuse,
                    [transaction.endLSN.description, String(index), refusal.reason.rawValue, refusal.detail])
            case .quarantine(let new): entries += new
            case .nothing: break
            }
        }
        return entries
    }

    /// - Returns: why the database did not take it; nil when it did.
    private func attempt(_ statement: ChangeStatement, _ change: RecordedChange) async throws -> Refusal? {
        do {
            let results = try await connection.pipeline(
                [("SAVEPOINT change", []), (statement.sql, statement.parameters), ("RELEASE change", [])])
            guard !statement.mustHit || results[1].affected == 1 else {
                throw Failure(
                    "a recorded change found \(results[1].affected) rows instead of one: \(statement.sql)",
                    hint: "snapshot and recording do not fit together; live data is untouched; use rollback.mode: keep")
            }
            return nil
        } catch let error as PostgresError {
            guard let server = error.serverError, isRefusal(server.sqlState) else { throw error }
            try await connection.execute("ROLLBACK TO change; RELEASE change")
            return Refusal(
                reason: try await reason(server, change), detail: server.detail ?? server.message)
        }
    }

    private func reason(_ error: ServerError, _ change: RecordedChange) async throws -> QuarantinedChange.Reason {
        switch error.sqlState {
        case "23505":
            guard case .insert(let relation, _) = change, let constraint = error.constraint,
                let keys = tables[TableName(relation)]?.keyColumns, !keys.isEmpty
            else { return .unique }
            // Taken is the key itself, not another unique value, when the index has just the key's columns.
            let columns = try await connection.query(
                """
                SELECT a.attname FROM pg_index i JOIN pg_attribute a
                  ON a.attrelid = i.indexrelid AND a.attnum <= i.indnkeyatts
                JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relname = $1 AND n.nspname = $2
                """, [constraint, relation.schema])
            return Set(columns.rows.compactMap { $0[0] }) == Set(keys) ? .insertExists : .unique
        case "23503": return .foreignKey
        default: return .constraint
        }
    }
}

/// Whether the error says that the data does not fit, as opposed to that the server could not do its work.
///
/// Classes 22 (data exception) and 23 (integrity); 0A000 refuses TRUNCATE of a table that others refer to.
private func isRefusal(_ state: String) -> Bool {
    state.hasPrefix("22") || state.hasPrefix("23") || state == "0A000"
}

extension RecordedChange {
    /// Size of its values, roughly.
    var bytes: Int {
        func size(_ values: [TupleValue]) -> Int {
            values.reduce(0) { total, value in
                guard case .text(let text) = value else { return total + 1 }
                return total + text.count
            }
        }
        return switch self {
        case .insert(_, let new): size(new)
        case .update(_, let old, let new): size(old?.values ?? []) + size(new)
        case .delete(_, let old): size(old.values)
        case .truncate: 0
        }
    }
}
