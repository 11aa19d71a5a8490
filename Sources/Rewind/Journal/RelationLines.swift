// Tables in the export of a recording: a line before the first change of each, and another when it looks different.

import Postgres

struct RelationLines {
    struct Line: Encodable, Hashable {
        struct Column: Encodable, Hashable {
            var name: String
            var typeOID: UInt32
            var typeModifier: Int32
            /// Of PostgreSQL's own types; nil for others.
            var type: String?
            /// Part of the replica identity.
            var isIdentity: Bool

            enum CodingKeys: String, CodingKey {
                case name, type
                case typeOID = "type_oid"
                case typeModifier = "type_modifier"
                case isIdentity = "identity"
            }
        }

        var operation = "relation"
        var schema: String
        var table: String
        /// In the recorded database.
        var oid: UInt32
        var replicaIdentity: String
        var columns: [Column]

        enum CodingKeys: String, CodingKey {
            case operation, schema, table, oid, columns
            case replicaIdentity = "replica_identity"
        }
    }

    private var known: [UInt32: RelationDefinition] = [:]

    mutating func news(in transaction: RecordedTransaction) -> [Line] {
        var lines: [Line] = []
        for change in transaction.changes {
            let relations: [RelationDefinition] =
                switch change {
                case .insert(let relation, _), .update(let relation, _, _), .delete(let relation, _): [relation]
                case .truncate(let relations, _, _): relations
                }
            for relation in relations where known[relation.oid] != relation {
                known[relation.oid] = relation
                lines.append(Line(relation))
            }
        }
        return lines
    }
}

extension RelationLines.Line {
    fileprivate init(_ relation: RelationDefinition) {
        let identity =
            switch relation.replicaIdentity {
            case .primaryKey: "default"
            case .nothing: "nothing"
            case .full: "full"
            case .index: "index"
            }
        self.init(
            schema: relation.schema, table: relation.table, oid: relation.oid, replicaIdentity: identity,
            columns: relation.columns.map {
                Column(
                    name: $0.name, typeOID: $0.typeOID, typeModifier: $0.typeModifier, type: typeNames[$0.typeOID],
                    isIdentity: $0.isKey)
            })
    }
}

/// PostgreSQL: src/include/catalog/pg_type.dat, whose oids never change.
private let typeNames: [UInt32: String] = [
    16: "boolean", 17: "bytea", 18: "\"char\"", 19: "name", 20: "bigint", 21: "smallint", 23: "integer", 25: "text",
    26: "oid", 114: "json", 142: "xml", 700: "real", 701: "double precision", 790: "money", 829: "macaddr",
    869: "inet", 650: "cidr", 1000: "boolean[]", 1005: "smallint[]", 1007: "integer[]", 1009: "text[]",
    1015: "character varying[]", 1016: "bigint[]", 1042: "character", 1043: "character varying", 1082: "date",
    1083: "time without time zone", 1114: "timestamp without time zone", 1184: "timestamp with time zone",
    1186: "interval", 1231: "numeric[]", 1266: "time with time zone", 1560: "bit", 1562: "bit varying",
    1700: "numeric", 2950: "uuid", 2951: "uuid[]", 3614: "tsvector", 3615: "tsquery", 3802: "jsonb",
    3904: "int4range", 3906: "numrange", 3908: "tsrange", 3910: "tstzrange", 3912: "daterange", 3926: "int8range",
    4072: "jsonpath",
]
