// Goal: an instance that restarts costs the canary its traffic once, not the release. Method: the machine alone and stories.

import Testing

@testable import Analysis

@Suite struct OutageTests {
    private func out(_ release: inout Rehearsal) -> Judgement {
        _ = release.healthy(seconds: 60)
        release.isCanaryReady = false
        release.router.canaryFailures["canary-1", default: 0] += 6
        return release.tick(stable: Answers(answered: 95), canary: Answers(refused: 6))
    }

    @Test func `the canary goes out of traffic at once and starts again when it is ready`() throws {
        var release = Rehearsal()
        release.beginStep()
        let reason = try #require(out(&release).hold)
        #expect(reason == .instance(["canary-1"]) && reason.takesTrafficAway)
        #expect(reason.sentence.hasPrefix("on hold, instance: canary-1 cannot be reached; it gets no traffic"))
        for _ in 0..<10 { #expect(release.tick(share: 0, stable: Answers(answered: 95)).hold == reason) }
        release.isCanaryReady = true
        #expect(release.tick(share: 0, stable: Answers(answered: 95)) == .resume)
        #expect(release.test.wealth == 1)
        #expect(release.test.errors.canary.total == 0)
        release.beginStep()
        #expect(release.healthy(seconds: 200) == .advance)
    }

    @Test func `the second time it goes back, and so says the verdict`() throws {
        var release = Rehearsal()
        #expect(out(&release).hold != nil)
        release.isCanaryReady = true
        #expect(release.look() == .resume)
        let verdict = try #require(out(&release).verdict)
        #expect(verdict.cause == .outage && verdict.failuresByInstance == ["canary-1": 6])
        let sentence = verdict.sentence(release: "v42")
        #expect(
            sentence.hasPrefix("rolled back v42: its instances went away for more than 30 s or a second time; 6 of"))
        #expect(sentence.hasSuffix("all 6 failures: instance canary-1."), "\(sentence)")
    }

    @Test func `not ready within 30 s goes back`() {
        var release = Rehearsal()
        #expect(out(&release).hold != nil)
        for _ in 0..<30 { #expect(release.look().hold != nil) }
        let judgement = release.look()
        #expect(judgement.verdict?.cause == .outage)
        release.isCanaryReady = true
        #expect(release.look() == judgement)
    }

    @Test func `one answered failure among them makes it a bad version`() {
        var release = Rehearsal()
        release.isCanaryReady = false
        let judgement = release.tick(canary: Answers(failed: 1, refused: 6))
        #expect(judgement.verdict?.cause == .worse)
    }

    @Test func `an answered failure that settles while it is out does too`() {
        var release = Rehearsal()
        #expect(out(&release).hold != nil)
        #expect(release.tick(canary: Answers(failed: 1)).verdict?.cause == .worse)
    }

    @Test func `connections that fail for longer than ten seconds are no outage`() {
        var settings = JudgingSettings.errorsOnly
        settings.minimumFailures = 12
        var release = Rehearsal(settings)
        var judgement = release.look()
        for _ in 0..<12 { judgement = release.tick(stable: Answers(answered: 95), canary: Answers(refused: 1)) }
        #expect(judgement.verdict?.cause == .worse)
    }

    @Test func `a slow canary is not excused by a connection that failed`() {
        var past = VersionCounts()
        past.settle(Answers(answered: 2_000))
        var release = Rehearsal(JudgingSettings(), past: past)
        _ = release.tick(stable: Answers(answered: 95), canary: Answers(answered: 4, refused: 1))
        var judgement = release.look()
        for _ in 0..<40 where judgement.verdict == nil {
            judgement = release.tick(
                stable: Answers(answered: 95), canary: Answers(answered: 5, microseconds: 60_000))
        }
        #expect(judgement.verdict?.cause == .worse && judgement.verdict?.leading != .errors)
    }

    @Test func `the machine: every short sequence of events ends at most once in a second chance`() {
        enum Event: CaseIterable { case refusal, answeredFailure, verdict, ready, tenSeconds, halfMinute }
        for code in 0..<6 * 6 * 6 * 6 * 6 * 6 {
            var rest = code
            var watch = OutageWatch()
            var now: Int64 = 0
            var resumed = 0
            for _ in 0..<6 {
                let event = Event.allCases[rest % 6]
                rest /= 6
                switch event {
                case .refusal: watch.note(failures: 1, connection: 1, at: now)
                case .answeredFailure: watch.note(failures: 1, connection: 0, at: now)
                case .verdict:
                    let isSpent = watch.state == .spent
                    #expect(!(watch.excuses(at: now) && isSpent))
                case .ready:
                    let before = watch.state
                    if watch.resumes() {
                        resumed += 1
                        #expect(before != .watching && before != .spent)
                        #expect(watch.state == .spent)
                    }
                case .tenSeconds: now += 10_001
                case .halfMinute: now += 30_001
                }
            }
            #expect(resumed <= 1)
        }
    }
}
