// How a request is counted while it is in flight and when it settles, and what is kept of one that failed on the canary.

import NIOCore

extension Exchange {
    /// Counts the request once, in the version that the cohort chose and at the share of that moment, unless the release
    /// it was sent under is over: then it is in the metrics only, which know no release.
    func settle(_ outcome: Outcome) {
        guard !isSettled else { return }
        isSettled = true
        guard let routes else { return }
        guard routes.releaseNumber == lane.routes?.releaseNumber else { return lane.settleLate(outcome, choice) }
        let at = WallClock.milliseconds()
        lane.settle(outcome, choice, by: routes, route: routePlace, instance: instanceName, at: at)
        guard let capture, outcome.isFailure else { return }
        let elapsed = UInt64(max(0, (NIODeadline.now() - countedFrom).nanoseconds) / 1_000)
        let sample = capture.sample(
            of: request, instance: instanceName, outcome: outcome, at: at, latencyMicroseconds: elapsed,
            redaction: routes.redaction)
        if let sample { lane.keep(sample) }
    }

    var isOnInstance: Bool { instance != nil }

    /// In flight in one of the two arms: a coin chose its version under this release, and it has not settled.
    var isCounted: Bool {
        choice.isTossed && !isSettled && phase != .over && routes?.releaseNumber == lane.routes?.releaseNumber
    }

    /// On the clock that latency is measured with, so never while the client owes more of the body.
    func isInFlight(forMicroseconds limit: UInt64, at now: NIODeadline) -> Bool {
        let isOwedBody = !requestIsComplete && upstream?.isWritable ?? false
        return !isOwedBody && UInt64(max(0, (now - countedFrom).nanoseconds)) / 1_000 > limit
    }
}
