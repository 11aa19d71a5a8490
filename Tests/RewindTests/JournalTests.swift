// Goal: the journal gives back what was put in or says that it cannot, whatever happens to its bytes. Method: journals in
// memory, cut at every byte, flipped at every bit, and written to a storage whose Nth operation fails.

import CPosix
import Postgres
import Releases
import Synchronization
import SystemPackage
import Testing

@testable import Rewind

@Suite struct JournalTests {
    /// Transactions one batch each, so that each is durable before the next is written.
    private func journal(
        _ transactions: [RecordedTransaction], segmentBytes: Int = 1 << 20
    ) throws -> MemoryStorage {
        let storage = MemoryStorage()
        var writer = try JournalWriter.create(storage, Sample.identity, segmentBytes: segmentBytes)
        for transaction in transactions {
            try writer.append(transaction)
            try writer.synchronize()
        }
        return storage
    }

    /// - Returns: nil when the journal says that it is damaged.
    private func readable(_ storage: MemoryStorage) -> ([RecordedTransaction], end: LogSequenceNumber)? {
        guard var reader = try? JournalReader(storage), let all = try? reader.all() else { return nil }
        return (all, reader.lsn)
    }

    @Test func `what is written is read back, in order, with everything`() throws {
        let transactions = Sample.transactions(20)
        var reader = try JournalReader(try journal(transactions))
        #expect(try reader.all() == transactions)
        #expect(reader.identity == Sample.identity)
        #expect(reader.lsn == transactions.last!.endLSN)
    }

    @Test func `a full segment is followed by another, and a relation is defined again in it`() throws {
        let transactions = Sample.transactions(40)
        let storage = try journal(transactions, segmentBytes: 600)
        #expect(storage.segments().count > 3)
        var reader = try JournalReader(storage)
        #expect(try reader.all() == transactions)
        let writer = try JournalWriter.open(storage, expecting: Sample.identity)
        #expect(writer.durable.lsn == transactions.last!.endLSN)
        #expect(writer.durable.tally.stableTransactions + writer.durable.tally.canaryTransactions == 40)
        #expect(
            writer.durable.tally.canaryRows == transactions.filter { $0.origin == .canary }.map(\.rowCount).reduce(0, +)
        )
        #expect(writer.durable.tally.bytes == storage.bytes.values.reduce(0) { $0 + Int64($1.count) })
    }

    @Test func `tables on the real disk survive a closed and opened journal`() throws {
        let folder = try TemporaryFolder()
        let transactions = Sample.transactions(12)
        do {
            var writer = try JournalWriter.create(
                FolderStorage(folder.path.appending("a").appending("journal")), Sample.identity, segmentBytes: 500)
            for transaction in transactions.prefix(7) { try writer.append(transaction) }
            try writer.synchronize()
        }
        do {
            var writer = try JournalWriter.open(
                FolderStorage(folder.path.appending("a").appending("journal")), expecting: Sample.identity)
            for transaction in transactions { try writer.append(transaction) }
            try writer.synchronize()
        }
        var reader = try JournalReader(folder: folder.path.appending("a").appending("journal"))
        #expect(try reader.all() == transactions)
    }

    @Test func `two writers cannot have one journal`() throws {
        let folder = try TemporaryFolder()
        let first = try JournalWriter.create(FolderStorage(folder.path), Sample.identity)
        #expect(throws: JournalError.self) { _ = try JournalWriter.open(FolderStorage(folder.path)) }
        #expect(first.durable.lsn == Sample.identity.start)
    }

    @Test func `a commit that comes again is dropped`() throws {
        let transactions = Sample.transactions(6)
        let storage = try journal(transactions)
        var writer = try JournalWriter.open(storage, expecting: Sample.identity)
        for transaction in transactions { #expect(try writer.append(transaction) == false) }
        let next = Sample.transactions(7)[6]
        #expect(try writer.append(next))
        try writer.synchronize()
        var reader = try JournalReader(storage)
        #expect(try reader.all() == transactions + [next])
    }

    @Test func `a transaction that begins where the last one ended is not a duplicate`() throws {
        let storage = MemoryStorage()
        var writer = try JournalWriter.create(storage, Sample.identity)
        var transaction = Sample.transactions(1)[0]
        transaction.commitLSN = Sample.identity.start
        #expect(try writer.append(transaction))
        transaction.commitLSN = transaction.endLSN
        transaction.endLSN = LogSequenceNumber(rawValue: transaction.endLSN.rawValue + 8)
        #expect(try writer.append(transaction))
    }

    @Test func `a journal cut at any byte ends at the last whole transaction`() throws {
        let transactions = Sample.transactions(7)
        let whole = try journal(transactions).bytes[1]!
        let header = try SegmentHeader.read(MemoryStorage([1: whole]).open(1), path: "").size
        for size in 0..<whole.count {
            let storage = MemoryStorage([1: Array(whole.prefix(size))])
            guard size >= header else {
                #expect(throws: JournalError.self) { _ = try JournalReader(storage) }
                continue
            }
            var reader = try JournalReader(storage)
            let kept = try reader.all()
            #expect(kept == Array(transactions.prefix(kept.count)))
            var writer = try JournalWriter.open(storage, expecting: Sample.identity)
            #expect(writer.durable.lsn == kept.last?.endLSN ?? Sample.identity.start)
            // The rest comes again from the server and fits on.
            for transaction in transactions { try writer.append(transaction) }
            try writer.synchronize()
            var again = try JournalReader(storage)
            #expect(try again.all() == transactions)
        }
    }

    @Test func `a flipped bit is found: as damage, or as an end that is too early`() throws {
        let transactions = Sample.transactions(5)
        let whole = try journal(transactions).bytes[1]!
        var broken = 0
        for position in whole.indices {
            for mask: UInt8 in [0x01, 0x80, 0xFF] {
                var bytes = whole
                bytes[position] ^= mask
                guard let (kept, end) = readable(MemoryStorage([1: bytes])) else {
                    broken += 1
                    continue
                }
                // Only the last transaction can be taken for a torn tail: later ones prove that it was durable.
                #expect(kept == Array(transactions.prefix(4)), "\(mask) over byte \(position)")
                #expect(end < transactions.last!.endLSN)
            }
        }
        #expect(broken > whole.count * 3 / 2)
    }

    @Test func `damage in a segment that is followed by another is never a torn tail`() throws {
        let transactions = Sample.transactions(30)
        let storage = try journal(transactions, segmentBytes: 700)
        let first = storage.bytes[1]!
        for position in stride(from: 0, to: first.count, by: 3) {
            var segments = storage.bytes
            segments[1]![position] ^= 0x10
            let damaged = MemoryStorage(segments)
            #expect(throws: JournalError.self, "byte \(position)") {
                var reader = try JournalReader(damaged)
                _ = try reader.all()
            }
            #expect(throws: JournalError.self) { _ = try JournalWriter.open(damaged) }
        }
        for size in stride(from: 0, to: first.count, by: 5) {
            var segments = storage.bytes
            segments[1] = Array(first.prefix(size))
            #expect(throws: JournalError.self, "\(size) bytes") { _ = try JournalWriter.open(MemoryStorage(segments)) }
        }
        var without = storage.bytes
        without[2] = nil
        #expect(throws: JournalError.self) { _ = try JournalWriter.open(MemoryStorage(without)) }
        without[1] = nil
        #expect(throws: JournalError.self) { _ = try JournalWriter.open(MemoryStorage(without)) }
    }

    @Test func `a batch that a crash tore in the middle is cut, though its end reached the disk`() throws {
        let transactions = Sample.transactions(6)
        let storage = MemoryStorage()
        var writer = try JournalWriter.create(storage, Sample.identity)
        try writer.append(transactions[0])
        try writer.synchronize()
        let durable = storage.bytes[1]!.count
        for transaction in transactions.dropFirst() { try writer.append(transaction) }
        try writer.synchronize()
        var torn = storage.bytes[1]!
        for position in durable..<durable + 40 { torn[position] = 0 }
        let reopened = try JournalWriter.open(MemoryStorage([1: torn]))
        #expect(reopened.durable.lsn == transactions[0].endLSN)
    }

    @Test func `another server's, timeline's or slot's journal is refused`() throws {
        let storage = try journal(Sample.transactions(1))
        for change: (inout JournalIdentity) -> Void in [
            { $0.systemIdentifier += 1 }, { $0.timeline += 1 }, { $0.slot += "x" }, { $0.database = "other" },
            { $0.start = LogSequenceNumber(rawValue: 1) },
        ] {
            var other = Sample.identity
            change(&other)
            #expect(throws: JournalError.self) { _ = try JournalWriter.open(storage, expecting: other) }
        }
    }

    @Test func `whichever operation fails, nothing durable is lost and the rest can be sent again`() throws {
        let transactions = Sample.transactions(14)
        /// Writes all, going back to the durable end after each error as the recorder does.
        func write(_ storage: MemoryStorage) throws -> (writer: JournalWriter, failures: Int) {
            var writer = try JournalWriter.create(storage, Sample.identity, segmentBytes: 500)
            var failures = 0
            while writer.durable.lsn < transactions.last!.endLSN {
                do throws(JournalError) {
                    try writer.forgetUndurable()
                    for (number, transaction) in transactions.enumerated() {
                        try writer.append(transaction)
                        if number % 3 == 2 {
                            let before = writer.durable.lsn
                            try writer.synchronize()
                            #expect(writer.durable.lsn >= before)
                        }
                    }
                    try writer.synchronize()
                } catch {
                    failures += 1
                    // A crash now leaves at least what was called durable.
                    let survived = try JournalWriter.open(MemoryStorage(storage.contents.withLock { $0.durable }))
                    #expect(survived.durable.lsn >= writer.durable.lsn)
                    try #require(failures < 20)
                }
            }
            return (writer, failures)
        }
        let calm = MemoryStorage()
        _ = try write(calm)
        // The first creates the journal itself.
        for operation in 2...calm.operations {
            for width in [0, 4] {
                let storage = MemoryStorage()
                storage.fail(operation...operation + width)
                #expect(try write(storage).failures > 0)
                var reader = try JournalReader(storage)
                #expect(try reader.all() == transactions, "operation \(operation) and \(width) after it")
            }
        }
    }

    @Test func `a reader stops at its limit and goes on from there`() async throws {
        let transactions = Sample.transactions(5)
        let storage = MemoryStorage()
        var writer = try JournalWriter.create(storage, Sample.identity)
        for transaction in transactions.prefix(3) { try writer.append(transaction) }
        writer.advance(to: LogSequenceNumber(rawValue: 1_300))
        for transaction in transactions.dropFirst(3) { try writer.append(transaction) }
        try writer.synchronize()
        var reader = try JournalReader(storage)
        var seen: [RecordedTransaction] = []
        // Inside the second transaction: it ends after the limit and waits.
        try await reader.forEachTransaction(upTo: LogSequenceNumber(rawValue: 1_150)) { seen.append($0) }
        #expect(seen == Array(transactions.prefix(1)))
        #expect(reader.lsn.rawValue == 1_150)
        try await reader.forEachTransaction(upTo: LogSequenceNumber(rawValue: 1_300)) { seen.append($0) }
        #expect(seen == Array(transactions.prefix(3)))
        try await reader.forEachTransaction(upTo: transactions[4].endLSN) { seen.append($0) }
        #expect(seen == transactions)
        await #expect(throws: JournalError.endsBefore(wanted: "0/FFFF", end: "0/5D2")) {
            try await reader.forEachTransaction(upTo: LogSequenceNumber(rawValue: 0xFFFF)) { _ in }
        }
    }

    @Test func `a reader follows a journal that grows, over segments and replaced tails`() throws {
        let transactions = Sample.transactions(30)
        let storage = MemoryStorage()
        var writer = try JournalWriter.create(storage, Sample.identity, segmentBytes: 700)
        var reader = try JournalReader(storage)
        var seen: [RecordedTransaction] = []
        for (number, transaction) in transactions.enumerated() {
            // Half a transaction in the file, then given up, as after a lost connection.
            if number % 4 == 1 {
                _ = try writer.begin(
                    xid: 1, commitLSN: transaction.commitLSN, committedAt: transaction.committedAt)
                try writer.append(.insert(Sample.lines, new: [.null]))
                try writer.forgetUndurable()
            }
            try writer.append(transaction)
            try writer.synchronize()
            reader.forgetReadAhead()
            while let next = try reader.next(upTo: writer.durable.lsn) { seen.append(next) }
            #expect(seen.count == number + 1)
        }
        #expect(seen == transactions)
    }

    @Test func `a transaction larger than every buffer is kept whole and cut whole`() throws {
        let storage = MemoryStorage()
        var writer = try JournalWriter.create(storage, Sample.identity)
        var big = Sample.transactions(1)[0]
        let value = TupleValue.text([UInt8](repeating: 65, count: 300_000))
        big.changes = (0..<12).map { _ in .insert(Sample.orders, new: [value, .null]) }
        try writer.append(big)
        try writer.synchronize()
        var reader = try JournalReader(storage)
        #expect(try reader.all() == [big])
        let torn = MemoryStorage([1: storage.bytes[1]!.dropLast(1)])
        #expect(try JournalWriter.open(torn).durable.lsn == Sample.identity.start)
    }
}

extension RecordedTransaction {
    fileprivate var rowCount: Int {
        changes.reduce(0) { count, change in
            if case .truncate = change { return count }
            return count + 1
        }
    }
}
