// Tables by name, which is the same in the recorded and in the restored database; oids are not.

import Postgres

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
