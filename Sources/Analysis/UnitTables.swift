// What settled, unit by unit, as the tests of failures want it. Pure: no clock, no I/O.

/// Requests or users of both versions, one table a share of a router's run.
struct UnitTables: Hashable, Sendable {
    /// Units that failed, of all that settled. A request that the client gave up is settled and did not fail.
    private(set) var settled: [ContingencyTable] = []
    /// The same for showing that the canary is good: a request that was given up shows nothing.
    private(set) var answered: [ContingencyTable] = []

    /// Requests of one version.
    struct Requests {
        var failed: UInt64
        var settled: UInt64
        var judged: UInt64
    }

    mutating func add(weight: Double, canary: Requests, stable: Requests) {
        settled.append(
            ContingencyTable(
                weight: weight, canary: .init(bad: canary.failed, total: canary.settled),
                stable: .init(bad: stable.failed, total: stable.settled)))
        answered.append(
            ContingencyTable(
                weight: weight, canary: .init(bad: canary.failed, total: canary.judged),
                stable: .init(bad: stable.failed, total: stable.judged)))
    }

    /// Users were given to the versions, so the first failures are compared, and the coin is the risk set's: of the users
    /// who can still fail, the share that is on the canary. With all else alike the next one to fail is any of them. Several
    /// in one tick are drawn without replacement, which spreads less than the coin does (Hoeffding 1963): still a mean <= 1.
    mutating func add(weight: Double, canary: UserNews, stable: UserNews) {
        let counts = ContingencyTable(
            weight: weight, canary: .init(bad: canary.failed, total: canary.seen),
            stable: .init(bad: stable.failed, total: stable.seen))
        answered.append(counts)
        let atRisk = Double(canary.atRisk) + Double(stable.atRisk)
        settled.append(
            ContingencyTable(
                weight: weight > 0 && weight < 1 && atRisk > 0 ? Double(canary.atRisk) / atRisk : 0,
                canary: counts.canary, stable: counts.stable))
    }
}

extension UnitTables.Requests {
    init(_ counts: VersionCounts) {
        self.init(failed: counts.failures, settled: counts.requests, judged: counts.judged)
    }

    init(_ arm: RouteArm) {
        self.init(
            failed: arm.failures, settled: arm.requests, judged: arm.requests - min(arm.requests, arm.clientAborts))
    }
}

/// What a reading adds to ``UserCounts``.
struct UserNews: Hashable, Sendable {
    var seen: UInt64
    var failed: UInt64
    /// Users that could still fail when the reading began: seen by now, without those that had failed before.
    var atRisk: UInt64

    init(from old: UserCounts?, to new: UserCounts?) {
        let old = old ?? UserCounts(), new = new ?? UserCounts()
        seen = new.seen - min(new.seen, old.seen)
        failed = new.failed - min(new.failed, old.failed)
        atRisk = new.seen - min(new.seen, old.failed)
    }
}
