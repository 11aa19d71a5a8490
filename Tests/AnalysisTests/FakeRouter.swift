// A router as the judge sees it: cumulative counts by share, with a name for its run.

@testable import Analysis

/// What some requests of one version did.
struct Answers {
    var answered: UInt64 = 0
    var failed: UInt64 = 0
    var refused: UInt64 = 0
    var timeouts: UInt64 = 0
    var aborted: UInt64 = 0
    /// Latency of the answered ones, in microseconds.
    var microseconds: UInt64 = 20_000
}

struct FakeRouter {
    var boot = "a"
    private(set) var shares: [Int: ShareCounts] = [:]
    var canaryFailures: [String: UInt64] = [:]

    mutating func settle(share: Int, stable: Answers = Answers(), canary: Answers = Answers()) {
        change(share) { counts in
            counts.stable.settled.settle(stable)
            counts.canary.settled.settle(canary)
        }
    }

    mutating func change(_ share: Int, _ body: (inout ShareCounts) -> Void) {
        body(&shares[share, default: ShareCounts(share: share)])
    }

    var counts: TrafficCounts {
        TrafficCounts(boot: boot, shares: Array(shares.values), canaryFailures: canaryFailures)
    }
}

extension VersionCounts {
    mutating func settle(_ answers: Answers) {
        requests += answers.answered + answers.failed + answers.refused + answers.timeouts + answers.aborted
        statusClasses[1] += answers.answered
        statusClasses[4] += answers.failed
        connectFailures += answers.refused
        timeouts += answers.timeouts
        clientAborts += answers.aborted
        if answers.answered > 0 { latency.record(microseconds: answers.microseconds, count: answers.answered) }
    }
}

extension ContingencyTable {
    /// Bad and all of the canary, bad and all of stable.
    init(_ weight: Double, _ canaryBad: UInt64, _ canaryTotal: UInt64, _ stableBad: UInt64, _ stableTotal: UInt64) {
        self.init(
            weight: weight, canary: .init(bad: canaryBad, total: canaryTotal),
            stable: .init(bad: stableBad, total: stableTotal))
    }
}

extension JudgingSettings {
    /// Errors alone, for tests in which latency has nothing to say.
    static var errorsOnly: JudgingSettings {
        var settings = JudgingSettings()
        settings.latency = nil
        return settings
    }
}

/// Relative distance of two numbers.
func distance(_ value: Double, _ expected: Double) -> Double { abs(value / expected - 1) }
