// Brings the restored database to where stable's recorded writes lead: reads the journal, merges it batch by batch, and lists
// what was kept out or put together.

import Logging
import Merge
import Ports
import Postgres
import Releases

struct Replay {
    /// A batch is full when it has this many changes; whole source transactions only.
    static let changesPerBatch = 20_000
    /// Also when it has this many bytes of values.
    static let bytesPerBatch = 32 << 20

    let connection: Connection
    let tables: RestoredTables
    let faultPoint: FaultPoint
    private let keepsAll: Bool
    private(set) var clone: MergedClone
    private(set) var report: ReplayReport
    /// Everything up to here is in the restored database, or was decided not to be.
    private(set) var position: LogSequenceNumber
    private var batch: [RecordedTransaction] = []
    private var batchChanges = 0
    private var batchBytes = 0
    /// When the first transaction since ``beginRound()`` committed, by live's clock.
    private(set) var roundBegan: PostgresTimestamp?
    /// The clone takes them while the next batch is read.
    private var underway: [RecordedTransaction] = []
    private var imagesUnderway = LiveImages()
    /// The canary ran DDL; the restored database stays without it.
    private(set) var canaryChangedSchema = false

    /// - Parameters:
    ///   - connection: of the restored database, for the replay alone; see ``session``.
    ///   - start: where the journal begins.
    static func open(
        _ connection: Connection, policy: Policy.DataRollback, start: LogSequenceNumber, quarantine: QuarantineFile,
        faultPoint: @escaping FaultPoint
    ) async throws(Failure) -> Replay {
        let clone = try await MergedClone.open(connection, policy)
        do {
            return Replay(
                connection: connection, tables: try await RestoredTables.read(connection), faultPoint: faultPoint,
                keepsAll: policy.writes == .all, clone: clone,
                report: ReplayReport(schema: clone.schema, policy: policy, file: quarantine), position: start)
        } catch {
            throw Failure("cannot read the tables of the restored database: \(error)", isTransient: true)
        }
    }

    /// Settings of the replaying session: triggers, rules and foreign keys do not act, their effects are in the recording;
    /// values read as the recording session wrote them; a lost tail of commits is lost together with the position; a plan
    /// is made for the number of rows that a statement has this time, and a few thousand rows of a large table are found
    /// by its index, one by one, instead of by going over all of it.
    static let session = """
        SET session_replication_role = replica; SET synchronous_commit = off; SET statement_timeout = 0;
        SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET row_security = off;
        SET check_function_bodies = off; SET plan_cache_mode = force_custom_plan; SET jit = off;
        SET random_page_cost = 1; SET enable_mergejoin = off; SET work_mem = '64MB'; \(TableFingerprint.pinnedSettings)
        """

    /// Brings the restored database to `limit`.
    mutating func advance(to limit: LogSequenceNumber, _ reader: inout JournalReader) async throws(Failure) {
        do {
            do {
                try await reader.forEachTransaction(upTo: limit) { try await take($0) }
                try await flush(isLast: true)
            } catch {
                await clone.settle()
                throw error
            }
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
        } catch is CancellationError {
            throw Failure("replay was stopped at \(position)", isTransient: true)
        } catch let error as MergeError {
            throw Failure(
                "replay stopped at \(position): \(error)",
                hint: "snapshot and recording do not fit together; live data is untouched; use rollback.mode: keep")
        } catch {
            throw Failure("replay stopped at \(position): \(error)")
        }
        position = max(position, limit)
    }

    /// Tables that the canary emptied are told row by row from now on, as heal needs it.
    mutating func nameEmptiedRows() async throws { try await clone.nameEmptiedRows() }

    mutating func beginRound() { roundBegan = nil }

    /// How many rows differ between live and the clone by now, and how many lines of the report want a decision.
    mutating func differences() async throws(Failure) -> (rows: Int, open: Int) {
        do {
            try await report.count(connection)
        } catch {
            throw Failure("cannot read the report of the replay: \(error)", isTransient: true)
        }
        return (clone.engine.differences, report.decisionsOpen)
    }

    /// - Throws: when the policy wants every decision made before the data is switched.
    mutating func requireDecisions() async throws(Failure) {
        do {
            try await report.count(connection)
        } catch {
            throw Failure("cannot read the report of the replay: \(error)", isTransient: true)
        }
        try await report.requireDecisions(connection)
    }

    /// The list of what was kept out or put together is complete and durable then.
    mutating func finishReport() async throws(Failure) { try await report.finish(connection) }

    private mutating func take(_ transaction: RecordedTransaction) async throws {
        try Task.checkCancellation()
        roundBegan = roundBegan ?? transaction.committedAt
        if let command = transaction.schemaCommands.first {
            guard transaction.origin == .canary, !keepsAll else {
                throw Failure(
                    "\(transaction.origin) changed the schema at \(transaction.commitLSN): "
                        + String(command.prefix(120)),
                    hint: "replay works on the snapshot's schema; use rollback.mode: keep and repair by hand")
            }
            canaryChangedSchema = true
        }
        if transaction.endLSN.rawValue <= clone.position {
            // Merged before a crash: only the list of what was kept out is made again.
            try report.note(transaction, clone.keptOut, LiveImages())
            position = transaction.endLSN
            return
        }
        batch.append(transaction)
        batchChanges += transaction.changes.count
        batchBytes += transaction.changes.reduce(0) { $0 + $1.bytes }
        if batchChanges >= Self.changesPerBatch || batchBytes >= Self.bytesPerBatch { try await flush() }
    }

    /// - Parameter isLast: nothing is read meanwhile, so the clone has everything when it returns.
    private mutating func flush(isLast: Bool = false) async throws {
        guard !batch.isEmpty else {
            try await clone.finish()
            return try noteUnderway()
        }
        try await reach(faultPoint, "replay.batch")
        let transactions = batch
        batch = []
        batchChanges = 0
        batchBytes = 0
        // What live's rows were is read from the clone as it is before this batch.
        let wantsImages = transactions.contains { report.policy.mayKeepOut($0) }
        if isLast || wantsImages {
            try await clone.finish()
            try noteUnderway()
        }
        let images =
            wantsImages
            ? try await LiveImages(transactions, clone.schema, report.policy, connection) : LiveImages()
        if isLast { try await clone.apply(transactions) } else { try await clone.begin(transactions) }
        try noteUnderway()
        underway = transactions
        imagesUnderway = images
        if isLast { try noteUnderway() }
    }

    /// To be called when what was begun is in the clone.
    private mutating func noteUnderway() throws(Failure) {
        for transaction in underway { try report.note(transaction, clone.keptOut, imagesUnderway) }
        if let last = underway.last { position = last.endLSN }
        underway = []
    }
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
