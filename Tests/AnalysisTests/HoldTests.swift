// Goal: what is nobody's fault, or the routing's, or an instance's, holds a release instead of judging it. Method: short
// stories through the whole judge.

import Testing

@testable import Analysis

@Suite struct HoldTests {
    /// A third of both versions' requests fail.
    private let incident = (stable: Answers(answered: 64, failed: 31), canary: Answers(answered: 4, failed: 2))

    @Test func `while both break a limit the release is held, and both rates are shown`() throws {
        var release = Rehearsal()
        release.beginStep()
        _ = release.healthy(seconds: 200)
        _ = release.tick(stable: incident.stable, canary: incident.canary)
        let reason = try #require(release.tick(stable: incident.stable, canary: incident.canary).hold)
        #expect(!reason.takesTrafficAway)
        #expect(
            reason.sentence == """
                on hold, incident: of the last minute's requests 62 of 5,700 (1.09 %) of stable and 4 of 302 (1.32 %) of \
                the canary failed, the limit is 1 %; that is not the canary's fault
                """)
        #expect(release.healthy(seconds: 55).hold != nil, "it is in the last minute still")
        #expect(release.healthy(seconds: 6).missing?.metric == .errors, "it is over, and has shown nothing")
        release.beginStep()
        #expect(release.healthy(seconds: 300) == .advance)
    }

    @Test func `a drained canary stays away as long as stable is in the incident`() {
        var settings = JudgingSettings.errorsOnly
        settings.sharedIncident = .drain
        var release = Rehearsal(settings)
        for _ in 0..<3 { _ = release.tick(stable: incident.stable, canary: incident.canary) }
        for _ in 0..<300 {
            let judgement = release.tick(share: 0, stable: incident.stable)
            #expect(judgement.hold?.takesTrafficAway == true)
        }
        for _ in 0..<60 { _ = release.tick(share: 0, stable: Answers(answered: 95)) }
        #expect(release.look().missing != nil)
        #expect(release.test.verdict == nil)
    }

    @Test func `a policy may roll back in an incident`() throws {
        var settings = JudgingSettings.errorsOnly
        settings.sharedIncident = .rollBack
        var release = Rehearsal(settings)
        _ = release.tick(stable: incident.stable, canary: incident.canary)
        let verdict = try #require(release.tick(stable: incident.stable, canary: incident.canary).verdict)
        #expect(
            verdict.sentence(release: "v42") == """
                rolled back v42: of the last minute's requests 62 of 190 (32.63 %) of stable and 4 of 12 (33.33 %) of the \
                canary failed, the limit is 1 %; the policy rolls back then.
                """)
    }

    @Test func `both over a latency limit is an incident as well`() throws {
        var settings = JudgingSettings.errorsOnly
        settings.limits.latency = [.init(perMille: 990, maxMicroseconds: 400_000)]
        var release = Rehearsal(settings)
        let slow = Answers(answered: 10, microseconds: 900_000)
        let reason = try #require(release.tick(share: 5_000, stable: slow, canary: slow).hold)
        #expect(
            reason.sentence.contains("10 of 10 (100 %) of the canary took longer than 400 ms, p99 allows 1 %"),
            "\(reason.sentence)")
    }

    @Test func `a limit that one version alone breaks is no incident`() {
        let good = Answers(answered: 100), bad = Answers(answered: 97, failed: 3)
        for (stable, canary) in [(good, bad), (bad, good)] {
            var release = Rehearsal()
            #expect(release.tick(share: 5_000, stable: stable, canary: canary).missing != nil)
        }
    }

    @Test func `a split that was not asked for holds the step, and says both`() throws {
        var release = Rehearsal()
        release.beginStep()
        let reason = try #require(
            release.tick(stable: Answers(answered: 980), canary: Answers(answered: 20)).hold)
        #expect(
            reason.sentence == """
                on hold, routing: the canary got 20 of 1,000 requests, 5 % was asked for; a fair split looks like this in \
                fewer than 1 of 25,000 steps (limit: 1 of 10,000)
                """)
        release.beginStep()
        #expect(release.look().missing != nil, "the next step is checked by itself")
        #expect(release.healthy(seconds: 200) == .advance)
    }

    @Test func `a canary that hangs has got its requests: that is not the routing's fault`() {
        var release = Rehearsal()
        release.beginStep()
        for second in 1...30 as ClosedRange<UInt64> {
            release.router.change(500) { $0.canary.inFlight = 5 * second }
            let judgement = release.tick(stable: Answers(answered: 95))
            #expect(judgement.hold == nil)
        }
        #expect(release.test.routing.canary == 150)
        release.router.change(500) { $0.canary.inFlight = 0 }
        #expect(release.tick(canary: Answers(timeouts: 150)).verdict != nil)
        #expect(release.test.routing.canary == 150, "settled, not given out again")
    }
}
