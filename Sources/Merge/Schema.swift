// What the merge has to know of the tables: keys, unique indexes and foreign keys as positions of columns.

/// A unique index or constraint. Partitions of one root share the id of the root's index.
package struct UniqueID: RawRepresentable, Hashable, Comparable, Sendable, Codable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static func < (left: UniqueID, right: UniqueID) -> Bool { left.rawValue < right.rawValue }
}

/// A foreign key constraint. Partitions of one root share the id of the root's constraint.
package struct ForeignKeyID: RawRepresentable, Hashable, Comparable, Sendable, Codable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static func < (left: ForeignKeyID, right: ForeignKeyID) -> Bool { left.rawValue < right.rawValue }
}

/// Whether values of a column can be added exactly, in text form.
package enum Addition: Hashable, Sendable {
    /// Text, floating point, money and everything else: `add` is refused.
    case impossible
    /// smallint, integer, bigint: 16, 32 or 64 bits.
    case integer(bits: Int)
    /// numeric; `integerDigits` is precision minus scale, nil without a type modifier.
    case decimal(integerDigits: Int?)
}

package struct UniqueIndex: Hashable, Sendable {
    package enum Entries: Hashable, Sendable {
        /// The columns' values. With NULLS DISTINCT a row with a NULL among them conflicts with no other.
        case values(nullsAreDistinct: Bool)
        /// Expressions or a predicate: the clone says what a row's entry is, see ``Judgement``.
        case computed
    }

    package var id: UniqueID
    /// Of a computed index every column that an expression or the predicate mentions.
    package var columns: [Int]
    package var entries: Entries

    package init(id: UniqueID, columns: [Int], entries: Entries = .values(nullsAreDistinct: true)) {
        self.id = id
        self.columns = columns
        self.entries = entries
    }
}

/// What the database does to children whose parent goes or gets other values.
package enum ReferentialAction: Hashable, Sendable {
    /// NO ACTION and RESTRICT.
    case refuse
    case cascade
    /// SET NULL and SET DEFAULT: column and the value it gets.
    case assign([Int: Value])
}

package struct ForeignKey: Hashable, Sendable {
    package var id: ForeignKeyID
    /// In the order of the referenced index's columns. A NULL among the values refers to nothing.
    package var columns: [Int]
    package var references: UniqueID
    package var onDelete: ReferentialAction
    package var onUpdate: ReferentialAction

    package init(
        id: ForeignKeyID, columns: [Int], references: UniqueID, onDelete: ReferentialAction = .refuse,
        onUpdate: ReferentialAction = .refuse
    ) {
        self.id = id
        self.columns = columns
        self.references = references
        self.onDelete = onDelete
        self.onUpdate = onUpdate
    }

    /// The values of SET NULL on all columns.
    package static func nulls(_ columns: [Int]) -> ReferentialAction {
        .assign(Dictionary(uniqueKeysWithValues: columns.map { ($0, .null) }))
    }
}

package struct TableSchema: Hashable, Sendable {
    package struct Column: Hashable, Sendable {
        package var name: String
        package var addition: Addition

        package init(name: String, addition: Addition = .impossible) {
            self.name = name
            self.addition = addition
        }
    }

    package var id: TableID
    /// For people: `public.orders`.
    package var name: String
    /// Columns that are written; generated ones are left out.
    package var columns: [Column]
    /// Of the replica identity, or of the primary key under FULL; empty when equal rows cannot be told apart.
    package var key: [Int]
    /// The topmost partitioned table, for a partition.
    package var root: TableID?
    /// One over the key's columns names them in the key's order.
    package var uniques: [UniqueIndex]
    package var foreignKeys: [ForeignKey]
    /// CHECK constraints, NOT NULL or domains whose conditions name more than one column, or columns with the rule `add`.
    package var hasChecks: Bool
    /// Every column that an EXCLUDE constraint mentions: a row that gets other values there is deleted and inserted.
    package var excluded: [Int]

    package init(
        id: TableID, name: String, columns: [Column], key: [Int], root: TableID? = nil, uniques: [UniqueIndex] = [],
        foreignKeys: [ForeignKey] = [], hasChecks: Bool = false, excluded: [Int] = []
    ) {
        self.id = id
        self.name = name
        self.columns = columns
        self.key = key
        self.root = root
        self.uniques = uniques
        self.foreignKeys = foreignKeys
        self.hasChecks = hasChecks
        self.excluded = excluded
    }
}

/// A description of tables that cannot be.
package enum SchemaError: Error, Hashable, Sendable {
    case tableTwice(name: String)
    case noSuchColumn(table: String, position: Int)
    /// The index over the key's columns has them in another order.
    case keyIndexOrder(table: String)
    case noSuchIndex(table: String, UniqueID)
    /// A foreign key has another number of columns than the index it refers to.
    case columnCount(table: String, ForeignKeyID)
    /// PostgreSQL has no foreign keys to expressions and partial indexes.
    case referencesComputed(table: String, ForeignKeyID)
    /// Equal rows of a table without a key cannot be told apart, so nothing can refer to one of them.
    case referencesKeyless(table: String, ForeignKeyID)
}
