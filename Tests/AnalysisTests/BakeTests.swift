// Goal: a version that has all traffic is held to its limits. Method: short stories.

import Testing

@testable import Analysis

@Suite struct BakeTests {
    private func story(_ arm: BakeTest.Arm = .stable, limits: AbsoluteLimits = AbsoluteLimits()) -> BakeTest {
        var settings = JudgingSettings()
        settings.limits = limits
        return BakeTest(settings: settings, arm: arm, at: 0)
    }

    @Test func `a version over its limit goes back, with counts and limit`() throws {
        var bake = story()
        var router = FakeRouter()
        router.settle(share: 0, stable: Answers(answered: 7, failed: 3))
        #expect(bake.judge(Tick(at: 1_000, counts: [router.counts])) == nil, "W is 270")
        router.settle(share: 0, stable: Answers(answered: 7, failed: 3))
        let judged = bake.judge(Tick(at: 2_000, counts: [router.counts]))
        let verdict = try #require(judged)
        #expect(
            verdict.cause == .limit(.init(metric: .errors, rate: 0.01)) && verdict.canary == .init(bad: 6, total: 20))
        let sentence = verdict.sentence(release: "v42")
        #expect(
            sentence.hasPrefix("rolled back v42: 6 of 20 requests failed, the limit is 1 %. If it kept its limits, "))
        #expect(sentence.hasSuffix(" releases (limit: 1 of 1,000)."), "\(sentence)")
        router.settle(share: 0, stable: Answers(answered: 100_000))
        #expect(bake.judge(Tick(at: 3_000, counts: [router.counts])) == verdict)
    }

    @Test func `what was counted before the bake is not the bake's`() {
        var router = FakeRouter()
        router.settle(share: 0, stable: Answers(failed: 500))
        var bake = BakeTest(settings: JudgingSettings(), arm: .stable, at: 0, baseline: [router.counts])
        router.settle(share: 0, stable: Answers(answered: 10))
        #expect(bake.judge(Tick(at: 1_000, counts: [router.counts])) == nil)
        #expect(bake.requests == 10)
    }

    @Test func `a canary with all traffic is judged by its own counts`() {
        var bake = story(.canary)
        var router = FakeRouter()
        router.settle(share: 10_000, stable: Answers(failed: 50), canary: Answers(answered: 50))
        #expect(bake.judge(Tick(at: 1_000, counts: [router.counts])) == nil && bake.wealth < 1)
        router.settle(share: 10_000, canary: Answers(failed: 20))
        #expect(bake.judge(Tick(at: 2_000, counts: [router.counts])) != nil)
    }

    @Test func `a latency limit counts timeouts, and its verdict names the quantile`() throws {
        var bake = story(limits: AbsoluteLimits(latency: [.init(perMille: 990, maxMicroseconds: 400_000)]))
        var router = FakeRouter()
        router.settle(share: 0, stable: Answers(answered: 100, microseconds: 390_000))
        #expect(bake.judge(Tick(at: 1_000, counts: [router.counts])) == nil && bake.wealth < 1)
        router.settle(share: 0, stable: Answers(answered: 20, microseconds: 900_000))
        let judged = bake.judge(Tick(at: 2_000, counts: [router.counts]))
        let verdict = try #require(judged)
        #expect(verdict.leading == .latency(perMille: 990) && verdict.canary == .init(bad: 20, total: 120))
        #expect(
            verdict.sentence(release: "v42").contains(": 20 of 120 requests took longer than 400 ms, p99 allows 1 %."))
    }

    @Test func `hours within the limit do not blind it`() {
        var bake = story()
        var router = FakeRouter()
        for minute in 1...180 as ClosedRange<Int64> {
            router.settle(share: 0, stable: Answers(answered: 5_994, failed: 6))
            #expect(bake.judge(Tick(at: minute * 60_000, counts: [router.counts])) == nil)
        }
        var requests = 0
        while bake.verdict == nil, requests < 2_000 {
            requests += 20
            router.settle(share: 0, stable: Answers(answered: 19, failed: 1))
            _ = bake.judge(Tick(at: 10_800_000 + Int64(requests), counts: [router.counts]))
        }
        #expect(requests < 500, "\(requests)")
    }
}
