// A recorded change as a statement on the restored database. Values travel as text and get their types from the columns
// they meet, so types are found by name and not by an oid of another database. Pure: no clock, no I/O.

import Ports
import Postgres

/// One statement that writes at most one row, or empties tables.
struct ChangeStatement: Hashable, Sendable {
    var sql: String
    var parameters: [String?]
    /// Exactly one row must be written.
    var mustHit: Bool

    init(_ change: RecordedChange, mustHit: Bool, tables: RestoredTables) throws(Failure) {
        var builder = StatementBuilder()
        switch change {
        case .insert(let relation, let new):
            sql = try builder.insert(try tables.require(relation), relation, new)
            self.mustHit = mustHit
        case .update(let relation, let old, let sent):
            sql = try builder.update(try tables.require(relation), relation, old, filled(sent, from: old, relation))
            self.mustHit = mustHit
        case .delete(let relation, let old):
            sql = try builder.delete(try tables.require(relation), relation, old.values)
            self.mustHit = mustHit
        case .truncate(let relations, let cascade, let restartIdentity):
            var names: [String] = []
            for relation in relations { names.append("ONLY \(try tables.require(relation).name.quoted)") }
            sql =
                "TRUNCATE \(names.joined(separator: ", "))\(restartIdentity ? " RESTART IDENTITY" : "")"
                + (cascade ? " CASCADE" : "")
            self.mustHit = false
        }
        parameters = builder.parameters
    }
}

extension RestoredTables {
    func require(_ relation: RelationDefinition) throws(Failure) -> RestoredTable {
        let name = TableName(relation)
        guard let table = self[name] else {
            throw Failure(
                "table \(name) was recorded but is not in the snapshot",
                hint: "it was made after the snapshot; roll back with rollback.mode: keep and repair by hand")
        }
        return table
    }
}

private struct StatementBuilder {
    var parameters: [String?] = []

    mutating func insert(
        _ table: RestoredTable, _ relation: RelationDefinition, _ new: [TupleValue]
    ) throws(Failure) -> String {
        var names: [String] = []
        var values: [String] = []
        for (position, column) in written(table, relation) {
            names.append(quoteIdentifier(column))
            values.append(try parameter(new[position], table))
        }
        guard !names.isEmpty else { return "INSERT INTO \(table.name.quoted) DEFAULT VALUES" }
        return "INSERT INTO \(table.name.quoted) (\(names.joined(separator: ", "))) OVERRIDING SYSTEM VALUE "
            + "VALUES (\(values.joined(separator: ", ")))"
    }

    mutating func update(
        _ table: RestoredTable, _ relation: RelationDefinition, _ old: OldTuple?, _ new: [TupleValue]
    ) throws(Failure) -> String {
        var assignments: [String] = []
        for (position, column) in written(table, relation) where new[position] != .unchangedToast {
            assignments.append("\(quoteIdentifier(column)) = \(try parameter(new[position], table))")
        }
        let place = try condition(table, relation, old?.values ?? new)
        guard !assignments.isEmpty else { return "SELECT FROM ONLY \(table.name.quoted) WHERE \(place)" }
        return "UPDATE ONLY \(table.name.quoted) SET \(assignments.joined(separator: ", ")) WHERE \(place)"
    }

    mutating func delete(
        _ table: RestoredTable, _ relation: RelationDefinition, _ old: [TupleValue]
    ) throws(Failure) -> String {
        "DELETE FROM ONLY \(table.name.quoted) WHERE \(try condition(table, relation, old))"
    }

    /// Finds exactly one row, also among equal ones.
    private mutating func condition(
        _ table: RestoredTable, _ relation: RelationDefinition, _ values: [TupleValue]
    ) throws(Failure) -> String {
        switch relation.identity(table.facts) {
        case .key(let positions):
            var terms: [String] = []
            for position in positions {
                let column = quoteIdentifier(relation.columns[position].name)
                terms.append("\(column) = \(try parameter(values[position], table))")
            }
            return terms.joined(separator: " AND ")
        case .wholeRow:
            // format() shows a value through its type's output function, as the stream does, and works for types that
            // have no equality, such as json and point.
            var terms: [String] = []
            for (position, name) in written(table, relation) {
                let column = quoteIdentifier(name)
                terms.append(
                    values[position] == .null
                        ? "\(column) IS NULL"
                        : "\(column) IS NOT NULL AND format('%s', \(column)) = \(try parameter(values[position], table))"
                            + "::text")
            }
            let condition = terms.isEmpty ? "true" : terms.joined(separator: " AND ")
            return "ctid = (SELECT ctid FROM ONLY \(table.name.quoted) WHERE \(condition) LIMIT 1)"
        }
    }

    /// Columns that both the recorded and the restored table have. A column that the canary's migration added is not in
    /// the restored table, and goes with it.
    private func written(_ table: RestoredTable, _ relation: RelationDefinition) -> [(Int, String)] {
        relation.columns.indices.compactMap { position in
            let name = relation.columns[position].name
            return table.columns.contains { $0.name == name && !$0.isGenerated } ? (position, name) : nil
        }
    }

    private mutating func parameter(_ value: TupleValue, _ table: RestoredTable) throws(Failure) -> String {
        if value == .null {
            parameters.append(nil)
        } else if let text = value.string {
            parameters.append(text)
        } else {
            throw Failure(
                "table \(table.name) has a value that is not UTF-8",
                hint: "databases of encoding SQL_ASCII cannot be replayed; use rollback.mode: keep")
        }
        return "$\(parameters.count)"
    }
}
