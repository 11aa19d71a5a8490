// Transactions out of the journal, in commit order, one in memory at a time.

package import Postgres
package import SystemPackage

/// Reads a journal, also while a recorder appends to it: then only up to a position that the recorder calls durable.
package struct JournalReader {
    package var identity: JournalIdentity { walk.identity }
    /// Everything up to here was read.
    package private(set) var lsn: LogSequenceNumber

    private var walk: JournalWalk
    /// Read, but it ends after the limit of the last call.
    private var heldBack: RecordedTransaction?
    private var segment = 1
    /// As defined so far in the segment.
    private var relations: [UInt32: RelationDefinition] = [:]

    /// - Parameter folder: of the segments.
    package init(folder: FilePath) throws(JournalError) {
        try self.init(FolderStorage(folder))
    }

    package init(_ storage: any JournalStorage) throws(JournalError) {
        walk = try JournalWalk(storage)
        lsn = walk.lsn
    }

    /// Every transaction that ends at or before `limit` and was not read before; all whole ones when `limit` is nil.
    ///
    /// - Throws: ``JournalError/endsBefore(wanted:end:)`` when the journal does not reach `limit`, after the body has seen
    ///   what there is; ``JournalError/broken(_:)`` at damage; what the body throws.
    package mutating func forEachTransaction(
        upTo limit: LogSequenceNumber?, _ body: (RecordedTransaction) async throws -> Void
    ) async throws {
        forgetReadAhead()
        while let transaction = try next(upTo: limit) { try await body(transaction) }
        if let limit, lsn < limit {
            throw JournalError.endsBefore(wanted: limit.description, end: lsn.description)
        }
    }

    /// The next transaction that ends at or before `limit`; nil when there are no more for now.
    package mutating func next(upTo limit: LogSequenceNumber? = nil) throws(JournalError) -> RecordedTransaction? {
        while heldBack == nil, limit.map({ walk.lsn < $0 }) ?? true, let step = try step() {
            switch step {
            case .transaction(let transaction): heldBack = transaction
            case .position: lsn = walk.lsn
            }
        }
        guard let transaction = heldBack else { return nil }
        if let limit, transaction.endLSN > limit {
            lsn = max(lsn, limit)
            return nil
        }
        heldBack = nil
        lsn = transaction.endLSN
        return transaction
    }

    /// Whoever comes back for what was appended since calls this first: the writer may have replaced what was read ahead.
    package mutating func forgetReadAhead() { walk.forgetReadAhead() }

    private enum Step {
        case transaction(RecordedTransaction)
        case position
    }

    private mutating func step() throws(JournalError) -> Step? {
        var begin: BeginFrame?
        var changes: [RecordedChange] = []
        var schemaCommands: [String] = []
        while let step = try walk.next() {
            if walk.segment != segment {
                segment = walk.segment
                relations = [:]
            }
            switch step {
            case .begin(let frame): begin = frame
            case .content(let frame):
                do throws(MalformedBytes) {
                    try read(frame, &changes, &schemaCommands)
                } catch {
                    throw .broken("the journal has a frame that cannot be read at byte \(frame.offset) after \(lsn)")
                }
            case .commit(let origin, _):
                guard let begin else { preconditionFailure("the walk lets no commit stand alone") }
                return .transaction(
                    RecordedTransaction(
                        xid: begin.xid, commitLSN: begin.commitLSN, endLSN: walk.lsn, committedAt: begin.committedAt,
                        origin: origin, changes: changes, schemaCommands: schemaCommands))
            case .position: return .position
            }
        }
        return nil
    }

    private mutating func read(
        _ frame: Frame, _ changes: inout [RecordedChange], _ schemaCommands: inout [String]
    ) throws(MalformedBytes) {
        var body = frame.body
        switch frame.kind {
        case FrameKind.relation:
            let relation = try body.getRelation()
            relations[relation.oid] = relation
        case FrameKind.schema:
            schemaCommands.append(try body.getString())
        default:
            changes.append(try body.getChange(frame.kind, relations))
        }
    }
}
