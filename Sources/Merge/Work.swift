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
    /// Who wrote live's row last.
    var xid: UInt32 = 0
    /// Number of the transaction that `cloneBefore` belongs to.
    var transaction = -1
    /// The clone's row before that transaction.
    var cloneBefore: Row?
    var isQueued = false

    /// - Parameter clone: as it was before the batch.
    init(live: Row?, clone: Row?, xid: UInt32 = 0) {
        self.live = live
        self.clone = clone
        before = clone
        self.xid = xid
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
}

struct TableWork: Sendable {
    var slots: [[Value]: Slot] = [:]
    /// Keys of `slots` in the order in which they came.
    var order: [[Value]] = []
    var copies: [Row: CopiesSlot] = [:]
    var copiesOrder: [Row] = []
    /// The clone's rows from before the batch are gone.
    var isCloneEmptied = false
    /// Live's rows from before the batch are gone.
    var isLiveEmptied = false
    /// The canary's transaction that emptied the table: rows without a slot or a taint are absent in live.
    var emptiedBy: UInt32?
}

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
}

/// Why a step cannot go on.
enum Halt: Error {
    case unanswered(Lookup)
    case broken(MergeError)
}
