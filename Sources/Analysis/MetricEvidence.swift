// What people see of a running comparison, metric by metric. Pure values.

/// One metric of a release as it stands.
package struct MetricEvidence: Hashable, Sendable, Codable {
    package var metric: Metric
    /// It is judged and shown only.
    package var isDryRun: Bool
    /// Bad and all units that were compared since the release began, or began again after an outage.
    package var canary: ContingencyTable.Trials
    package var stable: ContingencyTable.Trials
    /// Evidence that the canary is worse, 1 at the start; by itself, not as part of W.
    package var wealth: Double
    /// Its share of W: all quantiles of latency have one together.
    package var share: Double
    /// Evidence in this step that the canary is good; nil where none is collected.
    package var proof: Proof?

    package struct Proof: Hashable, Sendable, Codable {
        /// E, 1 at the start of the step.
        package var evidence: Double
        /// E at which the step may pass.
        package var limit: Double
        /// The step waits for it.
        package var isGating: Bool
        /// About how many more canary units it takes if the canary is as good as stable: 0 when E is there, nil where that
        /// cannot be said.
        package var needed: UInt64?
    }
}

extension ReleaseTest {
    /// Every metric as it stands: failures, routes, quantiles, external ones. ``wealth`` is what they come to, and rolls back at
    /// ``JudgingSettings/rollbackEvidence``.
    package var evidence: [MetricEvidence] {
        let shares = WealthShares(settings)
        let pending = overdueCanary
        let proofs = advance.evidence(with: pending)
        var all = [
            MetricEvidence(
                metric: .errors, isDryRun: settings.errorsDryRun, canary: errors.canary, stable: errors.stable,
                wealth: errors.wealth, share: shares.errors, proof: proof(.errors, proofs[0].evidence))
        ]
        for route in routes {
            all.append(
                MetricEvidence(
                    metric: .route(route.name), isDryRun: settings.errorsDryRun, canary: route.errors.canary,
                    stable: route.errors.stable, wealth: route.errors.wealth, share: shares.eachRoute,
                    proof: proof(.route(route.name), route.proof.evidence, past: route.proof.past)))
        }
        for (quantile, proven) in zip(latency?.quantiles ?? [], proofs.dropFirst()) {
            all.append(
                MetricEvidence(
                    metric: proven.metric, isDryRun: settings.judgedLatency?.dryRun == true, canary: quantile.canary,
                    stable: quantile.stable, wealth: quantile.experts.wealth, share: shares.latency,
                    proof: proof(proven.metric, proven.evidence)))
        }
        for (test, (external, share)) in zip(external, zip(settings.external, shares.external)) {
            all.append(
                MetricEvidence(
                    metric: .external(test.name), isDryRun: external.dryRun || settings.unit == .user,
                    canary: test.errors.canary, stable: test.errors.stable, wealth: test.errors.wealth, share: share))
        }
        return all
    }

    private func proof(
        _ metric: Metric, _ evidence: Double, past: ContingencyTable.Trials? = nil
    ) -> MetricEvidence.Proof {
        let isThere = evidence >= settings.advanceEvidence
        return MetricEvidence.Proof(
            evidence: evidence, limit: settings.advanceEvidence, isGating: settings.gatesAdvance(metric),
            needed: isThere ? 0 : unitsNeeded(metric, from: evidence, past: past ?? advance.past))
    }

    /// At the largest share that was served so far.
    func unitsNeeded(_ metric: Metric, from evidence: Double, past: ContingencyTable.Trials) -> UInt64? {
        guard let share = shares.last?.share else { return nil }
        return Forecast(settings: settings, weight: Double(share) / 10_000, stable: past)
            .canaryUnits(toShow: metric, from: evidence)
    }
}
