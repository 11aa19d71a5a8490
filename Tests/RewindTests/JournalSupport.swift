// A journal in memory whose Nth write fails, and small transactions to put into one.

import Postgres
import Releases
import Synchronization

@testable import Rewind

/// Segments as byte arrays. Faults are counted over every write, truncation, creation and synchronization.
final class MemoryStorage: JournalStorage {
    struct Contents: Sendable {
        var segments: [Int: [UInt8]] = [:]
        /// As it was at the last successful synchronization: what a crash leaves at least.
        var durable: [Int: [UInt8]] = [:]
        var operations = 0
        /// These fail; a write then leaves half of its bytes.
        var failing: ClosedRange<Int>?
    }

    let contents: Mutex<Contents>

    init(_ segments: [Int: [UInt8]] = [:]) {
        contents = Mutex(Contents(segments: segments, durable: segments))
    }

    var bytes: [Int: [UInt8]] { contents.withLock { $0.segments } }
    var operations: Int { contents.withLock { $0.operations } }

    func fail(_ operations: ClosedRange<Int>) { contents.withLock { $0.failing = operations } }

    func segments() -> [Int] { contents.withLock { $0.segments.keys.sorted() } }
    func path(_ segment: Int) -> String { "segment \(segment)" }
    func lock() -> any Sendable { 0 }

    func open(_ segment: Int) throws(JournalError) -> any JournalFile {
        guard bytes[segment] != nil else { throw .storage(operation: "open", path: path(segment), code: 2) }
        return MemoryFile(self, segment)
    }

    func create(_ segment: Int, _ bytes: [UInt8]) throws(JournalError) -> any JournalFile {
        try mayFail(segment)
        contents.withLock { contents in
            contents.segments[segment] = bytes
            contents.durable[segment] = bytes
        }
        return MemoryFile(self, segment)
    }

    func mayFail(_ segment: Int) throws(JournalError) {
        let isFailing = contents.withLock { contents in
            contents.operations += 1
            return contents.failing?.contains(contents.operations) ?? false
        }
        if isFailing { throw .storage(operation: "write", path: path(segment), code: 28) }
    }
}

private final class MemoryFile: JournalFile {
    private let storage: MemoryStorage
    private let segment: Int

    init(_ storage: MemoryStorage, _ segment: Int) {
        self.storage = storage
        self.segment = segment
    }

    func size() -> Int { storage.bytes[segment]!.count }

    func read(at offset: Int, count: Int) -> [UInt8] {
        storage.contents.withLock { contents in
            let bytes = contents.segments[segment]!
            guard offset < bytes.count else { return [] }
            return Array(bytes[offset..<min(bytes.count, offset + count)])
        }
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(JournalError) {
        do throws(JournalError) {
            try storage.mayFail(segment)
        } catch {
            put(bytes.prefix(bytes.count / 2), at: offset)
            throw error
        }
        put(bytes[...], at: offset)
    }

    private func put(_ bytes: ArraySlice<UInt8>, at offset: Int) {
        storage.contents.withLock { contents in
            var all = contents.segments[segment]!
            all += [UInt8](repeating: 0, count: max(0, offset + bytes.count - all.count))
            all.replaceSubrange(offset..<offset + bytes.count, with: bytes)
            contents.segments[segment] = all
        }
    }

    func truncate(to size: Int) throws(JournalError) {
        try storage.mayFail(segment)
        storage.contents.withLock { contents in
            contents.segments[segment] = Array(contents.segments[segment]!.prefix(size))
        }
    }

    func synchronize() throws(JournalError) {
        try storage.mayFail(segment)
        storage.contents.withLock { $0.durable[segment] = $0.segments[segment] }
    }
}

enum Sample {
    static let identity = JournalIdentity(
        systemIdentifier: 7_000_000_000_000_000_001, timeline: 3, database: "shop", slot: "perch_shop_1",
        start: LogSequenceNumber(rawValue: 1_000))

    static let orders = RelationDefinition(
        oid: 16_400, schema: "public", table: "orders", replicaIdentity: .primaryKey,
        columns: [
            .init(name: "id", typeOID: 20, typeModifier: -1, isKey: true),
            .init(name: "größe", typeOID: 25, typeModifier: -1, isKey: false),
        ])
    static let lines = RelationDefinition(
        oid: 16_500, schema: "s \"x\"", table: "lines", replicaIdentity: .full,
        columns: [.init(name: "n", typeOID: 23, typeModifier: 8, isKey: true)])

    /// One of every kind of change, over `count` transactions of 100 positions each.
    static func transactions(_ count: Int) -> [RecordedTransaction] {
        (0..<count).map { number in
            let begin = UInt64(1_000 + number * 100)
            let id = TupleValue.text(Array("\(number)".utf8))
            let changes: [[RecordedChange]] = [
                [.insert(orders, new: [id, .text(Array("klein".utf8))])],
                [
                    .update(orders, old: nil, new: [id, .unchangedToast]),
                    .update(orders, old: OldTuple(kind: .key, values: [id, .null]), new: [id, .null]),
                ],
                [
                    .delete(lines, old: OldTuple(kind: .full, values: [id])),
                    .truncate([orders, lines], cascade: true, restartIdentity: number.isMultiple(of: 2)),
                ],
            ]
            return RecordedTransaction(
                xid: UInt32(700 + number), commitLSN: LogSequenceNumber(rawValue: begin + 10),
                endLSN: LogSequenceNumber(rawValue: begin + 90),
                committedAt: PostgresTimestamp(microsecondsSince2000: Int64(number) * 1_000),
                origin: number.isMultiple(of: 4) ? .canary : .stable, changes: changes[number % 3],
                schemaCommands: number % 5 == 3 ? ["alter table orders add note text"] : [])
        }
    }
}

extension JournalWriter {
    /// - Returns: false when the journal has it already.
    @discardableResult
    mutating func append(_ transaction: RecordedTransaction) throws(JournalError) -> Bool {
        guard
            try begin(
                xid: transaction.xid, commitLSN: transaction.commitLSN, committedAt: transaction.committedAt)
        else { return false }
        for command in transaction.schemaCommands { try append(schemaCommand: command) }
        for change in transaction.changes { try append(change) }
        try commit(endLSN: transaction.endLSN, origin: transaction.origin)
        return true
    }
}

extension JournalReader {
    mutating func all() throws(JournalError) -> [RecordedTransaction] {
        var found: [RecordedTransaction] = []
        while let transaction = try next() { found.append(transaction) }
        return found
    }
}
