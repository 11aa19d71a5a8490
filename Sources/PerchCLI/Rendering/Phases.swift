// Phases with the signs of Argo Rollouts' `get rollout`. Pure.

import Releases

enum PhaseSign {
    static let all = [
        "accepted", "preflight", "snapshotting", "starting", "canary", "waiting", "promoting", "baking", "promoted",
        "rolling-back", "rolled-back", "halted", "aborted", "superseded",
    ]

    /// `◌ canary`.
    static func text(_ phase: String, _ style: Style) -> String {
        let phase = plain(phase)
        return switch phase {
        case "promoted": style.green("✔ " + phase)
        case "waiting": style.cyan("॥ " + phase)
        case "rolling-back": style.yellow("◌ " + phase)
        case "rolled-back", "halted", "aborted": style.red("✖ " + phase)
        case "superseded": style.dim("– " + phase)
        default: "◌ " + phase
        }
    }
}

func short(_ commit: CommitID?) -> String { commit?.short ?? "-" }
