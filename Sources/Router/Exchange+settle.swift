// How a request is counted, and what is kept of one that failed on the canary.

import NIOCore

extension Exchange {
    /// Counts the request once, in the version that the cohort chose, unless the release it was sent under is over.
    func settle(_ outcome: Outcome) {
        guard !isSettled else { return }
        isSettled = true
        guard let routes, routes.releaseNumber == lane.routes?.releaseNumber else { return }
        let at = WallClock.milliseconds()
        lane.settle(outcome, choice, at: at)
        guard let capture, outcome.isFailure else { return }
        let elapsed = UInt64(max(0, (NIODeadline.now() - countedFrom).nanoseconds) / 1_000)
        let sample = capture.sample(
            of: request, instance: instanceName, outcome: outcome, at: at, latencyMicroseconds: elapsed,
            redaction: routes.redaction)
        if let sample { lane.keep(sample) }
    }
}
