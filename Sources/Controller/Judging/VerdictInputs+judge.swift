// The judge's numbers, as the fact of a verdict keeps them.

import Analysis
import Releases

extension VerdictInputs {
    /// Of a version that passes, or that goes back without a verdict of the tests.
    init(_ progress: WatchProgress) {
        self.init(
            look: progress.looks, stable: Trials(progress.stable), canary: Trials(progress.canary),
            wealth: progress.release.wealth, limit: progress.release.settings.rollbackEvidence)
    }

    init(_ verdict: RollbackVerdict, look: Int) {
        self.init(
            look: look, stable: Trials(verdict.stable), canary: Trials(verdict.canary), wealth: verdict.wealth,
            limit: verdict.limit, guardedWealth: verdict.guardedWealth, metric: "\(verdict.leading)",
            metricWealth: verdict.leadingWealth, metricShift: verdict.leadingShift)
    }
}

extension VerdictInputs.Trials {
    fileprivate init(_ counts: VersionCounts) { self.init(bad: counts.failures, total: counts.judged) }
    fileprivate init(_ trials: ContingencyTable.Trials) { self.init(bad: trials.bad, total: trials.total) }
}
