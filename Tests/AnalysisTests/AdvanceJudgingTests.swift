// Goal: a step passes when the canary is shown to be good, and only then. Method: short stories through the whole judge.

import Testing

@testable import Analysis

@Suite struct AdvanceJudgingTests {
    @Test func `a healthy canary passes its step once the evidence is there`() throws {
        var release = Rehearsal()
        release.beginStep()
        var requests: UInt64 = 0
        var judgement = release.look()
        while judgement != .advance, requests < 5_000 {
            let missing = try #require(judgement.missing)
            #expect(missing.metric == .errors || missing.milliseconds > 0)
            judgement = release.healthy(seconds: 1)
            requests += 5
        }
        // 1.0041876^n >= 20 takes 716 requests; 1.0050251^n, the most that a stable without failures gives, 598.
        #expect((598...716).contains(requests), "\(requests)")
    }

    @Test func `the shortest time of a step is its own, and at least the timeout and ten seconds`() {
        for (seconds, expected) in [(120, 120), (1, 40)] as [(Int64, Int64)] {
            var release = Rehearsal()
            release.beginStep(seconds: seconds)
            var judgement = release.tick(stable: Answers(answered: 95_000), canary: Answers(answered: 5_000))
            while judgement != .advance, release.now < Rehearsal.start + 1_000_000 {
                judgement = release.healthy(seconds: 1)
            }
            #expect(release.now - Rehearsal.start == expected * 1_000)
        }
    }

    @Test func `each step starts afresh`() {
        var release = Rehearsal()
        release.beginStep()
        #expect(release.healthy(seconds: 200) == .advance)
        release.beginStep(seconds: 1)
        let judgement = release.healthy(seconds: 60)
        #expect(judgement.missing?.metric == .errors, "\(judgement)")
        #expect(release.healthy(seconds: 100) == .advance)
    }

    @Test func `canary requests that hang count as failed before they time out`() {
        var release = Rehearsal()
        release.beginStep()
        _ = release.healthy(seconds: 200)
        release.router.change(500) { $0.canary.overdue = 3 }
        #expect(release.look().missing?.metric == .errors)
        release.router.change(500) { $0.canary.overdue = 0 }
        #expect(release.look() == .advance)
    }

    @Test func `nothing passes while there is wealth against the canary`() throws {
        var settings = JudgingSettings.errorsOnly
        settings.provenExcess = 0.2
        var release = Rehearsal(settings)
        release.beginStep()
        _ = release.tick(stable: Answers(answered: 5_000), canary: Answers(answered: 200, failed: 3))
        release.now += 120_000
        let judgement = release.tick(canary: Answers(answered: 1))
        let wealth = try #require(judgement.missing?.wealth)
        #expect((10..<100).contains(wealth) && judgement.missing?.metric == nil, "\(judgement)")
        #expect(release.healthy(seconds: 60) == .advance)
    }

    @Test func `nothing passes without a fresh reading`() {
        var release = Rehearsal()
        release.beginStep(seconds: 300)
        _ = release.healthy(seconds: 290)
        release.now += 20_000
        let silent = release.test.judge(Tick(at: release.now, counts: []))
        #expect(silent.missing != nil, "\(silent)")
        #expect(release.look() == .advance)
    }

    @Test func `no traffic is no evidence, neither for nor against, and is held after the policy's patience`() throws {
        var release = Rehearsal()
        release.beginStep(seconds: 60)
        for _ in 0..<659 { #expect(release.look().missing?.evidence == 1) }
        let reason = try #require(release.look().hold)
        #expect(distance(release.test.wealth, 1) < 1e-12)
        #expect(reason.sentence.hasPrefix("on hold, not enough evidence: needs "), "\(reason.sentence)")
        #expect(!reason.takesTrafficAway)
        #expect(release.healthy(seconds: 200) == .advance, "traffic that comes late is taken as it is")
    }

    @Test func `latency has to be shown good as well, at every quantile`() {
        var past = VersionCounts()
        past.settle(Answers(answered: 940))
        past.settle(Answers(answered: 40, microseconds: 60_000))
        past.settle(Answers(answered: 20, microseconds: 90_000))
        var release = Rehearsal(JudgingSettings(), past: past)
        release.beginStep()
        // As slow as stable at p50 and p95; 3 % instead of 1 % above stable's p99.
        for _ in 0..<400 {
            release.router.settle(
                share: 500, stable: Answers(answered: 94), canary: Answers(answered: 94, microseconds: 20_000))
            release.router.settle(share: 500, stable: Answers(answered: 4, microseconds: 60_000))
            release.router.settle(share: 500, stable: Answers(answered: 2, microseconds: 90_000))
            release.router.settle(share: 500, canary: Answers(answered: 3, microseconds: 180_000))
            _ = release.look()
        }
        let weakest = release.test.advance.evidence(with: []).min { $0.evidence < $1.evidence }
        #expect(weakest?.metric == .latency(perMille: 990))
        #expect((weakest?.evidence ?? 1) < 1)
        #expect(release.test.advance.errors >= 20)
    }

    @Test func `what a step still needs is forecast, and the forecast comes true`() throws {
        var release = Rehearsal()
        release.beginStep()
        let judgement = release.healthy(seconds: 60)
        let needed = try #require(judgement.missing?.canaryUnits)
        let more = try #require(Int(exactly: needed))
        #expect(judgement.missing?.sentence.contains("more canary requests for errors") == true)
        // Evidence is counted in ticks of five requests; stable's estimate gets better meanwhile.
        _ = release.healthy(seconds: more / 5 * 7 / 10)
        #expect(release.test.advance.errors < 20)
        _ = release.healthy(seconds: more / 5 * 4 / 10)
        #expect(release.test.advance.errors >= 20)
    }
}
