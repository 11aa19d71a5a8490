// Which row a recorded change is about.

import Postgres

/// A table's name, which is the same in the recorded and in the restored database; oids are not.
struct TableName: Hashable, Sendable, Comparable, CustomStringConvertible {
    var schema: String
    var table: String

    init(schema: String, table: String) {
        self.schema = schema
        self.table = table
    }

    init(_ relation: RelationDefinition) {
        self.init(schema: relation.schema, table: relation.table)
    }

    var description: String { "\(schema).\(table)" }
    var quoted: String { "\(quoteIdentifier(schema)).\(quoteIdentifier(table))" }

    static func < (left: TableName, right: TableName) -> Bool {
        (left.schema, left.table) < (right.schema, right.table)
    }
}

/// Values that identify a row: of its key columns, or of all its columns where the table has no key. In text form, so
/// values that are equal only by their type's rules (numeric 1.0 and 1.00) are two; the restored database then refuses
/// the second, which puts it in quarantine.
typealias RowKey = [TupleValue]

/// How the rows of a table are told apart.
enum RowIdentity: Hashable, Sendable {
    /// Positions of the key's columns in the relation.
    case key([Int])
    /// No key: equal rows cannot be told apart, only counted.
    case wholeRow
}

/// What the restored database knows about its tables that the stream does not say.
struct TableFacts: Hashable, Sendable {
    /// Columns of the primary key, or of the unique index that can serve as one; empty when there is none.
    var keyColumns: [String]
    /// The topmost partitioned table, for a partition.
    var root: TableName?

    init(keyColumns: [String], root: TableName? = nil) {
        self.keyColumns = keyColumns
        self.root = root
    }
}

extension RelationDefinition {
    /// The replica identity's columns. REPLICA IDENTITY FULL names them all; there the table's key decides, if it has one.
    func identity(_ facts: TableFacts?) -> RowIdentity {
        if replicaIdentity != .full {
            let positions = columns.indices.filter { columns[$0].isKey }
            return positions.isEmpty ? .wholeRow : .key(positions)
        }
        let names = facts?.keyColumns ?? []
        let positions = names.compactMap { name in columns.firstIndex { $0.name == name } }
        return positions.isEmpty || positions.count != names.count ? .wholeRow : .key(positions)
    }
}

extension RowIdentity {
    func key(of values: [TupleValue]) -> RowKey {
        switch self {
        case .key(let positions): positions.map { values[$0] }
        case .wholeRow: values
        }
    }
}

/// An UPDATE's new row with the unsent TOAST values that its old tuple carries filled in.
func filled(_ new: [TupleValue], from old: OldTuple?, _ relation: RelationDefinition) -> [TupleValue] {
    guard let old, new.contains(.unchangedToast) else { return new }
    return new.indices.map { position -> TupleValue in
        guard new[position] == .unchangedToast else { return new[position] }
        switch old.kind {
        case .full: return old.values[position]
        case .key: return relation.columns[position].isKey ? old.values[position] : .unchangedToast
        }
    }
}
