// What the output plugin pgoutput says, one value a message. Pure: no clock, no I/O, no Foundation.

/// A message of the logical replication stream (PostgreSQL: 55.9), protocol version 1.
package enum PgOutputMessage: Hashable, Sendable {
    /// The changes of one committed transaction follow, up to its commit. `finalLSN` is that of the commit record.
    case begin(finalLSN: LogSequenceNumber, commitTime: PostgresTimestamp, xid: UInt32)
    /// Everything of the transaction was sent. `endLSN`, the first byte after it, is what may be confirmed.
    case commit(flags: UInt8, commitLSN: LogSequenceNumber, endLSN: LogSequenceNumber, time: PostgresTimestamp)
    /// The transaction was itself replayed from another server.
    case origin(commitLSN: LogSequenceNumber, name: String)
    /// How the tuples of one table look from now on; sent before its first change, after a change of shape, and whenever
    /// the server has emptied its caches, also unchanged and in the middle of a transaction.
    case relation(Relation)
    /// A type that is not built in and that a column of the next relation has.
    case type(id: UInt32, namespace: String, name: String)
    case insert(relation: UInt32, new: [TupleValue])
    /// `old` is there when the key changed (`key`), or the table has replica identity full (`full`).
    case update(relation: UInt32, old: OldTuple?, new: [TupleValue])
    case delete(relation: UInt32, old: OldTuple)
    case truncate(relations: [UInt32], options: TruncateOptions)
    /// Written by `pg_logical_emit_message`. One that is not transactional comes at its own place, whatever transaction
    /// surrounds it and whether or not that one commits.
    case message(isTransactional: Bool, lsn: LogSequenceNumber, prefix: String, content: [UInt8])
}

/// A table as a relation message describes it.
package struct Relation: Hashable, Sendable, Codable {
    /// How an UPDATE's or DELETE's row is told from others: `pg_class.relreplident`.
    package enum ReplicaIdentity: UInt8, Hashable, Sendable, Codable {
        /// The primary key.
        case byDefault = 0x64
        case nothing = 0x6E
        case full = 0x66
        /// A unique index.
        case index = 0x69
    }

    package struct Column: Hashable, Sendable, Codable {
        /// Part of the replica identity. With `full`, every column is.
        package var isKey: Bool
        package var name: String
        /// `pg_attribute.atttypid`.
        package var typeID: UInt32
        /// `pg_attribute.atttypmod`; -1 without one.
        package var typeModifier: Int32

        package init(isKey: Bool, name: String, typeID: UInt32, typeModifier: Int32) {
            self.isKey = isKey
            self.name = name
            self.typeID = typeID
            self.typeModifier = typeModifier
        }
    }

    /// `pg_class.oid`.
    package var id: UInt32
    /// `pg_catalog` travels as the empty string.
    package var namespace: String
    package var name: String
    package var replicaIdentity: ReplicaIdentity
    package var columns: [Column]

    package init(
        id: UInt32, namespace: String, name: String, replicaIdentity: ReplicaIdentity, columns: [Column]
    ) {
        self.id = id
        self.namespace = namespace
        self.name = name
        self.replicaIdentity = replicaIdentity
        self.columns = columns
    }
}

/// One column's value in a tuple.
package enum TupleValue: Hashable, Sendable {
    case null
    /// Stored out of line and not touched by the UPDATE: the row still has it, the stream does not.
    case unchangedToast
    /// The type's text form, in the encoding that the session asked for.
    case text([UInt8])

    /// The text of a value that is UTF-8; nil for NULL, an unchanged value and other bytes.
    package var string: String? {
        guard case .text(let bytes) = self else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// What is known of a row before its UPDATE or DELETE. Has one value per column of the relation.
package struct OldTuple: Hashable, Sendable {
    package enum Kind: UInt8, Hashable, Sendable {
        /// Only columns of the replica identity have values; the others are `null` and mean nothing.
        case key = 0x4B
        /// The whole row: replica identity full.
        case full = 0x4F
    }

    package var kind: Kind
    package var values: [TupleValue]

    package init(kind: Kind, values: [TupleValue]) {
        self.kind = kind
        self.values = values
    }
}

package struct TruncateOptions: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let cascade = TruncateOptions(rawValue: 1)
    package static let restartIdentity = TruncateOptions(rawValue: 2)
}
