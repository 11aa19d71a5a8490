// What a batch has changed so far, laid over ledger and clone. Nothing outside of it moves before the batch is committed.

/// A row as live and clone have it at this point of the batch.
///
///     live  clone              a stable UPDATE            a stable DELETE
///     nil   nil      absent    no such record             no such record
///     x     x        equal     whole row                  delete
///     x     y        modified  column by column           delete, unless spared
///     x     nil      live's    whole row, open            nothing left to do
///     nil   y        clone's   no such record             no such record
struct Slot: Sendable {
    /// Where both are equal, values may be `unchanged`: as in the clone's row before the batch.
    var live: Row?
    var clone: Row?
    /// The clone's row before the batch; of one that no question was asked about, nothing but that it was there.
    let before: Row?
    /// Who wrote live's row last; 0 when that is not known.
    var xid: UInt32
    /// Came from the ledger.
    let isKnown: Bool
    /// Where the table's work has it; nil when it has not.
    var place: Int?
    /// Number of the transaction that `cloneBefore` belongs to.
    var transaction = -1
    /// The clone's row before that transaction.
    var cloneBefore: Row?
    var isQueued = false

    /// - Parameter clone: as it was before the batch.
    init(live: Row?, clone: Row?, xid: UInt32 = 0, isKnown: Bool = false) {
        self.live = live
        self.clone = clone
        before = clone
        self.xid = xid
        self.isKnown = isKnown
    }

    var isTainted: Bool { live != clone }
}

/// Copies of a row of a table without a key.
struct CopiesSlot: Sendable {
    /// As in ``CopiesRecord``.
    var count: Int
    /// Copies that the batch gives to the clone, or takes from it.
    var cloneChange = 0
    var xid: UInt32 = 0
    var isQueued = false
    /// Where the table's work has it; nil when it has not.
    var place: Int?

    init(count: Int, xid: UInt32 = 0) {
        self.count = count
        self.xid = xid
    }
}

struct TableWork: Sendable {
    /// In the order in which they came.
    private(set) var slots: [(key: [Value], slot: Slot)] = []
    private var places: [[Value]: Int] = [:]
    /// Of a table without a key, in the order in which they came.
    private(set) var copies: [(row: Row, slot: CopiesSlot)] = []
    private var copiesPlaces: [Row: Int] = [:]
    /// The clone's rows from before the batch are gone.
    var isCloneEmptied = false
    /// Live's rows from before the batch are gone.
    var isLiveEmptied = false
    /// The canary's transaction that emptied the table: rows without a slot or a taint are absent in live.
    var emptiedBy: UInt32?

    /// - Parameter rows: how many are expected.
    init(emptiedBy: UInt32? = nil, rows: Int = 0, isKeyless: Bool = false) {
        self.emptiedBy = emptiedBy
        if isKeyless {
            copies.reserveCapacity(rows)
            copiesPlaces.reserveCapacity(rows)
        } else {
            slots.reserveCapacity(rows)
            places.reserveCapacity(rows)
        }
    }

    /// Rows of before the batch are in neither of the two.
    static var empty: TableWork {
        var work = TableWork()
        work.isCloneEmptied = true
        work.isLiveEmptied = true
        return work
    }

    subscript(key: [Value]) -> Slot? { places[key].map { slots[$0].slot } }

    /// - Returns: what was there before.
    mutating func set(_ key: [Value], _ slot: Slot) -> Slot? {
        let place = slot.place ?? found(&places[key, default: slots.count])
        if place < slots.count {
            let previous = slots[place].slot
            slots[place].slot = slot
            slots[place].slot.place = place
            return previous
        }
        slots.append((key, slot))
        slots[place].slot.place = place
        return nil
    }

    /// Takes back the last ``set(_:_:)``.
    mutating func restore(_ key: [Value], _ previous: Slot?) {
        if let previous {
            slots[places[key]!].slot = previous
        } else {
            slots.removeLast()
            places[key] = nil
        }
    }

    mutating func unqueue(_ key: [Value]) {
        if let place = places[key] { slots[place].slot.isQueued = false }
    }

    subscript(copies row: Row) -> CopiesSlot? { copiesPlaces[row].map { copies[$0].slot } }

    /// - Returns: what was there before.
    mutating func set(copies row: Row, _ slot: CopiesSlot) -> CopiesSlot? {
        let place = slot.place ?? found(&copiesPlaces[row, default: copies.count])
        if place < copies.count {
            let previous = copies[place].slot
            copies[place].slot = slot
            copies[place].slot.place = place
            return previous
        }
        copies.append((row, slot))
        copies[place].slot.place = place
        return nil
    }

    /// Takes back the last ``set(copies:_:)``.
    mutating func restore(copies row: Row, _ previous: CopiesSlot?) {
        if let previous {
            copies[copiesPlaces[row]!].slot = previous
        } else {
            copies.removeLast()
            copiesPlaces[row] = nil
        }
    }

    mutating func unqueue(copies row: Row) {
        if let place = copiesPlaces[row] { copies[place].slot.isQueued = false }
    }

    /// Live's rows are gone; what is left is whole.
    mutating func emptyLive(
        by xid: UInt32, whole: (Row, [Value]) throws(Halt) -> Row
    ) throws(Halt) {
        for place in slots.indices {
            if let clone = slots[place].slot.clone { slots[place].slot.clone = try whole(clone, slots[place].key) }
            slots[place].slot.live = nil
            slots[place].slot.xid = xid
        }
        for place in copies.indices { copies[place].slot.count = 0 }
        isLiveEmptied = true
        emptiedBy = xid
    }
}

/// Looks for a key and enters it where it is missing, in one go.
private func found(_ place: inout Int) -> Int { place }

/// What has to be judged at the commit.
enum Check: Hashable, Sendable {
    /// The clone's row was written: is it alone with its unique entries, are its parents there, is it valid?
    case row(RowID)
    case copies(RowID)
    /// A row of the clone gave up referenced values: is another there that has them, or nobody who refers to them?
    case lost(UniqueEntry)
}

/// Referenced values that stable's transaction took away in live, which makes live's foreign keys act on children.
struct Loss: Sendable {
    /// nil when the row was deleted.
    var movedTo: [Value]?
    /// A row of the clone keeps them, so nothing happens to its children there.
    var isSpared: Bool
}

enum Undo: Sendable {
    case slot(RowID, Slot?)
    case copies(RowID, CopiesSlot?)
    case table(TableID, TableWork?)
    case ghost(RowID, Ghost??)
}

/// The transaction that is being merged.
struct TransactionWork: Sendable {
    var xid: UInt32 = 0
    var commitLSN: UInt64 = 0
    /// Its changes reach the clone.
    var isStable = false
    /// Changes can be taken back: under `cascade`, until the commit is judged.
    var keepsUndo = false
    var findings = FindingList()
    var hasConflict = false
    var queue: [Check] = []
    var losses: [UniqueEntry: Loss] = [:]
    var hasSparedLoss = false
    var undo: [Undo] = []
}

/// Rows that had an entry at some point of the batch. Whoever looks here must see whether they still have it.
struct BatchIndex: Sendable {
    var cloneHolders: [UniqueEntry: Bucket] = [:]
    var liveHolders: [UniqueEntry: Bucket] = [:]
    var cloneChildren: [ReferenceEntry: Bucket] = [:]
    /// Rows with foreign keys that were written since `cloneChildren` was last asked, which is seldom.
    var newChildren: [RowID] = []
}

/// Why a step cannot go on.
enum Halt: Error {
    case unanswered(Lookup)
    case broken(MergeError)
}
