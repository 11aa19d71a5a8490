// One release on a screen: `perch show` and every frame of `perch watch`. Pure.

import ControlModel
import Releases

struct ReleaseView {
    let detail: ReleaseDetail
    let style: Style
    /// How many of the last events are shown.
    var mostEvents = 10

    var lines: [String] {
        [header, steps, comparison, data, instances, events].filter { !$0.isEmpty }.joined(separator: [""]).map { $0 }
    }

    private var header: [String] {
        let summary = detail.summary
        var pairs: [(name: String, value: String)] = [
            ("Release", style.bold(summary.id.description)),
            ("Status", PhaseSign.text(summary.phase, style)),
            ("Message", plain(summary.message)),
            ("Share", summary.share.description),
            ("Commits", "\(summary.commit.short) (canary)"),
        ]
        if let stable = summary.stable { pairs.append(("", "\(stable.short) (stable)")) }
        if let build = detail.build {
            pairs.append(("Build", [build.id, build.url].compactMap(\.self).map(plain).joined(separator: "  ")))
            if let artifact = build.artifact { pairs.append(("Artifact", plain(artifact))) }
        }
        for (index, link) in detail.links.sorted(by: { $0.key < $1.key }).enumerated() {
            pairs.append((index == 0 ? "Links" : "", "\(plain(link.key))  \(plain(link.value))"))
        }
        pairs.append(("Accepted", "\(plain(summary.acceptedAt)) from \(plain(detail.requestedBy))"))
        pairs.append(("Updated", plain(summary.updatedAt)))
        if let deadline = summary.deadline, !summary.isTerminal {
            pairs.append(("Deadline", plain(deadline) + " for this phase"))
        }
        if !detail.allowed.isEmpty { pairs.append(("Possible", detail.allowed.map(command).joined(separator: ", "))) }
        if detail.hasReport { pairs.append(("Report", "perch report \(summary.id)")) }
        return keyValues(pairs)
    }

    private func command(_ verb: String) -> String {
        "perch \(plain(verb)) \(verb == "rollback" ? detail.summary.service.rawValue : detail.summary.id.description)"
    }

    private var steps: [String] {
        guard !detail.steps.isEmpty else { return [] }
        let isPromoted = detail.summary.phase == "promoted"
        let rows = detail.steps.enumerated().map { index, step in
            let sign =
                switch detail.currentStep {
                case .some(let current) where index < current: style.green("✔")
                case .some(index): style.bold("▶")
                case nil where isPromoted: style.green("✔")
                default: style.dim("·")
                }
            let text = "\(index + 1)  \(plain(step))"
            return "  \(sign) \(detail.currentStep == index ? style.bold(text) : text)"
        }
        return ["STEPS"] + rows
    }

    private var comparison: [String] {
        guard let comparison = detail.comparison else { return [] }
        func row(_ name: String, _ line: VersionLine) -> [String] {
            [
                name, grouped(line.requests), failures(line.failures, of: line.requests), grouped(line.status5xx),
                latency(milliseconds: line.p50), latency(milliseconds: line.p95), latency(milliseconds: line.p99),
            ]
        }
        let rows = [
            ["THIS STEP", "N", "FAILED", "5XX", "P50", "P95", "P99"], row("stable", comparison.stable),
            row("canary", comparison.canary),
        ]
        let verdict =
            switch comparison.verdict {
            case "pass": style.green("✔ pass")
            case "fail": style.red("✖ fail")
            default: style.yellow("? " + plain(comparison.verdict))
            }
        var pairs = [(name: "Verdict", value: verdict)]
        for (index, why) in comparison.why.enumerated() { pairs.append((index == 0 ? "Why" : "", plain(why))) }
        return table(rows, [.left, .right, .right, .right, .right, .right, .right]) + keyValues(pairs)
            + evidenceLines(comparison)
    }

    /// What speaks against the canary and for it, metric by metric.
    private func evidenceLines(_ comparison: Comparison) -> [String] {
        guard let lines = comparison.evidence, !lines.isEmpty else { return [] }
        let rows = lines.map { line in
            let proof =
                line.proofLimit.map { "\(evidence(line.proof ?? 1)) of \(evidence($0))" }
                ?? line.proof.map { evidence($0) } ?? "-"
            return [
                plain(line.metric) + (line.isDryRun ? " (dry run)" : ""),
                failures(line.stableBad, of: line.stableTotal), failures(line.canaryBad, of: line.canaryTotal),
                evidence(line.wealth), proof, line.proofLimit == nil ? "-" : line.needed.map(grouped) ?? "?",
            ]
        }
        let heading = ["THIS RELEASE", "STABLE BAD", "CANARY BAD", "AGAINST", "GOOD", "NEEDS"]
        let sum = comparison.wealth.flatMap { wealth in
            comparison.limit.map { "\(evidence(wealth)) against the canary, \(evidence($0)) rolls back" }
        }
        return [""] + table([heading] + rows, [.left, .right, .right, .right, .right, .right])
            + keyValues(sum.map { [(name: "Evidence", value: $0)] } ?? [])
    }

    private var data: [String] {
        guard let data = detail.data else { return [] }
        var pairs: [(name: String, value: String)] = []
        pairs.append(("Snapshot", data.snapshotLSN.map { "at \(plain($0))" } ?? "none"))
        let durable = data.durableLSN.map { ", on disk to \(plain($0))" } ?? ""
        pairs.append(("Recording", plain(data.recording) + durable))
        pairs.append(
            (
                "Writes",
                "\(counted(data.stableTransactions, "transaction")) of stable, "
                    + "\(counted(data.canaryTransactions, "transaction")) of canary "
                    + "(\(counted(data.canaryRows, "row")))"
            ))
        if let clone = data.clone {
            let open = clone.decisionsOpen == 0 ? "" : ", \(counted(clone.decisionsOpen, "decision")) open"
            pairs.append(
                (
                    "Clone",
                    "\(plain(clone.state)), \(clone.lagMilliseconds) ms behind, "
                        + "\(counted(clone.taintedRows, "row")) not as in live\(open)"
                ))
            if let reason = clone.reason { pairs.append(("", style.yellow(plain(reason)))) }
        }
        pairs.append(("WAL held", bytes(data.heldWALBytes)))
        if let open = data.decisionsOpen, open > 0 {
            pairs.append(("Open", "\(counted(open, "decision")): `perch quarantine list \(detail.summary.id) --open`"))
        }
        if let reason = data.reason { pairs.append(("Data", style.yellow(plain(reason)))) }
        return keyValues(pairs)
    }

    private var instances: [String] {
        guard !detail.instances.isEmpty else { return [] }
        let rows = detail.instances.map { [plain($0.name), $0.arm.rawValue, $0.commit.short, plain($0.address)] }
        return table([["INSTANCE", "ARM", "COMMIT", "ADDRESS"]] + rows)
    }

    private var events: [String] {
        guard !detail.events.isEmpty else { return [] }
        return ["EVENTS"] + detail.events.suffix(mostEvents).map { "  " + eventText($0) }
    }
}

/// `2026-08-01T10:00:00Z  advance shop-42 to 5%`.
func eventText(_ event: EventLine) -> String { "\(plain(event.at))  \(plain(event.text))" }
