// Frames to bytes and back; see JournalFormat.swift for the layout.

import CPosix
import Postgres
import Releases

extension ByteWriter {
    /// Appends a frame; returns where it begins in `bytes`.
    @discardableResult
    mutating func frame(_ kind: UInt8, _ body: (inout ByteWriter) -> Void) -> Int {
        let begin = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: FrameSize.prefix))
        bytes.append(kind)
        body(&self)
        let length = UInt32(bytes.count - begin - FrameSize.prefix)
        bytes.withUnsafeMutableBytes { all in
            let frame = UnsafeMutableRawBufferPointer(rebasing: all[begin...])
            frame.storeBytes(of: length.bigEndian, as: UInt32.self)
            let crc = frameChecksum(UnsafeRawBufferPointer(frame))
            frame.storeBytes(of: crc.bigEndian, toByteOffset: 4, as: UInt32.self)
        }
        return begin
    }

    mutating func relation(_ relation: RelationDefinition) {
        frame(FrameKind.relation) { body in
            body.put(relation.oid)
            body.put(relation.replicaIdentity.rawValue)
            body.put(relation.schema)
            body.put(relation.table)
            body.put(UInt16(relation.columns.count))
            for column in relation.columns {
                body.put(UInt8(column.isKey ? 1 : 0))
                body.put(column.typeOID)
                body.put(column.typeModifier)
                body.put(column.name)
            }
        }
    }

    /// The change itself; its relations' frames must stand before.
    mutating func change(_ change: RecordedChange) {
        switch change {
        case .insert(let relation, let new):
            frame(FrameKind.insert) { body in
                body.put(relation.oid)
                body.put(new)
            }
        case .update(let relation, let old, let new):
            frame(FrameKind.update) { body in
                body.put(relation.oid)
                body.put(old)
                body.put(new)
            }
        case .delete(let relation, let old):
            frame(FrameKind.delete) { body in
                body.put(relation.oid)
                body.put(old)
            }
        case .truncate(let relations, let cascade, let restartIdentity):
            frame(FrameKind.truncate) { body in
                body.put(UInt8((cascade ? 1 : 0) | (restartIdentity ? 2 : 0)))
                body.put(UInt32(relations.count))
                for relation in relations { body.put(relation.oid) }
            }
        }
    }

    private mutating func put(_ old: OldTuple?) {
        guard let old else { return put(UInt8(0)) }
        put(old.kind.rawValue)
        put(old.values)
    }
}

/// Over the length, the kind and the body: everything but the checksum itself.
func frameChecksum(_ frame: UnsafeRawBufferPointer) -> UInt32 {
    let length = perch_crc32c(0, frame.baseAddress, 4)
    return perch_crc32c(length, frame.baseAddress! + FrameSize.prefix, frame.count - FrameSize.prefix)
}

/// A frame as it lies in a segment: prefix, kind, body.
struct Frame {
    /// Of the prefix, in the segment.
    let offset: Int
    let bytes: ArraySlice<UInt8>

    var end: Int { offset + bytes.count }
    var kind: UInt8 { bytes[bytes.startIndex + FrameSize.prefix] }
    var body: ByteReader { ByteReader(bytes[(bytes.startIndex + FrameSize.prefix + 1)...]) }
}

struct BeginFrame {
    var xid: UInt32
    var commitLSN: LogSequenceNumber
    var committedAt: PostgresTimestamp

    init(xid: UInt32, commitLSN: LogSequenceNumber, committedAt: PostgresTimestamp) {
        self.xid = xid
        self.commitLSN = commitLSN
        self.committedAt = committedAt
    }

    init(_ frame: Frame) throws(MalformedBytes) {
        var body = frame.body
        xid = try body.get()
        commitLSN = LogSequenceNumber(rawValue: try body.get())
        committedAt = PostgresTimestamp(microsecondsSince2000: try body.get())
        guard body.isAtEnd else { throw MalformedBytes() }
    }

    func put(into writer: inout ByteWriter) {
        writer.frame(FrameKind.begin) { body in
            body.put(xid)
            body.put(commitLSN.rawValue)
            body.put(committedAt.microsecondsSince2000)
        }
    }
}

struct CommitFrame {
    var endLSN: LogSequenceNumber
    var origin: RecordedOrigin
    var frames: UInt32
    var checksum: UInt32
    var durableBytes: Int

    init(
        endLSN: LogSequenceNumber, origin: RecordedOrigin, frames: UInt32, checksum: UInt32, durableBytes: Int
    ) {
        self.endLSN = endLSN
        self.origin = origin
        self.frames = frames
        self.checksum = checksum
        self.durableBytes = durableBytes
    }

    init(_ frame: Frame) throws(MalformedBytes) {
        var body = frame.body
        endLSN = LogSequenceNumber(rawValue: try body.get())
        guard let origin = RecordedOrigin(rawValue: try body.get()) else { throw MalformedBytes() }
        self.origin = origin
        frames = try body.get()
        checksum = try body.get()
        guard let durable = Int(exactly: try body.get() as UInt64), body.isAtEnd else { throw MalformedBytes() }
        durableBytes = durable
    }

    func put(into writer: inout ByteWriter) {
        writer.frame(FrameKind.commit) { body in
            body.put(endLSN.rawValue)
            body.put(origin.rawValue)
            body.put(frames)
            body.put(checksum)
            body.put(UInt64(durableBytes))
        }
    }
}

struct PositionFrame {
    var lsn: LogSequenceNumber
    var durableBytes: Int

    init(lsn: LogSequenceNumber, durableBytes: Int) {
        self.lsn = lsn
        self.durableBytes = durableBytes
    }

    init(_ frame: Frame) throws(MalformedBytes) {
        var body = frame.body
        lsn = LogSequenceNumber(rawValue: try body.get())
        guard let durable = Int(exactly: try body.get() as UInt64), body.isAtEnd else { throw MalformedBytes() }
        durableBytes = durable
    }

    func put(into writer: inout ByteWriter) {
        writer.frame(FrameKind.position) { body in
            body.put(lsn.rawValue)
            body.put(UInt64(durableBytes))
        }
    }
}

extension ByteReader {
    mutating func getRelation() throws(MalformedBytes) -> RelationDefinition {
        let oid: UInt32 = try get()
        guard let identity = RelationDefinition.ReplicaIdentity(rawValue: try get()) else { throw MalformedBytes() }
        let schema = try getString()
        let table = try getString()
        let count: UInt16 = try get()
        var columns: [RelationDefinition.Column] = []
        for _ in 0..<count {
            let isKey: UInt8 = try get()
            let type: UInt32 = try get()
            let modifier: Int32 = try get()
            columns.append(.init(name: try getString(), typeOID: type, typeModifier: modifier, isKey: isKey == 1))
        }
        guard isAtEnd else { throw MalformedBytes() }
        return RelationDefinition(
            oid: oid, schema: schema, table: table, replicaIdentity: identity, columns: columns)
    }

    /// A change frame's body, with the relations defined before it in its segment.
    mutating func getChange(
        _ kind: UInt8, _ relations: [UInt32: RelationDefinition]
    ) throws(MalformedBytes) -> RecordedChange {
        let change: RecordedChange
        switch kind {
        case FrameKind.insert:
            change = .insert(try getKnown(relations), new: try getTuple())
        case FrameKind.update:
            change = .update(try getKnown(relations), old: try getOldTuple(), new: try getTuple())
        case FrameKind.delete:
            let relation = try getKnown(relations)
            guard let old = try getOldTuple() else { throw MalformedBytes() }
            change = .delete(relation, old: old)
        case FrameKind.truncate:
            let options: UInt8 = try get()
            let count: UInt32 = try get()
            var tables: [RelationDefinition] = []
            for _ in 0..<count { tables.append(try getKnown(relations)) }
            change = .truncate(tables, cascade: options & 1 != 0, restartIdentity: options & 2 != 0)
        default:
            throw MalformedBytes()
        }
        guard isAtEnd else { throw MalformedBytes() }
        return change
    }

    private mutating func getKnown(
        _ relations: [UInt32: RelationDefinition]
    ) throws(MalformedBytes) -> RelationDefinition {
        guard let relation = relations[try get()] else { throw MalformedBytes() }
        return relation
    }

    private mutating func getOldTuple() throws(MalformedBytes) -> OldTuple? {
        let kind: UInt8 = try get()
        if kind == 0 { return nil }
        guard let kind = OldTuple.Kind(rawValue: kind) else { throw MalformedBytes() }
        return OldTuple(kind: kind, values: try getTuple())
    }
}
