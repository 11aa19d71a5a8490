// What one tick adds, as each test wants it. Pure: no clock, no I/O.

/// News of a tick, as tables.
struct Observation: Hashable, Sendable {
    /// Units that failed, of all that settled. A request that the client gave up is settled and did not fail.
    var errors: [ContingencyTable] = []
    /// The same for showing that the canary is good: a request that was given up shows nothing.
    var answered: [ContingencyTable] = []
    /// Units that were given out.
    var routed: [ContingencyTable] = []
    /// Failures share by share.
    var shares: [RollbackVerdict.Share] = []
    /// Under each absolute limit.
    var rates: [ArmRates]
    /// New canary failures, and those of them that had no whole response.
    var canaryFailures: UInt64 = 0
    var connectionFailures: UInt64 = 0

    init(_ news: [CountLedger.News], settings: JudgingSettings) {
        rates = settings.limits.bounds.map { _ in ArmRates() }
        for item in news {
            let stable = item.counts.stable, canary = item.counts.canary
            note(stable.settled, canary.settled, limits: settings.limits)
            switch settings.unit {
            case .request: addRequests(item)
            case .user: addUsers(item, stable.users ?? UserCounts(), canary.users ?? UserCounts())
            }
            if let last = errors.last, last.isComparison, last.canary.total + last.stable.total > 0 {
                shares.append(.init(share: item.counts.share, canary: last.canary, stable: last.stable))
            }
        }
    }

    private mutating func note(_ stable: VersionCounts, _ canary: VersionCounts, limits: AbsoluteLimits) {
        for (index, trials) in limits.trials(stable).enumerated() { rates[index].stable.add(trials) }
        for (index, trials) in limits.trials(canary).enumerated() { rates[index].canary.add(trials) }
        canaryFailures += canary.failures
        connectionFailures += canary.connectFailures + canary.resets
    }

    private mutating func addRequests(_ item: CountLedger.News) {
        let weight = item.counts.weight
        let stable = item.counts.stable.settled, canary = item.counts.canary.settled
        errors.append(
            ContingencyTable(
                weight: weight, canary: .init(bad: canary.failures, total: canary.requests),
                stable: .init(bad: stable.failures, total: stable.requests)))
        answered.append(
            ContingencyTable(
                weight: weight, canary: .init(bad: canary.failures, total: canary.judged),
                stable: .init(bad: stable.failures, total: stable.judged)))
        routed.append(
            ContingencyTable(
                weight: weight, canary: .init(total: item.dispatchedCanary), stable: .init(total: item.dispatchedStable)
            ))
    }

    /// Users were given to the versions, so the first failures are compared, and the coin is the risk set's: of the users
    /// who can still fail, the share that is on the canary. With all else alike the next one to fail is any of them. Several
    /// in one tick are drawn without replacement, which spreads less than the coin does (Hoeffding 1963): still a mean <= 1.
    private mutating func addUsers(_ item: CountLedger.News, _ stable: UserCounts, _ canary: UserCounts) {
        let weight = item.counts.weight
        let atRisk = Double(item.atRiskCanary) + Double(item.atRiskStable)
        let counts = ContingencyTable(
            weight: weight, canary: .init(bad: canary.failed, total: canary.seen),
            stable: .init(bad: stable.failed, total: stable.seen))
        answered.append(counts)
        routed.append(counts)
        errors.append(
            ContingencyTable(
                weight: weight > 0 && weight < 1 && atRisk > 0 ? Double(item.atRiskCanary) / atRisk : 0,
                canary: counts.canary, stable: counts.stable))
    }
}
