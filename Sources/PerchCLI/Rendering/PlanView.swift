// A plan as lines. Pure.

import ControlModel
import Releases

func planText(_ plan: ServicePlan, _ style: Style) -> [String] {
    let pairs = [
        (name: "Service", value: style.bold(plan.service.rawValue)),
        (
            name: "Traffic",
            value: "\(fixed(plan.unitsPerSecond, digits: 1)) \(plain(plan.unit))s a second (\(plain(plan.basis)))"
        ),
        (
            name: "Stable",
            value: "\(failures(plan.stableFailures, of: plan.stableTotal)) of \(grouped(plan.stableTotal)) failed"
        ),
    ]
    let caught = plan.rates.map { "FAILS \(percent($0))" }
    let rows = plan.steps.enumerated().map { index, step in
        ["\(index + 1)  \(plain(step.step))", "\(fixed(step.canaryUnitsPerSecond, digits: 1))/s"]
            + step.caught.map(wait) + [wait(step.proven)]
    }
    let columns = [Alignment.left] + Array(repeating: Alignment.right, count: plan.rates.count + 2)
    let warnings = plan.steps.enumerated().flatMap { index, step in
        step.warnings.map { style.yellow("step \(index + 1): \(plain($0))") }
    }
    return keyValues(pairs) + [""] + table([["STEP", "CANARY"] + caught + ["GOOD IS PROVEN"]] + rows, columns)
        + ["", "Each: until the verdict, in half of all releases / in 19 of 20."]
        + (warnings.isEmpty ? [] : [""] + warnings)
}

/// `1.3s / 4s`; `never` where there are not enough users.
private func wait(_ wait: ServicePlan.Wait) -> String {
    guard let median = wait.median else { return "never" }
    return "\(seconds(median)) / \(wait.p95.map(seconds) ?? "never")"
}

private func seconds(_ value: Double) -> String {
    switch value {
    case ..<60: "\(fixed(value, digits: value < 10 ? 1 : 0))s"
    case ..<3_600: "\(fixed(value / 60, digits: 1))m"
    default: "\(fixed(value / 3_600, digits: 1))h"
    }
}

private func percent(_ share: Double) -> String {
    let value = share * 100
    return "\(value == value.rounded() ? fixed(value, digits: 0) : fixed(value, digits: 2))%"
}
