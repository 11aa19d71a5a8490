// Goal: the rank test and the judge built on it answer as theirs do. Method: samples whose statistic is worked out by hand.

import Testing

@testable import JudgementBench

@Suite struct KayentaTests {
    @Test func `the standardised rank sum, with continuity correction and ties`() throws {
        // 4 wins of 4, 2 more than expected; variance 4/12 x 5.
        let apart = try #require(MannWhitney([3, 4], [1, 2]).z(shift: 0))
        #expect(abs(apart - 1.5 / (5.0 / 3).squareRoot()) < 1e-12)
        // 2 wins and 2 halves; three tied observations take 24/12 off the variance's 5.
        #expect(MannWhitney([1, 2], [1, 1]).z(shift: 0) == 0.5)
        #expect(MannWhitney([1, 1], [1, 1]).z(shift: 0) == nil)
        #expect(MannWhitney([3, 4], [1, 2]).z(shift: 2) == 0)
    }

    @Test func `the estimate is the shift between the samples, and its interval lies around it`() throws {
        let y = (0..<40).map { Double($0 * $0 % 37) + 0.01 * Double($0) }
        let test = MannWhitney(y.map { $0 + 5 }, y)
        let estimate = try #require(test.shift(at: 0))
        let lower = try #require(test.shift(at: KayentaRule.quantile))
        let upper = try #require(test.shift(at: -KayentaRule.quantile))
        #expect(abs(estimate - 5) < 0.05)
        #expect(lower < estimate - 1 && upper > estimate + 1)
    }

    @Test func `Brent's method finds roots, ends, and the place of a jump`() throws {
        let root = try #require(
            BrentRoot.find(low: 0, high: 2, atLow: -2, atHigh: 2, tolerance: 1e-10) { $0 * $0 - 2 })
        #expect(abs(root - 2.0.squareRoot()) < 1e-9)
        #expect(BrentRoot.find(low: 1, high: 2, atLow: 0, atHigh: 1) { _ in nil } == 1)
        #expect(BrentRoot.find(low: 1, high: 2, atLow: 1, atHigh: -1) { _ in nil } == nil)
        let jump = try #require(BrentRoot.find(low: -3, high: 5, atLow: 7, atHigh: -1) { $0 < 0.7 ? 7 : -1 })
        #expect(abs(jump - 0.7) < 1e-4)
    }

    @Test func `many more failures are High, the same in another order and fewer are not`() {
        let baseline = (0..<60).map { Double($0 % 3 == 0 ? 1 : 0) }
        #expect(KayentaRule.isHigh((0..<60).map { Double(12 + $0 % 7) }, against: baseline))
        #expect(!KayentaRule.isHigh(baseline.reversed(), against: baseline))
        #expect(!KayentaRule.isHigh(baseline, against: (0..<60).map { Double(12 + $0 % 7) }))
        #expect(!KayentaRule.isHigh(Array(repeating: 0, count: 60), against: baseline))
        #expect(!KayentaRule.isHigh([], against: []))
    }

    @Test func `it looks at the end of each hour, at all points so far`() {
        var rule = KayentaRule()
        var stopped: Int?
        // Bad from the first minute of the second hour on: the second look sees an hour of each.
        for minute in 1...240 where stopped == nil {
            let failed: UInt64 = minute > 60 ? 15 : 0
            let news = Settled(
                share: 500, canary: Tally(failed: failed, requests: 300), baseline: Tally(requests: 300),
                stable: Tally(requests: 5_700))
            if rule.rollsBack(after: news, at: Int64(minute) * 60_000) { stopped = minute }
        }
        #expect(stopped.map { $0 % 60 == 0 && $0 > 60 } == true, "\(stopped ?? 0)")
    }
}
