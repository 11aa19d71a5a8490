// Appends transactions to the journal. What counts is `durable`: nothing may be acknowledged beyond it.

import CPosix
package import Postgres

/// How much a journal holds.
package struct JournalTally: Hashable, Sendable {
    package var stableTransactions = 0
    package var canaryTransactions = 0
    package var canaryRows = 0
    /// Over all segments.
    package var bytes: Int64 = 0

    mutating func add(_ origin: RecordedOrigin, rows: Int) {
        switch origin {
        case .stable, .neither: stableTransactions += 1
        case .heal: break
        case .canary:
            canaryTransactions += 1
            canaryRows += rows
        }
    }
}

/// The end of a recording. One transaction at a time: `begin`, `append`…, `commit`; then `synchronize` makes what was
/// committed so far durable. Memory is bounded: frames go to the file as a buffer fills.
///
/// After a ``JournalError/storage(operation:path:code:)`` only ``forgetUndurable()`` may be called: a failed write or
/// fsync leaves unknown bytes behind the durable ones, and the server still has everything that was not acknowledged.
package struct JournalWriter: Sendable {
    package static let defaultSegmentBytes = 64 << 20
    private static let bufferBytes = 256 << 10

    /// A state of the journal at a frame boundary between transactions.
    package struct Mark: Hashable, Sendable {
        /// Everything up to here is in the journal.
        package var lsn: LogSequenceNumber
        package var tally: JournalTally
        /// In the last segment.
        var offset: Int
    }

    private struct OpenTransaction: Sendable {
        var frames: UInt32 = 0
        var checksum: UInt32 = 0
        var rows = 0
        var commitLSN: LogSequenceNumber
    }

    package let identity: JournalIdentity
    package private(set) var durable: Mark
    /// Written, if perhaps not yet durable.
    package private(set) var written: Mark

    private let storage: any JournalStorage
    private let lock: any Sendable
    private let segmentBytes: Int
    private var segment: Int
    private var file: any JournalFile
    private var buffer = ByteWriter()
    /// Where the buffer's first byte belongs in the file.
    private var bufferOffset: Int
    private var transaction: OpenTransaction?
    /// As last defined in this segment.
    private var relations: [UInt32: RelationDefinition] = [:]

    /// Begins a recording.
    ///
    /// - Throws: ``JournalError/broken(_:)`` when there already is one.
    package static func create(
        _ storage: any JournalStorage, _ identity: JournalIdentity, segmentBytes: Int = defaultSegmentBytes
    ) throws(JournalError) -> JournalWriter {
        let lock = try storage.lock()
        guard try storage.segments().isEmpty else {
            throw .broken("there already is a recording at \(storage.path(1))")
        }
        let header = SegmentHeader(identity: identity, segment: 1, precedingEnd: identity.start).encoded()
        let file = try storage.create(1, header)
        var tally = JournalTally()
        tally.bytes = Int64(header.count)
        return JournalWriter(
            storage: storage, lock: lock, identity: identity, segmentBytes: segmentBytes, segment: 1, file: file,
            durable: Mark(lsn: identity.start, tally: tally, offset: header.count))
    }

    /// Continues a recording: checks all of it and cuts a torn tail at the last durable commit.
    ///
    /// - Throws: ``JournalError/broken(_:)`` when it is damaged, or another server's or slot's than `expected`.
    package static func open(
        _ storage: any JournalStorage, expecting expected: JournalIdentity? = nil,
        segmentBytes: Int = defaultSegmentBytes
    ) throws(JournalError) -> JournalWriter {
        let lock = try storage.lock()
        var check = try JournalWalk(storage)
        if let expected { try check.identity.requireEqual(to: expected) }
        var tally = JournalTally()
        while let step = try check.next() {
            if case .commit(let origin, let rows) = step { tally.add(origin, rows: rows) }
        }
        tally.bytes = check.precedingBytes + Int64(check.goodEnd)
        let file = try storage.open(check.segment)
        if try file.size() > check.goodEnd { try file.truncate(to: check.goodEnd) }
        // What was read may have been in the page cache only.
        try file.synchronize()
        return JournalWriter(
            storage: storage, lock: lock, identity: check.identity, segmentBytes: segmentBytes, segment: check.segment,
            file: file, durable: Mark(lsn: check.lsn, tally: tally, offset: check.goodEnd))
    }

    private init(
        storage: any JournalStorage, lock: any Sendable, identity: JournalIdentity, segmentBytes: Int, segment: Int,
        file: any JournalFile, durable: Mark
    ) {
        self.storage = storage
        self.lock = lock
        self.identity = identity
        self.segmentBytes = segmentBytes
        self.segment = segment
        self.file = file
        self.durable = durable
        written = durable
        bufferOffset = durable.offset
    }

    package var isInTransaction: Bool { transaction != nil }

    /// - Returns: false when the journal already has this transaction: its frames must then not be appended. PostgreSQL
    ///   sends commits again after its own crash, because it writes a slot's position to disk only at checkpoints.
    package mutating func begin(
        xid: UInt32, commitLSN: LogSequenceNumber, committedAt: PostgresTimestamp
    ) throws(JournalError) -> Bool {
        precondition(transaction == nil, "a transaction begins inside another one")
        // Ends of what we have are ends of commit records or of keepalives: a commit record begins before such an end
        // only if it also ends there or before.
        guard commitLSN >= written.lsn else { return false }
        transaction = OpenTransaction(commitLSN: commitLSN)
        try frame { BeginFrame(xid: xid, commitLSN: commitLSN, committedAt: committedAt).put(into: &$0) }
        return true
    }

    package mutating func append(_ change: RecordedChange) throws(JournalError) {
        switch change {
        case .insert(let relation, _), .delete(let relation, _):
            try define(relation)
            transaction?.rows += 1
        case .update(let relation, _, _):
            try define(relation)
            transaction?.rows += 1
        case .truncate(let relations, _, _):
            for relation in relations { try define(relation) }
        }
        try frame { $0.change(change) }
    }

    package mutating func append(schemaCommand: String) throws(JournalError) {
        try frame { writer in writer.frame(FrameKind.schema) { $0.put(schemaCommand) } }
    }

    package mutating func commit(endLSN: LogSequenceNumber, origin: RecordedOrigin) throws(JournalError) {
        guard let done = transaction else { preconditionFailure("a commit without a begin") }
        guard endLSN > done.commitLSN else {
            throw .broken("the server sent a commit record of \(done.commitLSN) that ends at \(endLSN)")
        }
        CommitFrame(
            endLSN: endLSN, origin: origin, frames: done.frames, checksum: done.checksum, durableBytes: durable.offset
        ).put(into: &buffer)
        transaction = nil
        written.tally.add(origin, rows: done.rows)
        reached(endLSN)
    }

    /// Nothing that concerns us happened up to `lsn`. Ignored inside a transaction and for positions already passed.
    package mutating func advance(to lsn: LogSequenceNumber) {
        guard transaction == nil, lsn > written.lsn else { return }
        PositionFrame(lsn: lsn, durableBytes: durable.offset).put(into: &buffer)
        reached(lsn)
    }

    private mutating func reached(_ lsn: LogSequenceNumber) {
        written.lsn = lsn
        written.tally.bytes += Int64(bufferOffset + buffer.bytes.count - written.offset)
        written.offset = bufferOffset + buffer.bytes.count
    }

    /// Everything committed so far is durable when this returns. Starts a new segment when this one is full.
    package mutating func synchronize() throws(JournalError) {
        if written.offset > durable.offset {
            try flush()
            try file.synchronize()
            durable = written
        }
        if written.offset >= segmentBytes, transaction == nil { try startSegment() }
    }

    /// Back to the durable end, as after a restart: for a lost connection, which sends the rest again, and after errors.
    package mutating func forgetUndurable() throws(JournalError) {
        transaction = nil
        relations = [:]
        buffer.bytes.removeAll(keepingCapacity: true)
        bufferOffset = durable.offset
        written = durable
        try file.truncate(to: durable.offset)
    }

    private mutating func startSegment() throws(JournalError) {
        let header = SegmentHeader(identity: identity, segment: segment + 1, precedingEnd: durable.lsn).encoded()
        file = try storage.create(segment + 1, header)
        segment += 1
        relations = [:]
        bufferOffset = header.count
        durable.offset = header.count
        durable.tally.bytes += Int64(header.count)
        written = durable
    }

    private mutating func define(_ relation: RelationDefinition) throws(JournalError) {
        guard relations[relation.oid] != relation else { return }
        relations[relation.oid] = relation
        try frame { $0.relation(relation) }
    }

    /// Appends one frame of the open transaction.
    private mutating func frame(_ put: (inout ByteWriter) -> Void) throws(JournalError) {
        let begin = buffer.bytes.count
        put(&buffer)
        guard transaction != nil else { preconditionFailure("a change outside of a transaction") }
        transaction!.frames += 1
        transaction!.checksum = buffer.bytes.withUnsafeBytes { all in
            perch_crc32c(transaction!.checksum, all.baseAddress! + begin, all.count - begin)
        }
        if buffer.bytes.count >= Self.bufferBytes { try flush() }
    }

    private mutating func flush() throws(JournalError) {
        guard !buffer.bytes.isEmpty else { return }
        try file.write(buffer.bytes, at: bufferOffset)
        bufferOffset += buffer.bytes.count
        buffer.bytes.removeAll(keepingCapacity: true)
    }
}

extension JournalIdentity {
    /// - Throws: ``JournalError/broken(_:)`` that names what differs.
    package func requireEqual(to other: JournalIdentity) throws(JournalError) {
        guard systemIdentifier == other.systemIdentifier else {
            throw .broken(
                "the journal is of system identifier \(systemIdentifier), the server has \(other.systemIdentifier)")
        }
        guard timeline == other.timeline else {
            throw .broken("the journal is of timeline \(timeline), the server is on timeline \(other.timeline)")
        }
        guard database == other.database, slot == other.slot, start == other.start else {
            throw .broken(
                "the journal is of slot \(slot) of database \(database) from \(start), not of slot \(other.slot) of "
                    + "database \(other.database) from \(other.start)")
        }
    }
}
