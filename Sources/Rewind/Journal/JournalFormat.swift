// The bytes of a segment. All integers are big-endian; `string` is a u32 length and that many bytes of UTF-8.
//
//   segment   header frame*
//   header    "PERCHJNL" u32 version  u32 length of the rest with its checksum
//             u64 system identifier  u32 timeline  u64 recording's start LSN  u64 end LSN of the segment before
//             u32 segment number  string database  string slot  u32 CRC-32C of the header before it
//   frame     u32 length of kind and body  u32 CRC-32C of length, kind and body  u8 kind  body
//
//   'B' begin     u32 xid  u64 commit LSN  i64 committed at in microseconds since 2000
//   'R' relation  u32 oid  u8 replica identity  string schema  string table  u16 count  column*
//       column    u8 1 when part of the key  u32 type  i32 type modifier  string name
//   'I' insert    u32 oid  tuple
//   'U' update    u32 oid  u8 0, 'K' or 'O'  [old tuple]  new tuple
//   'D' delete    u32 oid  u8 'K' or 'O'  old tuple
//   'T' truncate  u8 1 cascade, 2 restart identity  u32 count  u32 oid*
//   'S' schema    string command
//   'C' commit    u64 end LSN  u8 0 stable, 1 canary  u32 frames since 'B' with it  u32 CRC-32C of those frames
//                 u64 bytes of this segment that were durable when this was written
//   'P' position  u64 LSN up to which nothing more happened  u64 durable bytes, as above
//       tuple     u16 count  ( 'n' null | 'u' TOAST value not sent | 't' u32 length bytes )*
//
// A transaction is B, then R I U D T S in any order, then C. A relation stands before its first change in every segment,
// and again when it changed. The durable bytes tell a torn tail from damage: what lies behind the last durable byte may be
// torn in any way by a crash and is cut; a frame that is bad although a later good one says it was durable is damage.

package import Postgres

/// Whose recording a journal is; written into every segment.
package struct JournalIdentity: Hashable, Sendable {
    package var systemIdentifier: UInt64
    package var timeline: UInt32
    package var database: String
    package var slot: String
    /// The slot's consistent point: the journal has every commit behind it.
    package var start: LogSequenceNumber

    package init(
        systemIdentifier: UInt64, timeline: UInt32, database: String, slot: String, start: LogSequenceNumber
    ) {
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
        self.database = database
        self.slot = slot
        self.start = start
    }
}

enum FrameKind {
    static let begin = UInt8(ascii: "B")
    static let relation = UInt8(ascii: "R")
    static let insert = UInt8(ascii: "I")
    static let update = UInt8(ascii: "U")
    static let delete = UInt8(ascii: "D")
    static let truncate = UInt8(ascii: "T")
    static let schema = UInt8(ascii: "S")
    static let commit = UInt8(ascii: "C")
    static let position = UInt8(ascii: "P")
}

enum FrameSize {
    /// Length and checksum.
    static let prefix = 8
    /// A whole commit frame and a whole position frame.
    static let commit = prefix + 1 + 8 + 1 + 4 + 4 + 8
    static let position = prefix + 1 + 8 + 8
    /// PostgreSQL sends no message of 1 GiB or more; our frames repeat its sizes with less around them.
    static let limit = 1 << 30
}

struct SegmentHeader: Equatable {
    static let magic = Array("PERCHJNL".utf8)
    static let version: UInt32 = 1
    /// Magic, version and the length of the rest.
    static let fixedSize = 16
    /// Two names of at most 63 bytes fit many times.
    static let restLimit = 4_096

    var identity: JournalIdentity
    var segment: Int
    /// Everything up to here is in the segments before.
    var precedingEnd: LogSequenceNumber

    func encoded() -> [UInt8] {
        var rest = ByteWriter()
        rest.put(identity.systemIdentifier)
        rest.put(identity.timeline)
        rest.put(identity.start.rawValue)
        rest.put(precedingEnd.rawValue)
        rest.put(UInt32(segment))
        rest.put(identity.database)
        rest.put(identity.slot)
        var all = ByteWriter(bytes: Self.magic)
        all.put(Self.version)
        all.put(UInt32(rest.bytes.count + 4))
        all.bytes += rest.bytes
        all.put(checksum(all.bytes))
        return all.bytes
    }

    /// - Returns: the header and its size in bytes.
    static func read(_ file: any JournalFile, path: String) throws(JournalError) -> (SegmentHeader, size: Int) {
        let fixed = try file.read(at: 0, count: fixedSize)
        guard fixed.count == fixedSize, fixed.starts(with: magic) else {
            throw .broken("\(path) is not a segment of a journal")
        }
        var numbers = ByteReader(fixed[8...])
        guard let version: UInt32 = try? numbers.get(), version == Self.version else {
            throw .broken("\(path) has another version than \(Self.version), the one this program knows")
        }
        guard let length: UInt32 = try? numbers.get(), length >= 4, length <= restLimit else {
            throw .broken("\(path) has a damaged header")
        }
        let rest = try file.read(at: fixedSize, count: Int(length))
        do throws(MalformedBytes) {
            return (try decode(rest, checksum: checksum(fixed + rest.dropLast(4))), fixedSize + Int(length))
        } catch {
            throw .broken("\(path) has a damaged header")
        }
    }

    private static func decode(_ rest: [UInt8], checksum: UInt32) throws(MalformedBytes) -> SegmentHeader {
        var reader = ByteReader(rest[...])
        let systemIdentifier: UInt64 = try reader.get()
        let timeline: UInt32 = try reader.get()
        let start: UInt64 = try reader.get()
        let precedingEnd: UInt64 = try reader.get()
        let segment: UInt32 = try reader.get()
        let database = try reader.getString()
        let slot = try reader.getString()
        guard try reader.get() == checksum, reader.isAtEnd else { throw MalformedBytes() }
        return SegmentHeader(
            identity: JournalIdentity(
                systemIdentifier: systemIdentifier, timeline: timeline, database: database, slot: slot,
                start: LogSequenceNumber(rawValue: start)),
            segment: Int(segment), precedingEnd: LogSequenceNumber(rawValue: precedingEnd))
    }
}
