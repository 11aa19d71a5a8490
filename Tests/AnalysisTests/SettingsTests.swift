// Goal: every number of a policy has its effect. Method: one story, judged with the default and with the number changed.

import Testing

@testable import Analysis

@Suite struct SettingsTests {
    private func settings(_ change: (inout JudgingSettings) -> Void) -> JudgingSettings {
        var settings = JudgingSettings.errorsOnly
        change(&settings)
        return settings
    }

    /// Canary failures in a row, one each second among its five requests, until it goes back.
    private func failuresUntilVerdict(_ settings: JudgingSettings, stableFails: UInt64 = 0, atMost: Int = 30) -> Int? {
        var release = Rehearsal(settings)
        for failures in 1...atMost {
            let stable = Answers(answered: 95 - stableFails, failed: stableFails)
            if release.tick(stable: stable, canary: Answers(answered: 4, failed: 1)).verdict != nil { return failures }
        }
        return nil
    }

    /// Canary requests until a step passes, all of them answered.
    private func requestsUntilAdvance(_ settings: JudgingSettings, past: VersionCounts = VersionCounts()) -> Int? {
        var release = Rehearsal(settings, past: past)
        release.beginStep()
        for seconds in 1...1_000 where release.healthy(seconds: 1) == .advance { return seconds * 5 }
        return nil
    }

    private var fast: VersionCounts {
        var counts = VersionCounts()
        counts.settle(Answers(answered: 2_000))
        return counts
    }

    @Test func `a smaller alpha asks for more evidence`() throws {
        let usual = try #require(failuresUntilVerdict(settings { _ in }))
        let strict = try #require(failuresUntilVerdict(settings { $0.falseAlarmRate = 1e-9 }))
        #expect(usual == 3 && strict > usual)
        #expect(failuresUntilVerdict(settings { $0.falseAlarmRate = 0 }) == nil)
    }

    @Test func `rho and delta grant what they say`() throws {
        // The canary fails 20 %, stable 4.2 %.
        let usual = try #require(failuresUntilVerdict(settings { _ in }, stableFails: 4))
        let ratio = failuresUntilVerdict(settings { $0.errors.ratio = 6 }, stableFails: 4, atMost: 200)
        #expect(usual < 20 && ratio == nil)
        #expect(failuresUntilVerdict(settings { $0.errors.excess = 0.25 }, atMost: 200) == nil)
        #expect(try #require(failuresUntilVerdict(settings { $0.errors.excess = 0.05 })) > 3)
    }

    @Test func `the number of failures without which nothing goes back`() {
        #expect(failuresUntilVerdict(settings { $0.minimumFailures = 12 }) == 12)
        var release = Rehearsal(settings { $0.minimumFailures = 2 })
        #expect(release.tick(share: 100, canary: Answers(failed: 2)).verdict != nil, "three are the default")
    }

    @Test func `what is to be proven, and how surely`() throws {
        let usual = try #require(requestsUntilAdvance(settings { _ in }))
        #expect(try #require(requestsUntilAdvance(settings { $0.provenExcess = 0.01 })) < usual)
        #expect(try #require(requestsUntilAdvance(settings { $0.advanceEvidence = 100 })) > usual)
    }

    @Test func `each quantile is judged and has to be proven`() throws {
        func release(_ quantiles: [JudgingSettings.Quantile]) -> ReleaseTest {
            let settings = settings {
                $0.latency = JudgingSettings.Latency()
                $0.latency?.quantiles = quantiles
            }
            return ReleaseTest(settings: settings, at: 0, past: fast)
        }
        #expect(release([.init(perMille: 750, provenExcess: 0.03)]).latency?.quantiles.map(\.perMille) == [750])
        #expect(release([.init(perMille: 750, provenExcess: 0.03)]).edges?.edges.map(\.perMille) == [750])
        #expect(release([]).latency == nil, "none is no latency")
        func proven(_ excess: Double) -> Int? {
            requestsUntilAdvance(
                settings {
                    $0.latency = JudgingSettings.Latency()
                    $0.latency?.quantiles = [.init(perMille: 990, provenExcess: excess)]
                }, past: fast)
        }
        #expect(try #require(proven(0.02)) < (try #require(proven(0.01))))
    }

    @Test func `a margin that is granted is granted`() {
        func canaryBucket(_ margin: Double) -> Int {
            LatencyEdge(perMille: 950, stableBucket: 110, margin: margin, marginMicroseconds: 0).canaryBucket
        }
        #expect([0, 0.01, 0.04, 0.1, 0.2, 0.5].map(canaryBucket) == [110, 111, 111, 111, 112, 115])
    }

    @Test func `weights say how much of W each metric is`() {
        func wealth(errors: Double, latency: Double) -> Double {
            var release = Rehearsal(
                settings {
                    $0.latency = JudgingSettings.Latency()
                    ($0.errorsWeight, $0.latencyWeight) = (errors, latency)
                }, past: fast)
            _ = release.tick(share: 5_000, stable: Answers(answered: 50), canary: Answers(answered: 49, failed: 1))
            return release.test.wealth
        }
        let errors = wealth(errors: 1, latency: 0), latency = wealth(errors: 0, latency: 1)
        #expect(errors != latency)
        #expect(distance(wealth(errors: 0.6, latency: 0.4), 0.6 * errors + 0.4 * latency) < 1e-12)
        #expect(distance(wealth(errors: 3, latency: 1), 0.75 * errors + 0.25 * latency) < 1e-12)
        #expect(wealth(errors: 0, latency: 0) == 1, "nothing is bet")
    }

    @Test func `failures in a dry run are judged and stop nothing`() throws {
        let dry = settings {
            $0.latency = JudgingSettings.Latency()
            $0.errorsDryRun = true
        }
        var release = Rehearsal(dry, past: fast)
        release.beginStep()
        // The canary fails 4 %: above a tenth latency would say nothing.
        func tick(_ microseconds: UInt64) -> Judgement {
            release.tick(
                stable: Answers(answered: 912),
                canary: Answers(answered: 48, failed: 2, microseconds: microseconds))
        }
        var judgement = Judgement.resume
        for _ in 0..<600 where judgement != .advance { judgement = tick(20_000) }
        #expect(release.test.errors.wealth > 1e6 && judgement == .advance)
        #expect(release.test.wealth == release.test.latency?.wealth, "latency has all of alpha")
        for _ in 0..<60 where judgement.verdict == nil { judgement = tick(90_000) }
        let verdict = try #require(judgement.verdict)
        #expect(verdict.leading != .errors && verdict.sentence(release: "v42").contains("slower than stable, evidence"))
    }

    @Test func `latency in a dry run is judged and stops nothing`() throws {
        let dry = settings {
            $0.latency = JudgingSettings.Latency()
            $0.latency?.dryRun = true
        }
        var release = Rehearsal(dry)
        release.beginStep()
        var judgement = release.look()
        var seconds = 0
        while judgement != .advance, seconds < 200 {
            seconds += 1
            judgement = release.tick(
                stable: Answers(answered: 95), canary: Answers(answered: 5, microseconds: 900_000))
            #expect(judgement.missing?.stableRequests ?? 0 == 0)
        }
        #expect(seconds <= 144 && judgement == .advance, "errors alone are proven")
        #expect(try #require(release.test.latency?.wealth) > 1e6)
        #expect(release.test.wealth == release.test.errors.wealth)
        let verdict = try #require(release.tick(canary: Answers(failed: 9)).verdict)
        #expect(verdict.leading == .errors && !verdict.judgesLatency)
    }

    @Test func `with everything in a dry run nothing goes back and steps pass by their time`() {
        let dry = settings { $0.errorsDryRun = true }
        var release = Rehearsal(dry)
        release.beginStep()
        var judgement = release.look()
        for _ in 0..<58 {
            judgement = release.tick(stable: Answers(answered: 95), canary: Answers(failed: 5))
            #expect(judgement.missing?.metric == nil && judgement != .advance)
        }
        #expect(release.test.wealth == 1)
        #expect(release.tick(canary: Answers(failed: 5)) == .advance)
    }
}
