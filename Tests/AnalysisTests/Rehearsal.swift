// A release under judgement: one router, a clock, and the judge.

@testable import Analysis

struct Rehearsal {
    var test: ReleaseTest
    var router = FakeRouter()
    var now: Int64
    var isCanaryReady = true

    static let start: Int64 = 1_700_000_000_000

    init(_ settings: JudgingSettings = .errorsOnly, past: VersionCounts = VersionCounts()) {
        now = Self.start
        test = ReleaseTest(settings: settings, at: now, past: past)
    }

    mutating func beginStep(seconds: Int64 = 60) { test.beginStep(shortestMilliseconds: seconds * 1_000, at: now) }

    /// What these requests, settled within the next second, lead to.
    mutating func tick(share: Int = 500, stable: Answers = Answers(), canary: Answers = Answers()) -> Judgement {
        router.settle(share: share, stable: stable, canary: canary)
        return look()
    }

    mutating func look(afterMilliseconds elapsed: Int64 = 1_000) -> Judgement {
        now += elapsed
        return test.judge(Tick(at: now, counts: [router.counts], isCanaryReady: isCanaryReady))
    }

    /// Both versions answer, at 5 % for so many seconds, 5 and 95 requests each; the last judgement.
    mutating func healthy(seconds: Int, share: Int = 500) -> Judgement {
        var last = look(afterMilliseconds: 0)
        for _ in 0..<seconds { last = tick(share: share, stable: Answers(answered: 95), canary: Answers(answered: 5)) }
        return last
    }
}

extension Judgement {
    var verdict: RollbackVerdict? {
        if case .rollBack(let verdict) = self { return verdict }
        return nil
    }

    var hold: HoldReason? {
        if case .hold(let reason) = self { return reason }
        return nil
    }

    var missing: MissingEvidence? {
        if case .goOn(let missing) = self { return missing }
        return nil
    }
}
