// What a plan says to people. Pure.

extension Plan {
    /// `a healthy canary needs ...`; one sentence each.
    func warnings(
        of planned: PlannedStep, _ settings: JudgingSettings, _ stage: PlannedStage, number: Int
    ) -> [String] {
        let name = "step \(number) (\(percent(stage.weight)))"
        guard stage.weight > 0, stage.weight < 1 else {
            return ["\(name): there is nobody to compare the canary with, only its limits are judged"]
        }
        guard stage.canaryUnitsPerSecond > 0 else { return ["\(name): there is no traffic, so nothing is known"] }
        var warnings: [String] = []
        if let proven = planned.proven.medianMilliseconds {
            if planned.isTooShort { warnings.append(tooShort(planned, settings, name, median: proven)) }
        } else {
            let why =
                settings.unit == .user && stage.mostUnits < 1e15
                ? "with \(counted(UInt64(stage.mostUnits), "user")) on the canary"
                : "within \(span(milliseconds: Int64(settings.longestReleaseMinutes) * 60_000))"
            warnings.append("\(name): a healthy canary is not shown to be good \(why)")
        }
        let length = max(planned.shortestMilliseconds, planned.proven.medianMilliseconds ?? .max)
        for (rate, caught) in zip(rates, planned.caught)
        where !settings.gatesAdvance(.errors) || rate < stage.stableRate + settings.provenExcess {
            if let late = caught.p95Milliseconds, late <= length { continue }
            let when = caught.medianMilliseconds.map { "caught after \(span(milliseconds: $0))" } ?? "not caught"
            warnings.append("\(name): a canary that fails \(percent(rate)) may pass, it is \(when)")
        }
        return warnings
    }

    private func tooShort(
        _ planned: PlannedStep, _ settings: JudgingSettings, _ name: String, median: Int64
    ) -> String {
        let slow = planned.proven.p95Milliseconds
        let late = slow.map { "\(span(milliseconds: $0)) in 1 release of 20" } ?? "longer than a release in 1 of 20"
        let held = planned.shortestMilliseconds + settings.patienceMilliseconds
        return
            "\(name): the shortest time is \(span(milliseconds: planned.shortestMilliseconds)), but a healthy canary is "
            + "shown to be good after \(span(milliseconds: median)), \(late); the step lasts until then"
            + (slow.map { $0 <= held } == true ? "" : ", and is held from \(span(milliseconds: held)) on")
    }
}
