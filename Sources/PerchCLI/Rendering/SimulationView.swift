// A release judged again, as lines. Pure.

import ControlModel
import Releases

func simulationText(_ simulation: Simulation, _ style: Style) -> [String] {
    let rows = simulation.turns.map { turn in
        [
            plain(turn.at), grouped(turn.canaryRequests), failures(turn.canaryFailures, of: turn.canaryRequests),
            decision(turn.decision, style), plain(turn.why),
        ]
    }
    var pairs = [
        (name: "Release", value: style.bold(simulation.release.description)),
        (name: "Then", value: plain(simulation.actual)),
    ]
    if let at = simulation.rolledBackAt {
        pairs.append(("Now", style.red("rolled back at \(plain(at))")))
    } else {
        pairs.append(("Now", style.green("not rolled back")))
    }
    if let wealth = simulation.wealth, let limit = simulation.limit {
        pairs.append(("Evidence", "\(evidence(wealth)) of \(evidence(limit)) against the canary at the last look"))
    }
    pairs.append(("Looks", grouped(UInt64(simulation.looks))))
    return keyValues(pairs) + [""]
        + table([["AT", "CANARY N", "FAILED", "DECISION", "WHY"]] + rows, [.left, .right, .right, .left, .left])
}

private func decision(_ text: String, _ style: Style) -> String {
    switch text {
    case "roll-back": style.red(plain(text))
    case "advance": style.green(plain(text))
    case "hold": style.yellow(plain(text))
    default: plain(text)
    }
}
