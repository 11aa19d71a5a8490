// The restored database as the merge's clone: batches of recorded transactions are merged, written and remembered. It goes on
// where its own tables say, whoever opened it before.
//
// When the database refuses a batch, nothing of it is done and its halves are tried; a single transaction is merged again
// with the refused rows named. Nobody else uses the database, so what happened once happens again.

import Merge
import Ports
import Postgres
import Releases

struct MergedClone {
    /// Times that one transaction is merged anew because rows were refused.
    private static let attempts = 20

    let schema: CloneSchema
    private(set) var engine: MergeEngine
    /// Commit LSNs of stable transactions that were kept out as a whole, with why.
    private(set) var keptOut: [UInt64: String]
    private(set) var recent = RecentWrites()
    private var translation: StreamTranslation
    private var reader: CloneReader
    private let writer: CloneWriter

    /// - Parameter connection: for the merge alone; see ``Replay/session``.
    static func open(_ connection: Connection, _ policy: Policy.DataRollback) async throws(Failure) -> MergedClone {
        let schema = try await CloneSchema.read(connection, rules: policy.columnRules)
        var reader = CloneReader(connection, schema)
        let state = try await CloneState.read(connection)
        do {
            let keptOut = try await CloneState.readKeptOut(connection)
            var answers = Answers()
            while true {
                switch try MergeEngine.restore(schema: schema.merge, policy: MergePolicy(policy), from: state, answers)
                {
                case .needs(let lookups): try await reader.answer(lookups, &answers)
                case .done(let engine):
                    return MergedClone(
                        schema: schema, engine: engine, keptOut: keptOut,
                        translation: StreamTranslation(schema, keepsAll: policy.writes == .all), reader: reader,
                        writer: CloneWriter(connection: connection, schema: schema))
                }
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot take up the merge again: \(error)", isTransient: !(error is MergeError))
        }
    }

    /// The clone is of this position: `endLSN` of the last transaction in it.
    var position: UInt64 { engine.position }

    /// Merges transactions that follow on ``position`` and returns when the clone has them.
    ///
    /// - Throws: ``Failure``, ``PostgresError``, ``MergeError``; a part of the batch may have been merged then.
    mutating func apply(_ transactions: [RecordedTransaction]) async throws {
        var sources: [SourceTransaction] = []
        sources.reserveCapacity(transactions.count)
        for transaction in transactions { sources.append(try translation.translate(transaction)) }
        try await apply(transactions[...], sources[...])
    }

    /// Gives every differing row of the tables that the canary emptied a record of its own.
    mutating func nameEmptiedRows() async throws {
        for table in engine.emptiedTables {
            let rows = try await reader.all(schema[table])
            var answers = Answers()
            unfolding: while true {
                switch try engine.unfold(table, rows: rows, answers) {
                case .needs(let lookups): try await reader.answer(lookups, &answers)
                case .done(let state):
                    try await writer.write(state)
                    break unfolding
                }
            }
        }
    }

    private mutating func apply(
        _ transactions: ArraySlice<RecordedTransaction>, _ sources: ArraySlice<SourceTransaction>
    ) async throws {
        do {
            try await merge(transactions, sources, refused: [])
        } catch let refusal as CloneWriter.Refusal {
            guard sources.count > 1 else { return try await mergeRefused(transactions, sources, refusal) }
            let middle = sources.startIndex + sources.count / 2
            try await apply(transactions[..<middle], sources[..<middle])
            try await apply(transactions[middle...], sources[middle...])
        }
    }

    /// Names more and more of one transaction's rows as refused, until what is left is taken.
    private mutating func mergeRefused(
        _ transactions: ArraySlice<RecordedTransaction>, _ sources: ArraySlice<SourceTransaction>,
        _ first: CloneWriter.Refusal
    ) async throws {
        var refused: Set<RowID> = []
        var refusal = first
        for _ in 0..<Self.attempts {
            let batch = try await merged(sources, refused: refused.sorted())
            let found = try await CloneRefusals(writer).find(batch)
            guard !refused.isSuperset(of: found) else { break }
            refused.formUnion(found)
            do {
                return try await merge(transactions, sources, refused: refused.sorted())
            } catch let again as CloneWriter.Refusal {
                refusal = again
            }
        }
        let place = transactions.first?.commitLSN.description ?? ""
        throw Failure(
            "the restored database does not take the transaction at \(place): \(refusal.error.message)",
            hint: "live data is untouched; use rollback.mode: keep and repair by hand")
    }

    private mutating func merge(
        _ transactions: ArraySlice<RecordedTransaction>, _ sources: ArraySlice<SourceTransaction>, refused: [RowID]
    ) async throws {
        let batch = try await merged(sources, refused: refused)
        var committedAt: [UInt64: Int64] = [:]
        if !batch.state.findings.isEmpty {
            for transaction in transactions {
                committedAt[transaction.commitLSN.rawValue] = transaction.committedAt.millisecondsSince1970
            }
        }
        try await writer.write(batch, committedAt: committedAt)
        engine.commit(batch)
        for source in sources { recent.append(source, schema) }
        for kept in batch.state.quarantined { keptOut[kept.transaction.commitLSN] = kept.reasons }
    }

    private mutating func merged(
        _ sources: ArraySlice<SourceTransaction>, refused: [RowID]
    ) async throws -> NetBatch {
        let sources = Array(sources)
        var answers = Answers()
        while true {
            switch try engine.merge(sources, answers, refused: refused) {
            case .needs(let lookups): try await reader.answer(lookups, &answers)
            case .done(let batch): return batch
            }
        }
    }
}

extension QuarantinedTransaction {
    /// Of its conflicts, each once.
    var reasons: String {
        Set(conflicts.filter(\.isOpen).map(\.reason.rawValue)).sorted().joined(separator: ", ")
    }
}

extension Policy.DataRollback {
    /// Table -> column -> rule.
    var columnRules: [String: [String: Merge.ColumnRule]] {
        columns.mapValues { rules in rules.compactMapValues { Merge.ColumnRule(rawValue: $0.rawValue) } }
    }
}

extension MergePolicy {
    init(_ policy: Policy.DataRollback) {
        self.init(
            mode: MergeMode(rawValue: policy.merge.rawValue) ?? .nonconflict,
            unattributed: Unattributed(rawValue: policy.unattributed.rawValue) ?? .stable,
            canaryRow: CanaryRow(rawValue: policy.canaryRow.rawValue) ?? .keep)
    }
}
