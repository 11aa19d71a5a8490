// Goes over the frames of all segments in order, checks everything that can be checked, and tells a torn tail from damage.

import CPosix
import Postgres
import Releases

/// A walk over a journal. `next` returns nil where the whole transactions end; asked again later, it goes on with what was
/// appended since.
struct JournalWalk {
    enum Step {
        case begin(BeginFrame)
        /// A relation, change or schema frame of the open transaction.
        case content(Frame)
        case commit(origin: RecordedOrigin, rows: Int)
        case position
    }

    private struct OpenTransaction {
        var frames: UInt32 = 1
        var checksum: UInt32
        var rows = 0
        var commitLSN: LogSequenceNumber
    }

    let identity: JournalIdentity
    private(set) var segment = 1
    /// Everything up to here was walked over, whole transactions only.
    private(set) var lsn: LogSequenceNumber
    /// Where that is in `segment`.
    private(set) var goodEnd: Int
    /// Sizes of the segments before.
    private(set) var precedingBytes: Int64 = 0

    private let storage: any JournalStorage
    private var frames: FrameCursor
    private var transaction: OpenTransaction?

    init(_ storage: any JournalStorage) throws(JournalError) {
        self.storage = storage
        let numbers = try storage.segments()
        guard numbers.first == 1 else { throw .broken("the journal has no first segment \(storage.path(1))") }
        guard numbers.last == numbers.count else {
            let missing = zip(numbers, 1...).first { $0.0 != $0.1 }!.1
            throw .broken("the journal has no segment \(storage.path(missing)), but later ones")
        }
        let file = try storage.open(1)
        let (header, size) = try SegmentHeader.read(file, path: storage.path(1))
        guard header.segment == 1, header.precedingEnd == header.identity.start else {
            throw .broken("\(storage.path(1)) is another segment of a journal")
        }
        identity = header.identity
        lsn = header.identity.start
        goodEnd = size
        frames = FrameCursor(file, offset: size)
    }

    mutating func next() throws(JournalError) -> Step? {
        while true {
            switch try frames.next() {
            case .frame(let frame):
                do throws(MalformedBytes) {
                    return try accept(frame)
                } catch {
                    return try endOrDamage(at: frame.offset)
                }
            case .bad(let offset):
                return try endOrDamage(at: offset)
            case .end:
                guard try isFollowed() else {
                    returnToGoodEnd()
                    return nil
                }
                guard transaction == nil else { throw damage(at: goodEnd) }
                try goToNextSegment()
            }
        }
    }

    /// What was read ahead may have been replaced by the writer since.
    mutating func forgetReadAhead() {
        if transaction == nil { returnToGoodEnd() }
    }

    private mutating func returnToGoodEnd() {
        transaction = nil
        frames.move(to: goodEnd)
    }

    private mutating func accept(_ frame: Frame) throws(MalformedBytes) -> Step {
        switch frame.kind {
        case FrameKind.begin:
            let begin = try BeginFrame(frame)
            guard transaction == nil, begin.commitLSN >= lsn else { throw MalformedBytes() }
            transaction = OpenTransaction(checksum: frame.checksum(continuing: 0), commitLSN: begin.commitLSN)
            return .begin(begin)
        case FrameKind.relation, FrameKind.insert, FrameKind.update, FrameKind.delete, FrameKind.truncate,
            FrameKind.schema:
            guard transaction != nil else { throw MalformedBytes() }
            transaction!.frames += 1
            transaction!.checksum = frame.checksum(continuing: transaction!.checksum)
            if frame.kind != FrameKind.relation, frame.kind != FrameKind.truncate, frame.kind != FrameKind.schema {
                transaction!.rows += 1
            }
            return .content(frame)
        case FrameKind.commit:
            let commit = try CommitFrame(frame)
            guard let done = transaction, commit.frames == done.frames, commit.checksum == done.checksum,
                commit.endLSN > done.commitLSN, commit.durableBytes <= goodEnd
            else { throw MalformedBytes() }
            transaction = nil
            lsn = commit.endLSN
            goodEnd = frame.end
            return .commit(origin: commit.origin, rows: done.rows)
        case FrameKind.position:
            let position = try PositionFrame(frame)
            guard transaction == nil, position.lsn > lsn, position.durableBytes <= goodEnd else {
                throw MalformedBytes()
            }
            lsn = position.lsn
            goodEnd = frame.end
            return .position
        default:
            throw MalformedBytes()
        }
    }

    private func isFollowed() throws(JournalError) -> Bool {
        try storage.segments().last.map { $0 > segment } ?? false
    }

    private mutating func goToNextSegment() throws(JournalError) {
        let path = storage.path(segment + 1)
        let file = try storage.open(segment + 1)
        let (header, size) = try SegmentHeader.read(file, path: path)
        try header.identity.requireEqual(to: identity)
        guard header.segment == segment + 1 else {
            throw .broken("\(path) is segment \(header.segment) of the journal")
        }
        guard header.precedingEnd == lsn else {
            throw .broken(
                "the journal has a gap: \(storage.path(segment)) ends at \(lsn), but \(path) "
                    + "goes on from \(header.precedingEnd)")
        }
        precedingBytes += Int64(goodEnd)
        segment += 1
        goodEnd = size
        frames = FrameCursor(file, offset: size)
    }

    /// A bad frame. Bytes that were never durable may be torn in any way; bad bytes that were durable are damage.
    private mutating func endOrDamage(at offset: Int) throws(JournalError) -> Step? {
        if try isFollowed() { throw damage(at: offset) }
        if try frames.hasProofOfDurability(of: goodEnd, after: offset) { throw damage(at: offset) }
        returnToGoodEnd()
        return nil
    }

    private func damage(at offset: Int) -> JournalError {
        .broken("the journal is damaged at byte \(offset) of \(storage.path(segment)), after \(lsn)")
    }
}

extension Frame {
    func checksum(continuing crc: UInt32) -> UInt32 {
        bytes.withUnsafeBytes { perch_crc32c(crc, $0.baseAddress, $0.count) }
    }
}

/// The frames of one segment.
struct FrameCursor {
    enum Outcome {
        case frame(Frame)
        /// The bytes from `offset` on are no whole frame.
        case bad(offset: Int)
        case end
    }

    private static let chunkBytes = 1 << 20

    private let file: any JournalFile
    private var chunk: [UInt8] = []
    /// Of `chunk` in the file.
    private var chunkOffset: Int
    private var position: Int

    init(_ file: any JournalFile, offset: Int) {
        self.file = file
        chunkOffset = offset
        position = offset
    }

    mutating func move(to offset: Int) {
        chunk = []
        chunkOffset = offset
        position = offset
    }

    mutating func next() throws(JournalError) -> Outcome {
        try load(FrameSize.prefix)
        let begin = position - chunkOffset
        guard chunk.count > begin else { return .end }
        guard chunk.count >= begin + FrameSize.prefix else { return .bad(offset: position) }
        let length = Int(integer(at: begin))
        guard length >= 1, length <= FrameSize.limit else { return .bad(offset: position) }
        try load(FrameSize.prefix + length)
        // Loading may have moved the chunk.
        let start = position - chunkOffset
        let end = start + FrameSize.prefix + length
        guard chunk.count >= end else { return .bad(offset: position) }
        let crc = chunk.withUnsafeBytes { frameChecksum(UnsafeRawBufferPointer(rebasing: $0[start..<end])) }
        guard crc == integer(at: start + 4) else { return .bad(offset: position) }
        defer { position += FrameSize.prefix + length }
        return .frame(Frame(offset: position, bytes: chunk[start..<end]))
    }

    /// Makes `count` bytes from `position` on available in `chunk` if the file has them.
    private mutating func load(_ count: Int) throws(JournalError) {
        let begin = position - chunkOffset
        guard chunk.count < begin + count else { return }
        let kept = Array(chunk[min(begin, chunk.count)...])
        let more = try file.read(at: position + kept.count, count: max(count - kept.count, Self.chunkBytes))
        chunk = kept + more
        chunkOffset = position
    }

    private func integer(at index: Int) -> UInt32 {
        chunk.withUnsafeBytes { UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: index, as: UInt32.self)) }
    }

    /// Whether a whole commit or position frame behind `offset` says that more than `size` bytes were durable.
    func hasProofOfDurability(of size: Int, after offset: Int) throws(JournalError) -> Bool {
        var place = offset + 1
        while true {
            let bytes = try file.read(at: place, count: Self.chunkBytes)
            guard bytes.count >= FrameSize.position else { return false }
            for begin in 0...bytes.count - FrameSize.position {
                for frameBytes in [FrameSize.position, FrameSize.commit] where begin + frameBytes <= bytes.count {
                    let frame = Frame(offset: place + begin, bytes: bytes[begin..<begin + frameBytes])
                    if let durable = frame.durableBytesIfWhole(), durable > size { return true }
                }
            }
            place += bytes.count - FrameSize.commit + 1
            if bytes.count < Self.chunkBytes { return false }
        }
    }
}

extension Frame {
    /// For bytes that may be anything: the durable size that a commit or position frame of just this length tells.
    fileprivate func durableBytesIfWhole() -> Int? {
        guard kind == FrameKind.commit || kind == FrameKind.position else { return nil }
        let (length, crc) = bytes.withUnsafeBytes { raw in
            (
                UInt32(bigEndian: raw.loadUnaligned(as: UInt32.self)),
                UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            )
        }
        guard Int(length) == bytes.count - FrameSize.prefix,
            bytes.withUnsafeBytes({ frameChecksum($0) }) == crc
        else { return nil }
        if kind == FrameKind.commit { return (try? CommitFrame(self))?.durableBytes }
        return (try? PositionFrame(self))?.durableBytes
    }
}
