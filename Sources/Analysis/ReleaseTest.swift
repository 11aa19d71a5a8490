// Is the canary worse, good enough, or not yet known? One value for a release, from its first step to its last. Pure: no
// clock, no I/O; it is written to the store whole, together with the counts that it has taken in.

/// The judge of a canary that serves beside a stable version.
///
/// W = 0.6 W_errors + 0.4 W_latency (``WealthShares``) is the wealth of bets that the canary is worse. If it is not, the chance that W ever
/// reaches 1/alpha is at most alpha, however long the release runs, whatever its shares do and whatever happens to both
/// versions (Ville's inequality). So every tick is a look, and no tick is skipped because of what it contains.
///
/// A step that gives the canary all traffic leaves nobody to compare it with: ``BakeTest`` judges that.
package struct ReleaseTest: Hashable, Sendable, Codable {
    package let settings: JudgingSettings
    var ledger = CountLedger()
    var rates = RecentRates()
    var errors: ErrorTest
    var routes: [RouteTest]
    var latency: LatencyTest?
    var external: [ExternalTest]
    package internal(set) var edges: LatencyEdges?
    var advance: AdvanceTest
    var routing = RoutingCheck()
    var outage = OutageWatch()
    var drip: Drip
    var step: Step?
    /// What counted, share by share.
    var shares: [RollbackVerdict.Share] = []
    /// Canary failures by instance before wealth was 1 the last time.
    var earlierFailures: [String: UInt64] = [:]
    /// The canary was drained for an incident that stable is still in.
    var isDrained = false
    var suspicion: Suspicion?
    /// A verdict that waits for the end of an outage.
    var withheld: RollbackVerdict?
    /// What was said once is said for ever.
    package internal(set) var verdict: RollbackVerdict?
    var now: Int64

    /// One step of the canary's share.
    struct Step: Hashable, Sendable, Codable {
        var beganAt: Int64
        var shortestMilliseconds: Int64
    }

    /// - Parameters:
    ///   - now: milliseconds since 1970.
    ///   - past: what stable did before the release. It makes the first edges; without it stable's answers during the
    ///     release do, and latency says nothing before.
    package init(settings: JudgingSettings, at now: Int64, past: VersionCounts = VersionCounts()) {
        self.settings = settings
        self.now = now
        errors = ErrorTest(null: settings.errorNull)
        routes = settings.routes.map { RouteTest(name: $0, settings: settings) }
        latency = settings.judgedLatency.map(LatencyTest.init)
        external = settings.external.map { ExternalTest(name: $0.name, null: settings.errors) }
        edges = settings.judgedLatency.map(LatencyEdges.init)
        advance = AdvanceTest(settings: settings)
        drip = Drip(startedAt: now, minutes: settings.longestReleaseMinutes)
        edges?.add(past.completionTimes, at: now)
        if settings.unit == .request {
            advance.settle(
                errors: [ContingencyTable(weight: 0, stable: .init(bad: past.failures, total: past.judged))])
        }
    }

    /// The canary's share is live: what shows that it is good starts afresh, what speaks against it stays.
    package mutating func beginStep(shortestMilliseconds: Int64, at now: Int64) {
        self.now = max(self.now, now)
        step = Step(
            beganAt: self.now,
            shortestMilliseconds: max(shortestMilliseconds, settings.settleMilliseconds))
        advance.beginStep()
        for index in routes.indices { routes[index].beginStep() }
        routing = RoutingCheck()
    }

    /// Takes in a tick and says what follows.
    package mutating func judge(_ tick: Tick) -> Judgement {
        if let verdict { return .rollBack(verdict) }
        now = max(now, tick.at)
        let readings = tick.counts.compactMap { ledger.take($0, at: now) }
        take(readings.flatMap(\.self), external: tick.external)
        return decide(isCanaryReady: tick.isCanaryReady, hasNews: !readings.isEmpty)
    }

    /// How long a request in flight has to be under way to count as overdue, in microseconds: stable's p99, at least 250 ms.
    package var overdueAfterMicroseconds: Double {
        max(250_000, edges?.edges.last { $0.perMille <= 990 }?.stableMicroseconds ?? 0)
    }

    private mutating func take(_ news: [CountLedger.News], external counts: [ExternalCounts]) {
        let observation = Observation(news, settings: settings)
        errors.settle(observation.units.settled)
        advance.settle(errors: observation.units.answered)
        for (index, tables) in observation.routes.enumerated() { routes[index].settle(tables) }
        for index in external.indices { external[index].settle(counts) }
        suspicion?.settle(observation, external: counts)
        routing.settle(observation.routed)
        // Looked up before this tick's failures are known: a pause may not depend on what it leaves out.
        if let latency = settings.judgedLatency, !rates.isFailing(above: latency.pauseAbove, at: now) {
            settleLatency(news)
        }
        rates.add(observation.rates, at: now)
        outage.note(failures: observation.canaryFailures, connection: observation.connectionFailures, at: now)
        for share in observation.shares { note(share) }
        // After the bets: what is put at stake now rides on what comes next.
        let amount = drip.due(at: now)
        errors.drip(amount)
        for index in routes.indices { routes[index].drip(amount) }
        for index in external.indices { external[index].drip(amount) }
        latency?.drip(amount)
    }

    private mutating func settleLatency(_ news: [CountLedger.News]) {
        let histograms = news.map {
            (
                weight: $0.weight, canary: $0.canary.completionTimes, stable: $0.stable.completionTimes
            )
        }
        let tables = (edges?.edges ?? []).map { edge in
            histograms.map { edge.table(weight: $0.weight, canary: $0.canary, stable: $0.stable) }
        }
        latency?.settle(tables)
        suspicion?.settle(latency: tables)
        advance.settle(latency: tables)
        var stable = LatencyHistogram()
        for histogram in histograms { stable.add(histogram.stable) }
        edges?.add(stable, at: now)
    }

    private mutating func note(_ share: RollbackVerdict.Share) {
        if let index = shares.firstIndex(where: { $0.share == share.share }) {
            shares[index].canary.add(share.canary)
            shares[index].stable.add(share.stable)
        } else {
            shares.append(share)
            shares.sort { $0.share < $1.share }
        }
    }

    /// Starts again from wealth 1, after an outage; the next step is begun by who starts the canary.
    mutating func restart() {
        errors = ErrorTest(null: settings.errorNull)
        for index in routes.indices { routes[index].restart() }
        for index in external.indices { external[index].restart() }
        latency = settings.judgedLatency.map(LatencyTest.init)
        drip = Drip(startedAt: now, minutes: settings.longestReleaseMinutes)
        advance.beginStep()
        routing = RoutingCheck()
        step = nil
        shares = []
        earlierFailures = ledger.canaryFailures
        suspicion = nil
        withheld = nil
    }
}
