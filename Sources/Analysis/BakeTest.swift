// Does a version that has all traffic keep its limits? One value for a bake. Pure: no clock, no I/O.

/// The judge of a version with nothing beside it: only absolute limits can speak about it.
///
/// Each limit has a wealth of its own; W is their average, and W >= 1,000 rolls back. A version that keeps all of its limits
/// is rolled back in at most 1 of 1,000 bakes.
package struct BakeTest: Hashable, Sendable, Codable {
    /// Whose counts are those of the version.
    package enum Arm: String, Hashable, Sendable, Codable { case stable, canary }

    package let settings: JudgingSettings
    package let arm: Arm
    private var ledger = CountLedger()
    private var tests: [LimitTest]
    private var drip: Drip
    package private(set) var verdict: RollbackVerdict?
    private var now: Int64

    /// - Parameters:
    ///   - arm: `stable` after a promotion, `canary` in a step that gives it all traffic.
    ///   - baseline: the routers' counts at the start; what they have counted before is not the bake's.
    package init(settings: JudgingSettings, arm: Arm, at now: Int64, baseline: [TrafficCounts] = []) {
        self.settings = settings
        self.arm = arm
        self.now = now
        tests = settings.limits.bounds.map(LimitTest.init)
        drip = Drip(startedAt: now, minutes: settings.longestReleaseMinutes)
        for counts in baseline { _ = ledger.take(counts, at: now) }
    }

    /// W: 1 at the start.
    package var wealth: Double { tests.map(\.experts.wealth).reduce(0, +) / Double(tests.count) }

    /// Requests of the version so far.
    package var requests: UInt64 { tests.first?.trials.total ?? 0 }

    /// Takes in a tick; a verdict, once reached, stays.
    package mutating func judge(_ tick: Tick) -> RollbackVerdict? {
        if let verdict { return verdict }
        now = max(now, tick.at)
        for counts in tick.counts {
            for news in ledger.take(counts, at: now) ?? [] {
                let settled = arm == .stable ? news.stable : news.canary
                for (index, trials) in settings.limits.trials(settled).enumerated() { tests[index].settle(trials) }
            }
        }
        let amount = drip.due(at: now)
        for index in tests.indices { tests[index].drip(amount) }
        verdict = reachedVerdict()
        return verdict
    }

    private func reachedVerdict() -> RollbackVerdict? {
        guard wealth >= settings.limitEvidence,
            let leading = tests.max(by: { $0.experts.wealth < $1.experts.wealth }),
            leading.trials.bad >= settings.minimumFailures
        else { return nil }
        return RollbackVerdict(
            cause: .limit(leading.bound), at: now, unit: .request, canary: leading.trials, stable: .init(), shares: [],
            wealth: wealth, guardedWealth: wealth, limit: settings.limitEvidence, leading: leading.bound.metric,
            leadingWealth: leading.experts.wealth, leadingShare: 1 / Double(tests.count),
            leadingShift: Experts.shifts[leading.experts.leader],
            errorNull: settings.errorNull, edge: nil, judgesLatency: !settings.limits.latency.isEmpty,
            judgesParts: false, failuresByInstance: [:])
    }
}
