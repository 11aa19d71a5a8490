// The merge of a recorded stream into a clone: "as if the canary's writes had not happened, every stable write kept".

/// What live and the clone have apart, and what each further transaction makes of it. Pure: it reads nothing and writes
/// nothing, it asks and it says.
///
/// Live is what the stream shows, the clone takes what the transitions let through. The engine holds the rows in which the
/// two differ and nothing else, so its memory is bounded by them and by one batch; the clone's other rows it asks for:
///
///     var answers = Answers()                       // of one state of the clone: the one before this batch
///     merging: while true {
///         switch try engine.merge(batch, answers) {
///         case .needs(let lookups): look all of them up in the clone, add what it says to answers
///         case .done(let net):
///             in one transaction of the clone, with triggers and foreign keys off: net.tables, then net.state
///             engine.commit(net)
///             break merging
///         }
///     }
///
/// Two or three rounds are usual, none for rows that nothing is known of. Nothing moves before ``commit(_:)``, so a batch
/// that the clone refused can be merged again, and after a crash ``restore(schema:policy:from:_:)`` goes on from what the
/// clone's own tables say: ``PersistedState`` is the sum of the ``StateDelta``s, the report the sum of their findings.
/// How transactions are cut into batches changes nothing.
///
/// - When the clone refuses a row for a constraint the schema has no word for (EXCLUDE), the batch is merged again with that
///   row and those it collides with as `refused`. If none of them is tainted the same batch comes out, and stream and clone
///   do not belong together. Under ``MergeMode/cascade`` such a batch has to be merged transaction by transaction.
/// - Heal takes ``healSeeds``, makes each a transaction with its ``closure(of:atMost:)``, and its own writes come back in the
///   stream as ``Origin/heal``. Before it, ``unfold(_:rows:_:)`` names the rows of ``emptiedTables``.
/// - A person sees ``Schema/compared(_:)`` of a finding.
package struct MergeEngine: Sendable {
    package let schema: Schema
    package let policy: MergePolicy
    var ledger = Ledger()

    /// For a clone that is equal to live at `position`: the snapshot's.
    package init(schema: Schema, policy: MergePolicy = MergePolicy(), position: UInt64 = 0) {
        self.schema = schema
        self.policy = policy
        ledger.position = position
    }

    /// `endLSN` of the last transaction that was merged.
    package var position: UInt64 { ledger.position }

    /// Merges whole transactions that follow on ``position``; those before it are passed over.
    ///
    /// - Parameters:
    ///   - answers: what the clone said so far, all of its state before this batch.
    ///   - refused: rows that the clone did not take when the batch was tried, for a constraint that is not part of the
    ///     schema, such as EXCLUDE; where they are tainted they take live's row.
    /// - Throws: ``MergeError`` when stream and clone do not fit together.
    package func merge(
        _ batch: [SourceTransaction], _ answers: Answers = Answers(), refused: [RowID] = []
    ) throws(MergeError) -> Progress<NetBatch> {
        var merge = BatchMerge(schema: schema, policy: policy, ledger: ledger, answers: answers)
        try merge.run(batch, refused: refused)
        guard merge.missing.isEmpty else { return .needs(merge.missing) }
        let result = try merge.result()
        return merge.missing.isEmpty ? .done(result) : .needs(merge.missing)
    }

    /// The clone has the batch durably.
    package mutating func commit(_ batch: NetBatch) {
        for table in batch.state.forgotten {
            ledger.forget(table)
            ledger.markEmptied(table, by: nil)
        }
        for emptied in batch.state.emptied { ledger.markEmptied(emptied.table, by: emptied.xid) }
        for (id, taint) in batch.taints { ledger.set(id, taint) }
        for (id, copies) in batch.copies { ledger.set(id, copies) }
        for id in batch.state.ghostsRemoved { ledger.set(id, nil as Ghost?) }
        for ghost in batch.state.ghosts { ledger.set(ghost.row, ghost) }
        ledger.position = batch.position
    }
}

// MARK: After a crash

extension MergeEngine {
    /// An engine that goes on where the clone's own tables say.
    ///
    /// - Parameter answers: what the clone said so far; it is asked for its rows of the tainted keys.
    package static func restore(
        schema: Schema, policy: MergePolicy, from state: PersistedState, _ answers: Answers = Answers()
    ) throws(MergeError) -> Progress<MergeEngine> {
        var engine = MergeEngine(schema: schema, policy: policy, position: state.position)
        for emptied in state.emptied.values { engine.ledger.markEmptied(emptied.table, by: emptied.xid) }
        for ghost in state.ghosts.values { engine.ledger.set(ghost.row, ghost) }
        var reader = BatchMerge(schema: schema, policy: policy, ledger: engine.ledger, answers: answers)
        for record in state.taints.values {
            try reader.attempt { (reader) throws(Halt) in
                guard let clone = answers.rows[record.row] else { throw .unanswered(.row(record.row)) }
                let slot = Slot(live: record.live, clone: clone, xid: record.xid)
                let entries = try reader.entries(slot, record.row, reader.layout(of: record.row.table))
                engine.ledger.set(
                    record.row, Taint(live: record.live, clone: clone, xid: record.xid, entries: entries))
            }
        }
        for record in state.copies.values {
            try reader.attempt { (reader) throws(Halt) in
                let entries = try reader.entries(ofCopies: record.row, reader.layout(of: record.row.table))
                engine.ledger.set(record.row, Copies(count: record.count, xid: record.xid, entries: entries))
            }
        }
        return reader.missing.isEmpty ? .done(engine) : .needs(reader.missing)
    }
}
