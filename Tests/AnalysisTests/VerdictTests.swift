// Goal: a bad canary goes back, with the right words, and nothing else does. Method: short stories through the whole judge.

import Testing

@testable import Analysis

@Suite struct VerdictTests {
    private let fiveOfSixty = (stable: Answers(answered: 1_139, failed: 1), canary: Answers(answered: 55, failed: 5))

    @Test func `five failures of sixty against one of 1,140 roll back, and the operator reads why`() throws {
        var release = Rehearsal()
        release.router.canaryFailures = ["canary-1": 5]
        let verdict = try #require(
            release.tick(stable: fiveOfSixty.stable, canary: fiveOfSixty.canary).verdict)
        #expect(distance(verdict.wealth, 15042.99620402888) < 1e-9)
        #expect(verdict.leading == .errors && verdict.leadingShift == 4)
        #expect(verdict.canary == .init(bad: 5, total: 60) && verdict.stable == .init(bad: 1, total: 1_140))
        #expect(verdict.shares == [.init(share: 500, canary: verdict.canary, stable: verdict.stable)])
        #expect(
            verdict.sentence(release: "v42") == """
                rolled back v42: 5 of the 6 failed requests were on the canary, which gets 5 % of traffic (canary 5 of 60, \
                stable 1 of 1,140). If the canary failed at most 0.1 points more often than stable, evidence this strong \
                would come up in fewer than 1 of 15,000 releases (limit: 1 of 100). all 5 failures: instance canary-1.
                """)
    }

    @Test func `with latency judged as well the failures still claim what they prove by themselves`() throws {
        var release = Rehearsal(JudgingSettings())
        let verdict = try #require(release.tick(stable: fiveOfSixty.stable, canary: fiveOfSixty.canary).verdict)
        #expect(distance(verdict.wealth, 0.6 * 15042.99620402888 + 0.4) < 1e-9)
        #expect(distance(verdict.leadingWealth, 15042.99620402888) < 1e-9)
        #expect(verdict.sentence(release: "v42").contains("in fewer than 1 of 15,000 releases (limit: 1 of 100)."))
    }

    @Test func `other nulls are named as they are`() throws {
        var settings = JudgingSettings.errorsOnly
        settings.errors = ErrorNull(ratio: 1.5, excess: 0)
        settings.falseAlarmRate = 0.05
        var release = Rehearsal(settings)
        let first = try #require(release.tick(stable: fiveOfSixty.stable, canary: fiveOfSixty.canary).verdict)
        let sentence = first.sentence(release: "shop-7")
        #expect(
            sentence.hasSuffix(
                "If the canary failed at most 1.5 times as often as stable, evidence this strong would come up in fewer "
                    + "than 1 of 5,600 releases (limit: 1 of 20)."), "\(sentence)")
    }

    @Test func `several shares and several failing instances are told as they were`() throws {
        var release = Rehearsal()
        _ = release.tick(share: 100, stable: Answers(answered: 990), canary: Answers(answered: 10))
        release.router.canaryFailures = ["canary-1": 3, "canary-2": 2]
        let verdict = try #require(release.tick(stable: fiveOfSixty.stable, canary: fiveOfSixty.canary).verdict)
        let sentence = verdict.sentence(release: "v42")
        #expect(sentence.contains("which got 1 % to 5 % of traffic (canary 5 of 70, stable 1 of 2,130)"), "\(sentence)")
        #expect(!sentence.contains("instance"), "\(sentence)")
        #expect(verdict.shares.map(\.share) == [100, 500])
    }

    @Test func `a verdict stays, whatever comes later`() throws {
        var release = Rehearsal()
        let first = release.tick(stable: fiveOfSixty.stable, canary: fiveOfSixty.canary)
        release.beginStep()
        for _ in 0..<200 {
            #expect(release.tick(stable: Answers(answered: 950), canary: Answers(answered: 50)) == first)
        }
    }

    @Test func `two failures are not enough, however unlikely they are`() {
        var release = Rehearsal()
        let judgement = release.tick(share: 100, canary: Answers(failed: 2))
        #expect(release.test.wealth >= 100)
        #expect(judgement.verdict == nil)
        #expect(release.tick(share: 100, canary: Answers(failed: 1)).verdict != nil)
    }

    @Test func `an outage of both in which the canary is only the first to fail is not blamed on it`() {
        var release = Rehearsal()
        _ = release.healthy(seconds: 60)
        // The canary's pool is small and fails at once; stable's requests hang until they time out.
        release.router.change(500) { $0.stable.overdue = 150 }
        for second in 1...5 as ClosedRange<UInt64> {
            release.router.change(500) { $0.stable.overdue = 95 * second }
            #expect(release.tick(canary: Answers(failed: 5)).verdict == nil, "after \(second) s")
        }
        #expect(release.test.wealth >= 100, "without the guard it would be")
        release.router.change(500) { $0.stable.overdue = 0 }
        _ = release.tick(stable: Answers(timeouts: 475), canary: Answers(failed: 5))
        #expect(release.test.verdict == nil)
    }

    @Test func `stable's hanging requests protect the canary only as long as somebody sees them hang`() {
        var release = Rehearsal()
        release.router.change(500) { $0.stable.overdue = 400 }
        #expect(release.tick(stable: fiveOfSixty.stable, canary: fiveOfSixty.canary).verdict == nil)
        // The router is gone for good; what was in flight in it is in flight no more.
        release.now += 40_001
        #expect(
            release.test.judge(Tick(at: release.now, counts: [TrafficCounts(boot: "b", shares: [])])).verdict != nil)
    }

    @Test func `requests that the client gave up did not fail, and do not show that the canary is good`() {
        var release = Rehearsal()
        _ = release.tick(stable: Answers(answered: 9_500), canary: Answers(aborted: 500))
        #expect(release.test.wealth < 1 && release.test.errors.canary == .init(bad: 0, total: 500))
        #expect(release.test.advance.errors == 1)
    }

    @Test func `share 0 and share 100 % say nothing about whose failures these are`() {
        for share in [0, 10_000] {
            var release = Rehearsal()
            let judgement = release.tick(share: share, stable: Answers(failed: 50), canary: Answers(failed: 50))
            #expect(release.test.wealth == 1 && judgement.verdict == nil)
            #expect(release.test.errors.canary.total == 0 && release.test.shares.isEmpty)
        }
    }
}
