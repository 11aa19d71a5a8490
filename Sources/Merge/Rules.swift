// What a service's policy says about merging.

/// What the clone's column gets when stable changes a value that the canary had changed before.
package enum ColumnRule: String, Hashable, Sendable, Codable, CaseIterable {
    /// Stable's value. Right when the statement wrote a constant.
    case overwrite
    /// The clone's value plus stable's difference. Right for `SET x = x + d` executed by the database, never for values
    /// computed from an earlier read.
    case add
    /// Stable's value, and a person must look: money, limits.
    case hold
    /// Stable's value, not worth a line in the report: `updated_at` and the like.
    case stamp
    /// Always live's value, whoever wrote it: optimistic-lock versions and audit clocks, which must not run backwards.
    case follow
}

/// The unit of a conflict and what a rollback does about open ones. The clone is the same under all but `cascade`, so
/// those can be exchanged when the rollback begins. Names as in Oracle's flashback transaction.
package enum MergeMode: String, Hashable, Sendable, Codable, CaseIterable {
    /// Live wins for the column or row in conflict, the rest of the transaction is applied; open entries do not hold up
    /// a rollback.
    case nonconflict
    /// As `nonconflict`, but a rollback asks while anything is open.
    case nocascade
    /// As `nonconflict`, but what is open counts as decided.
    case force
    /// A stable transaction with a conflict is kept out as a whole, and so is what builds on it.
    case cascade
}

/// Whether a rollback may go on with decisions open.
package enum RollbackGate: Hashable, Sendable {
    case proceed
    /// Goes on; the exit code says that decisions are open.
    case proceedWithOpenDecisions
    /// A person must decide first.
    case refuse
}

extension MergeMode {
    package func gate(openEntries: Int) -> RollbackGate {
        switch self {
        case .force, .cascade: .proceed
        case .nonconflict: openEntries == 0 ? .proceed : .proceedWithOpenDecisions
        case .nocascade: openEntries == 0 ? .proceed : .refuse
        }
    }
}

package struct MergePolicy: Hashable, Sendable, Codable {
    /// Whose a transaction without a mark is.
    package enum Unattributed: String, Hashable, Sendable, Codable {
        /// A fix made by hand must not vanish.
        case stable
        case canary
        /// As `stable`, but every row it wrote is an open entry.
        case hold
    }

    /// What becomes of a row that only the canary had made once stable changes it.
    package enum CanaryRow: String, Hashable, Sendable, Codable { case keep, drop }

    package var mode: MergeMode
    package var unattributed: Unattributed
    package var canaryRow: CanaryRow

    package init(
        mode: MergeMode = .nonconflict, unattributed: Unattributed = .stable, canaryRow: CanaryRow = .keep
    ) {
        self.mode = mode
        self.unattributed = unattributed
        self.canaryRow = canaryRow
    }
}

/// A rule that does not fit the column it is for.
package enum RuleError: Error, Hashable, Sendable {
    case noSuchTable(TableID)
    case noSuchColumn(table: String, column: String)
    /// `add` needs a type whose values can be added exactly.
    case cannotAdd(table: String, column: String)
    /// A column that follows live would carry the canary's values into keys and constraints of the clone.
    case cannotFollow(table: String, column: String)
    /// Rows of a table without a key are never merged column by column.
    case keyless(table: String)
}

extension TableSchema {
    /// One rule a column, `overwrite` where none is named.
    func columnRules(_ named: [String: ColumnRule]) throws(RuleError) -> [ColumnRule] {
        var rules = [ColumnRule](repeating: .overwrite, count: columns.count)
        let constrained = Set(key + uniques.flatMap(\.columns) + foreignKeys.flatMap(\.columns) + excluded)
        for (name, rule) in named.sorted(by: { $0.key < $1.key }) {
            guard let position = columns.firstIndex(where: { $0.name == name }) else {
                throw .noSuchColumn(table: self.name, column: name)
            }
            if key.isEmpty { throw .keyless(table: self.name) }
            if rule == .add, columns[position].addition == .impossible {
                throw .cannotAdd(table: self.name, column: name)
            }
            if rule == .follow, constrained.contains(position) {
                throw .cannotFollow(table: self.name, column: name)
            }
            rules[position] = rule
        }
        return rules
    }
}
