// Which way the data goes back: in place, or by putting the clone in live's stead.

import Ports
import Releases

enum WayBack: Hashable, Sendable {
    /// Why, as a clause.
    case heal(String)
    case swap(String)

    /// - Parameters:
    ///   - differing: rows that heal would write.
    /// - Throws: when the policy allows neither.
    static func choose(
        _ policy: Policy.DataRollback, _ change: SchemaChange, differing: Int
    ) throws(Failure) -> WayBack {
        if case .destructive(let what) = change {
            switch (policy.mode, policy.destructiveDDL) {
            case (.swap, _): return .swap("the policy says so")
            case (_, .swap): return .swap("the canary changed the schema: \(what)")
            case (_, .halt):
                throw Failure(
                    "the canary changed the schema, and rollback.destructive_ddl is halt: \(what)",
                    hint:
                        "live data is untouched; undo the change by hand, or write destructive_ddl: swap, and ask again"
                )
            }
        }
        switch policy.mode {
        case .heal: return .heal("the policy says so")
        case .swap, .keep: return .swap("the policy says so")
        case .auto:
            guard differing <= policy.healLimit else {
                return .swap("\(differing) rows differ, and heal_limit is \(policy.healLimit)")
            }
            return .heal(
                differing == 0
                    ? "nothing differs" : "\(differing) rows differ, and the schema is one that stable can live with")
        }
    }

    var why: String {
        switch self {
        case .heal(let why), .swap(let why): why
        }
    }
}
