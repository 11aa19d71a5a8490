// Goal: intervals, quantiles and goals of the tables are right, so that a missed goal shows. Method: known values.

import Glibc
import Testing

@testable import JudgementBench

@Suite struct TableTests {
    @Test func `exact intervals have their textbook values`() {
        let half = Proportion(5, of: 10).interval
        #expect(abs(half.lowerBound - 0.18709) < 1e-5 && abs(half.upperBound - 0.81291) < 1e-5)
        let none = Proportion(0, of: 375).interval
        #expect(none.lowerBound == 0 && abs(none.upperBound - (1 - pow(0.025, 1.0 / 375))) < 1e-12)
        #expect(Proportion(10, of: 10).interval.upperBound == 1)
        #expect(Proportion(3, of: 200).text == "1.5 % (0.3-4.3)")
    }

    @Test func `an acceptance limit is the smallest count that a goal just reached stays below`() {
        for (goal, trials) in [(0.01, 40), (0.05, 100), (0.5, 60)] {
            let ceiling = Proportion.ceiling(goal: goal, trials: trials, tail: 1e-4)
            #expect(1 - Proportion.probability(ofAtMost: ceiling, of: trials, goal) <= 1e-4)
            #expect(1 - Proportion.probability(ofAtMost: ceiling - 1, of: trials, goal) > 1e-4)
        }
    }

    @Test func `quantiles are nearest ranks, and what never came is the largest`() {
        let values: [UInt64?] = [3, 1, nil, 2]
        #expect(quantile(0.5, of: values) == 2)
        #expect(quantile(0.75, of: values) == 3)
        #expect(quantile(0.95, of: values) == nil)
        #expect(medianAndMost([1_234, 1_234_567]) == "1,234 / 1,234,567")
    }

    @Test func `a goal is missed by a median, a p95, a count of failures, or a canary that is not found`() {
        let goal = BadCanary.Goal(medianRequests: 10, p95Requests: 20, p95Failures: 3)
        let good: [Tally?] = Array(repeating: Tally(failed: 3, requests: 10), count: 20)
        #expect(goal.isMet(by: good))
        #expect(goal.isMet(by: good.dropLast() + [nil]))
        #expect(!goal.isMet(by: good.dropLast(2) + [nil, nil]))
        #expect(!goal.isMet(by: good.map { $0.map { Tally(failed: $0.failed, requests: 11) } }))
        #expect(!goal.isMet(by: good.map { $0.map { Tally(failed: 4, requests: $0.requests) } }))
        var table = Table("title", ["a"])
        table.add(["x"], goal: "<= 1", isMet: false)
        table.add(["y"], goal: nil, isMet: false)
        table.add(["z"], goal: "<= 1", isMet: true)
        #expect(table.missed == ["title: x"])
        #expect(
            table.markdown == """
                **title**

                | a | goal |  |
                |---|---|---|
                | x | <= 1 | GOAL MISSED |
                | y |  |  |
                | z | <= 1 | goal met |
                """)
    }
}
