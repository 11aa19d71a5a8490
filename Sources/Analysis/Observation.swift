// What one tick adds, as each test wants it. Pure: no clock, no I/O.

/// News of a tick, as tables.
struct Observation: Hashable, Sendable {
    /// All units.
    var units = UnitTables()
    /// Those of each judged route, in the settings' order.
    var routes: [UnitTables]
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
        routes = settings.routes.map { _ in UnitTables() }
        for item in news {
            note(item.stable, item.canary, limits: settings.limits)
            switch settings.unit {
            case .request: addRequests(item)
            case .user: addUsers(item)
            }
            for (index, name) in settings.routes.enumerated() {
                guard let route = item.routes.first(where: { $0.route == name }) else { continue }
                add(route, to: index, weight: item.weight, unit: settings.unit)
            }
            if let last = units.settled.last, last.isComparison, last.canary.total + last.stable.total > 0 {
                shares.append(.init(share: item.share, canary: last.canary, stable: last.stable))
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
        units.add(weight: item.weight, canary: .init(item.canary), stable: .init(item.stable))
        routed.append(
            ContingencyTable(
                weight: item.weight, canary: .init(total: item.dispatchedCanary),
                stable: .init(total: item.dispatchedStable)))
    }

    private mutating func addUsers(_ item: CountLedger.News) {
        units.add(weight: item.weight, canary: item.canaryUsers, stable: item.stableUsers)
        routed.append(
            ContingencyTable(
                weight: item.weight, canary: .init(total: item.canaryUsers.seen),
                stable: .init(total: item.stableUsers.seen)))
    }

    private mutating func add(
        _ route: CountLedger.RouteNews, to index: Int, weight: Double, unit: JudgingSettings.Unit
    ) {
        switch unit {
        case .request: routes[index].add(weight: weight, canary: .init(route.canary), stable: .init(route.stable))
        case .user: routes[index].add(weight: weight, canary: route.canaryUsers, stable: route.stableUsers)
        }
    }
}
