// What the journal holds: transactions as they committed, with the columns they wrote.

package import Postgres

/// Whose a transaction is, as a whole. The numbers are those of the journal.
package enum RecordedOrigin: UInt8, Hashable, Sendable {
    case stable = 0
    /// One statement of the canary's role is enough.
    case canary = 1
    /// No session of either role wrote in it. Told only where the policy wants to know; else it is stable's.
    case neither = 2
    /// Perch's own: brings live back to the clone's rows.
    case heal = 3
}

/// One committed transaction, its changes in the order they were made.
package struct RecordedTransaction: Hashable, Sendable {
    package var xid: UInt32
    /// Where the commit record begins; orders transactions.
    package var commitLSN: LogSequenceNumber
    /// Where the commit record ends: a position that says "this transaction is included".
    package var endLSN: LogSequenceNumber
    package var committedAt: PostgresTimestamp
    package var origin: RecordedOrigin
    package var changes: [RecordedChange]
    /// Commands that changed the schema, as the session sent them; empty when none did.
    package var schemaCommands: [String]

    package init(
        xid: UInt32, commitLSN: LogSequenceNumber, endLSN: LogSequenceNumber, committedAt: PostgresTimestamp,
        origin: RecordedOrigin, changes: [RecordedChange], schemaCommands: [String] = []
    ) {
        self.xid = xid
        self.commitLSN = commitLSN
        self.endLSN = endLSN
        self.committedAt = committedAt
        self.origin = origin
        self.changes = changes
        self.schemaCommands = schemaCommands
    }
}

/// One row written, or tables emptied. Values are in the order of the relation's columns.
package enum RecordedChange: Hashable, Sendable {
    case insert(RelationDefinition, new: [TupleValue])
    /// `old` is there when the key changed, or always under REPLICA IDENTITY FULL.
    case update(RelationDefinition, old: OldTuple?, new: [TupleValue])
    case delete(RelationDefinition, old: OldTuple)
    /// The tables of one TRUNCATE, which must be emptied together.
    case truncate([RelationDefinition], cascade: Bool, restartIdentity: Bool)
}

/// A table as it was when the change was made.
package struct RelationDefinition: Hashable, Sendable {
    package struct Column: Hashable, Sendable {
        package var name: String
        package var typeOID: UInt32
        package var typeModifier: Int32
        /// Part of the replica identity.
        package var isKey: Bool

        package init(name: String, typeOID: UInt32, typeModifier: Int32, isKey: Bool) {
            self.name = name
            self.typeOID = typeOID
            self.typeModifier = typeModifier
            self.isKey = isKey
        }
    }

    /// `pg_class.relreplident`
    package enum ReplicaIdentity: UInt8, Hashable, Sendable {
        case primaryKey = 0x64  // d
        case nothing = 0x6E  // n
        case full = 0x66  // f
        case index = 0x69  // i
    }

    /// Of the recorded database; a restored one has other oids.
    package var oid: UInt32
    package var schema: String
    package var table: String
    package var replicaIdentity: ReplicaIdentity
    package var columns: [Column]

    package init(oid: UInt32, schema: String, table: String, replicaIdentity: ReplicaIdentity, columns: [Column]) {
        self.oid = oid
        self.schema = schema
        self.table = table
        self.replicaIdentity = replicaIdentity
        self.columns = columns
    }
}
