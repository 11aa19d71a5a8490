// What the merge asks of the clone. It never reads by itself: it says what it needs, the caller fetches all of it at once
// and asks again with the answers added. All answers are of one state of the clone, the one before the batch.

/// Values of a unique index's entry.
package struct UniqueEntry: Hashable, Comparable, Sendable {
    package let unique: UniqueID
    package let values: [Value]

    package init(unique: UniqueID, values: [Value]) {
        self.unique = unique
        self.values = values
    }

    package static func < (left: UniqueEntry, right: UniqueEntry) -> Bool {
        left.unique == right.unique
            ? left.values.lexicographicallyPrecedes(right.values) : left.unique < right.unique
    }
}

/// Values of a foreign key's columns, none of them NULL.
package struct ReferenceEntry: Hashable, Sendable {
    package let foreignKey: ForeignKeyID
    package let values: [Value]

    package init(foreignKey: ForeignKeyID, values: [Value]) {
        self.foreignKey = foreignKey
        self.values = values
    }
}

/// A row that need not be in the database.
package struct RowImage: Hashable, Sendable {
    package let table: TableID
    package let row: Row

    package init(table: TableID, row: Row) {
        self.table = table
        self.row = row
    }
}

package enum Lookup: Hashable, Sendable {
    /// The row with this key.
    case row(RowID)
    /// How many copies of a row a table without a key has; compared as text, NULL equal to NULL.
    case copies(RowID)
    /// The rows with this entry in a unique index.
    case holders(UniqueEntry)
    /// The rows that refer with a foreign key to these values, in all partitions.
    case children(ReferenceEntry)
    /// What the clone's constraints say of a row.
    case judgement(RowImage)
    /// What the report's own table says about a row.
    case findings(RowID)
}

/// A row of the clone.
package struct CloneRow: Hashable, Sendable {
    package var id: RowID
    package var row: Row
    /// More than one only in tables without a key.
    package var copies: Int

    package init(id: RowID, row: Row, copies: Int = 1) {
        self.id = id
        self.row = row
        self.copies = copies
    }
}

/// What the clone's constraints say of one row by itself.
package struct Judgement: Hashable, Sendable {
    /// Every CHECK and NOT NULL is satisfied.
    package var isValid: Bool
    /// Its entries in computed unique indexes; an index whose predicate leaves the row out, or with a NULL among distinct
    /// ones, is missing.
    package var entries: [UniqueID: [Value]]

    package init(isValid: Bool, entries: [UniqueID: [Value]] = [:]) {
        self.isValid = isValid
        self.entries = entries
    }
}

/// What was found so far. A lookup that found nothing has an empty answer, not none.
package struct Answers: Sendable {
    private(set) var rows: [RowID: Row?] = [:]
    private(set) var copies: [RowID: Int] = [:]
    private(set) var holders: [UniqueEntry: [CloneRow]] = [:]
    private(set) var children: [ReferenceEntry: [CloneRow]] = [:]
    private(set) var judgements: [RowImage: Judgement] = [:]
    private(set) var findings: [RowID: [Finding]] = [:]

    package init() {}

    /// - Parameter row: nil when the clone has no row with this key.
    package mutating func add(_ row: Row?, for id: RowID) { rows[id] = .some(row) }
    package mutating func add(copies count: Int, for id: RowID) { copies[id] = count }
    package mutating func add(holders found: [CloneRow], for entry: UniqueEntry) {
        holders[entry] = found
        remember(found)
    }
    package mutating func add(children found: [CloneRow], for entry: ReferenceEntry) {
        children[entry] = found
        remember(found)
    }
    package mutating func add(_ judgement: Judgement, for image: RowImage) { judgements[image] = judgement }
    package mutating func add(findings found: [Finding], for id: RowID) { findings[id] = found }

    private mutating func remember(_ found: [CloneRow]) {
        for each in found {
            rows[each.id] = .some(each.row)
            copies[each.id] = each.copies
        }
    }
}

/// Either what must be looked up first, or the result.
package enum Progress<Result: Sendable>: Sendable {
    /// Everything that can be told to be missing by now; some of it may turn out not to matter.
    case needs(Set<Lookup>)
    case done(Result)
}
