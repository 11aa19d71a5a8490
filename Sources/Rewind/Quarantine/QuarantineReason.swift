// The merge's reasons as the quarantine names them, with a sentence each.

import Merge
import Ports

extension QuarantinedChange.Reason {
    init(_ reason: Merge.Finding.Reason) {
        self =
            switch reason {
            case .insertExists: .insertExists
            case .updateMissing: .updateMissing
            case .dropped: .dropped
            case .overwritten: .overwritten
            case .added: .added
            case .addImpossible: .addImpossible
            case .held: .held
            case .kept: .kept
            case .deleteModified: .deleteModified
            case .unique: .unique
            case .foreignKeyParent: .foreignKeyParent
            case .foreignKeyChild: .foreignKeyChild
            case .foreignKeyAction: .foreignKeyAction
            case .spared: .spared
            case .moved: .moved
            case .check: .check
            case .constraint: .constraint
            case .unattributed: .unattributed
            case .writeback: .writeback
            }
    }

    /// - Parameter column: nil when it is about the whole row.
    func sentence(_ column: String?) -> String {
        let sentence =
            switch self {
            case .canaryWrite: "the canary wrote it"
            case .bothWrote: "both wrote this row; it is as it was without the canary"
            case .foreignKey: "what it refers to is the canary's, so it was taken out"
            case .transactionKeptOut: "its transaction was kept out as a whole"
            case .insertExists: "the canary had deleted the row with this key; stable's new row replaced it"
            case .updateMissing: "only the canary had made this row; stable changed it, so it is here as it is in live"
            case .dropped: "only the canary had made this row; it is not here although stable changed it"
            case .overwritten: "both changed it; stable's value is here"
            case .added: "both changed it; stable's difference was added to the value without the canary"
            case .addImpossible: "both changed it and it cannot be added; stable's value is here"
            case .held: "both changed it; stable's value is here until somebody decides"
            case .kept: "stable left the canary's value as it was; the value without the canary is here"
            case .deleteModified: "stable deleted a row that the canary had changed"
            case .unique: "another row has the same unique value, so this one is here as it is in live"
            case .foreignKeyParent: "a row of stable's refers to it, so it is here as it is in live"
            case .foreignKeyChild: "what it refers to is not here, so it is here as it is in live"
            case .foreignKeyAction: "what it referred to went, and the foreign key's action was done"
            case .spared: "a foreign key changed it in live only because of the canary; it is here as it was"
            case .moved: "stable gave the row another key"
            case .check: "a condition of the table refused the merged row, so it is here as it is in live"
            case .constraint: "a constraint of the table refused it, so it is here as it is in live"
            case .unattributed: "neither role wrote it"
            case .writeback: "a value that was taken out came back with a late write"
            }
        return column.map { "\($0): \(sentence)" } ?? sentence
    }
}
