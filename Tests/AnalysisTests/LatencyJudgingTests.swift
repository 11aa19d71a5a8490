// Goal: a slow canary goes back, by edges that were chosen before. Method: short stories through the whole judge.

import Testing

@testable import Analysis

@Suite struct LatencyJudgingTests {
    private func past(_ microseconds: UInt64 = 20_000, count: UInt64 = 2_000) -> VersionCounts {
        var counts = VersionCounts()
        counts.settle(Answers(answered: count, microseconds: microseconds))
        return counts
    }

    @Test func `a margin of 10 % is one bucket, 20 % are two, milliseconds come on top`() {
        func edge(margin: Double, microseconds: Int64 = 0) -> LatencyEdge {
            LatencyEdge(perMille: 950, stableBucket: 110, margin: margin, marginMicroseconds: microseconds)
        }
        #expect(edge(margin: 0).canaryBucket == 110)
        #expect(edge(margin: 0.1).canaryBucket == 111)
        #expect(edge(margin: 0.2).canaryBucket == 112)
        #expect(
            distance(edge(margin: 0.1).canaryMicroseconds / edge(margin: 0.1).stableMicroseconds, 1.0905077326652577)
                < 1e-12)
        // x is 13.8 ms: 10 % and 5 ms more are 20.2 ms, between buckets 114 (19.5 ms) and 115 (21.2 ms).
        #expect(edge(margin: 0.1, microseconds: 5_000).canaryBucket == 114)
        #expect(edge(margin: 1e30, microseconds: .max).canaryBucket == LatencyHistogram.bucketCount - 2)
    }

    @Test func `edges come from a thousand answers of stable, and only from those before`() throws {
        var edges = LatencyEdges(settings: JudgingSettings.Latency())
        var half = LatencyHistogram()
        half.record(microseconds: 1_000, count: 999)
        edges.add(half, at: 0)
        #expect(edges.edges.isEmpty && edges.missing == 1)
        var slow = LatencyHistogram()
        slow.record(microseconds: 64_000, count: 1)
        edges.add(slow, at: 0)
        #expect(edges.missing == 0)
        let first = try #require(edges.edges.first)
        #expect(first.perMille == 500 && first.stableBucket == LatencyHistogram.bucket(microseconds: 1_000))
        let frozen = edges
        slow.record(microseconds: 64_000, count: 5_000)
        edges.add(slow, at: 59_999)
        #expect(edges.edges == frozen.edges, "within the minute")
        edges.add(LatencyHistogram(), at: 60_000)
        #expect(edges.edges.first?.stableBucket == LatencyHistogram.bucket(microseconds: 64_000))
        var fast = LatencyHistogram()
        fast.record(microseconds: 1_000, count: 1_500)
        edges.add(fast, at: 120_000)
        #expect(edges.edges == frozen.edges, "each minute stands for itself")
    }

    @Test func `a canary that is twice as slow goes back within 50 requests`() throws {
        var release = Rehearsal(JudgingSettings(), past: past())
        var verdict: RollbackVerdict?
        var requests: UInt64 = 0
        while verdict == nil, requests < 50 {
            requests += 1
            verdict =
                release.tick(
                    stable: Answers(answered: 19), canary: Answers(answered: 1, microseconds: 40_000)
                ).verdict
        }
        let reached = try #require(verdict)
        #expect(reached.leading != .errors && reached.canary.bad == requests)
        let sentence = reached.sentence(release: "v42")
        #expect(sentence.contains("slow requests were on the canary, which gets 5 % of traffic"), "\(sentence)")
        #expect(sentence.contains("If the canary was at most 9.05 % slower than stable, evidence"), "\(sentence)")
    }

    @Test func `a canary as fast as stable, or slower by less than the margin, keeps its wealth down`() {
        // Stable's bucket ends at 21.2 ms, the canary's at 23.2 ms.
        for microseconds in [15_000, 20_000, 23_000] as [UInt64] {
            var release = Rehearsal(JudgingSettings(), past: past())
            for _ in 0..<600 {
                let judgement = release.tick(
                    stable: Answers(answered: 19), canary: Answers(answered: 1, microseconds: microseconds))
                #expect(judgement.verdict == nil)
            }
            #expect(release.test.wealth < 1)
        }
    }

    @Test func `a timeout is slow under every edge, another failure is left out`() {
        var release = Rehearsal(JudgingSettings(), past: past())
        _ = release.tick(stable: Answers(answered: 95), canary: Answers(answered: 3, failed: 1, timeouts: 1))
        let quantile = release.test.latency?.quantiles[2]
        #expect(quantile?.canary == .init(bad: 1, total: 4))
        #expect(quantile?.stable == .init(bad: 0, total: 95))
    }

    @Test func `while a tenth of either version's requests fails, latency says nothing`() {
        for stableFails in [true, false] {
            var settings = JudgingSettings()
            settings.falseAlarmRate = 1e-300
            var release = Rehearsal(settings, past: past())
            func slow(_ failing: UInt64) -> (stable: Answers, canary: Answers) {
                (
                    Answers(answered: 80, failed: stableFails ? failing : 0),
                    Answers(answered: 80, failed: stableFails ? 0 : failing, microseconds: 90_000)
                )
            }
            // The first failing tick is judged: what came before it was healthy.
            _ = release.tick(stable: slow(20).stable, canary: slow(20).canary)
            let bets = release.test.latency
            let edges = release.test.edges
            #expect(bets?.wealth != 1)
            for _ in 0..<9 { _ = release.tick(stable: slow(0).stable, canary: slow(0).canary) }
            #expect(release.test.latency != bets, "2 % of the last ten seconds")
            var failing = Rehearsal(settings, past: past())
            _ = failing.tick(stable: slow(20).stable, canary: slow(20).canary)
            for _ in 0..<12 { _ = failing.tick(stable: slow(20).stable, canary: slow(20).canary) }
            #expect(failing.test.latency == bets && failing.test.edges == edges)
            // Ten seconds after the last failure it goes on.
            for _ in 0..<10 { _ = failing.look() }
            _ = failing.tick(stable: slow(0).stable, canary: slow(0).canary)
            #expect(failing.test.latency != bets)
        }
    }

    @Test func `without enough answers of stable nothing is bet and no step passes`() {
        var release = Rehearsal(JudgingSettings())
        release.beginStep()
        var last = Judgement.advance
        for _ in 0..<120 {
            last = release.tick(
                share: 5_000, stable: Answers(answered: 8), canary: Answers(answered: 8, microseconds: 2_000_000))
        }
        #expect(release.test.latency?.quantiles.allSatisfy { $0.canary.total == 0 } == true)
        #expect(last.missing?.stableRequests == 40, "\(last)")
    }

    @Test func `overdue is stable's p99, at least 250 ms`() {
        #expect(ReleaseTest(settings: JudgingSettings(), at: 0).overdueAfterMicroseconds == 250_000)
        #expect(ReleaseTest(settings: JudgingSettings(), at: 0, past: past()).overdueAfterMicroseconds == 250_000)
        let slow = ReleaseTest(settings: JudgingSettings(), at: 0, past: past(1 << 20)).overdueAfterMicroseconds
        #expect(slow == Double(1 << 20))
    }
}
