// From wealth and evidence to what follows. The order is the order of urgency. Pure: no clock, no I/O.

extension ReleaseTest {
    /// - Parameter hasNews: a router answered: without that nothing passes.
    mutating func decide(isCanaryReady: Bool, hasNews: Bool) -> Judgement {
        if let withheld { return awaitInstances(withheld, isCanaryReady: isCanaryReady) }
        if var reached = confirmedVerdict() {
            suspicion = nil
            guard reached.leading.isFailures, outage.isOutage else { return rollBack(reached) }
            guard outage.excuses(at: now) else {
                reached.cause = .outage
                return rollBack(reached)
            }
            withheld = reached
            return .hold(.instance(failingInstances))
        }
        if let incident = SharedIncident.first(
            in: rates.rates(ofLast: 60, at: now), limits: settings.limits, minimumFailures: settings.minimumFailures,
            isDrained: isDrained)
        {
            return meet(incident)
        }
        isDrained = false
        if routing.evidence >= settings.routingEvidence { return .hold(.routing(mismatch)) }
        let missing = missingEvidence()
        guard let step else { return .goOn(missing) }
        let isProven =
            missing.metric == nil && missing.wealth == nil && missing.milliseconds == 0 && missing.stableRequests == 0
        if isProven, hasNews { return .advance }
        let patience = step.shortestMilliseconds + settings.patienceMilliseconds
        return !isProven && now - step.beganAt >= patience ? .hold(.notEnoughEvidence(missing)) : .goOn(missing)
    }

    private mutating func rollBack(_ verdict: RollbackVerdict) -> Judgement {
        self.verdict = verdict
        return .rollBack(verdict)
    }

    private mutating func awaitInstances(_ withheld: RollbackVerdict, isCanaryReady: Bool) -> Judgement {
        guard outage.excuses(at: now) else {
            var verdict = withheld
            if outage.isOutage { verdict.cause = .outage }
            return rollBack(verdict)
        }
        guard isCanaryReady, outage.resumes() else { return .hold(.instance(failingInstances)) }
        restart()
        return .resume
    }

    private mutating func meet(_ incident: SharedIncident) -> Judgement {
        switch settings.sharedIncident {
        case .hold: return .hold(.incident(incident, isDrained: false))
        case .drain:
            isDrained = true
            return .hold(.incident(incident, isDrained: true))
        case .rollBack: return rollBack(verdict(cause: .incident(incident), leading: .errors))
        }
    }

    private var mismatch: RoutingMismatch {
        let all = Double(routing.canary) + Double(routing.stable)
        return RoutingMismatch(
            share: all > 0 ? routing.expected / all : 0, canary: routing.canary, stable: routing.stable,
            unit: settings.unit, evidence: routing.evidence, limit: settings.routingEvidence)
    }

    /// Canary failures by instance since wealth was 1.
    private var failuresByInstance: [String: UInt64] {
        ledger.canaryFailures.reduce(into: [:]) { failures, entry in
            let earlier = earlierFailures[entry.key] ?? 0
            if entry.value > earlier { failures[entry.key] = entry.value - earlier }
        }
    }

    private var failingInstances: [String] { failuresByInstance.keys.sorted() }
}

// MARK: Against the canary

extension ReleaseTest {
    /// Requests of the routers that answered lately; a run that is silent for longer has none in flight any more.
    private var oldestAnswer: Int64 { now - settings.requestTimeoutMilliseconds - 10_000 }

    /// Stable's overdue requests as failed and slow: in an outage of both the canary may only be the first to fail.
    ///
    /// - Parameter moment: of a router that was last read before it, all that are in flight.
    func overdueStable(readSince moment: Int64 = .min) -> [ContingencyTable] {
        ledger.overdue(since: oldestAnswer, readSince: moment).map {
            ContingencyTable(weight: $0.weight, stable: .init(bad: $0.stable, total: $0.stable))
        }
    }

    /// The same of all that stable has in flight.
    var stableInFlight: [ContingencyTable] { overdueStable(readSince: .max) }

    var overdueCanary: [ContingencyTable] {
        ledger.overdue(since: oldestAnswer).map {
            ContingencyTable(weight: $0.weight, canary: .init(bad: $0.canary, total: $0.canary))
        }
    }

    /// The verdict by all that settled, with stable's overdue requests taken as failed and slow.
    func reachedVerdict() -> RollbackVerdict? {
        let limit = settings.rollbackEvidence
        guard wealth >= limit else { return nil }
        let guarded = parts(with: overdueStable())
        guard WealthPart.combined(guarded) >= limit, let leading = leading(of: guarded) else { return nil }
        return verdict(cause: .worse, leading: leading)
    }

    /// The metric that contributes most, if it has enough bad canary units; else one that has and suffices by itself.
    func leading(of parts: [WealthPart]) -> Metric? {
        let strongest = parts.max { $0.contribution < $1.contribution }
        let enough = parts.filter { $0.share > 0 && $0.canary.bad >= settings.minimumFailures }
        return enough.filter { $0.metric == strongest?.metric || $0.contribution >= settings.rollbackEvidence }
            .max { $0.contribution < $1.contribution }?.metric
    }

    private func verdict(cause: RollbackVerdict.Cause, leading: Metric) -> RollbackVerdict {
        let parts = parts()
        let part = parts.first { $0.metric == leading }
        let quantile = latency?.quantiles.first { .latency(perMille: $0.perMille) == leading }
        let errors = failures(of: leading) ?? errors
        let shift = Experts.shifts[(quantile?.experts ?? errors.experts).leader]
        return RollbackVerdict(
            cause: cause, at: now, unit: settings.unit, canary: quantile?.canary ?? errors.canary,
            stable: quantile?.stable ?? errors.stable, shares: shares, wealth: wealth,
            guardedWealth: WealthPart.combined(self.parts(with: overdueStable())), limit: settings.rollbackEvidence,
            leading: leading, leadingWealth: part?.wealth ?? 1, leadingShare: part?.share ?? 0, leadingShift: shift,
            errorNull: errors.null, edge: edges?.edges.first { .latency(perMille: $0.perMille) == leading },
            judgesLatency: parts.contains { !$0.metric.isFailures && $0.share > 0 },
            judgesParts: parts.contains { $0.metric.isPart && $0.share > 0 }, failuresByInstance: failuresByInstance)
    }

    private func failures(of metric: Metric) -> ErrorTest? {
        switch metric {
        case .errors: errors
        case .route(let name): routes.first { $0.name == name }?.errors
        case .external(let name): external.first { $0.name == name }?.errors
        case .latency: nil
        }
    }
}

// MARK: For the canary

extension ReleaseTest {
    private func missingEvidence() -> MissingEvidence {
        let weakest = advance.evidence(with: overdueCanary).filter {
            settings.gatesAdvance($0.metric) && $0.evidence < settings.advanceEvidence
        }.min { $0.evidence < $1.evidence }
        let elapsed = step.map { now - $0.beganAt } ?? 0
        return MissingEvidence(
            metric: weakest?.metric, evidence: weakest?.evidence ?? settings.advanceEvidence,
            limit: settings.advanceEvidence,
            canaryUnits: weakest.flatMap { unitsNeeded($0.metric, from: $0.evidence, past: advance.past) },
            stableRequests: settings.judgedLatency?.dryRun == false ? edges?.missing ?? 0 : 0,
            milliseconds: max(0, (step?.shortestMilliseconds ?? 0) - elapsed),
            wealth: wealth < settings.advanceWealthMax && reachedVerdict() == nil ? nil : wealth, unit: settings.unit)
    }
}
