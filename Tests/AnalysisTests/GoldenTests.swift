// Goal: the tests are the ones that were specified, digit by digit. Method: worked examples, to a relative 1e-9.

import Glibc
import Testing

@testable import Analysis

@Suite struct GoldenTests {
    struct ErrorExample: Sendable {
        var weight: Double
        var null: ErrorNull
        /// E for (canary failed, canary total, stable failed) = (3,60,1), (5,60,1), (0,60,1), (4,40,0).
        var evidence: [Double]
    }

    private static let counts: [(UInt64, UInt64, UInt64)] = [(3, 60, 1), (5, 60, 1), (0, 60, 1), (4, 40, 0)]

    private static let errorExamples = [
        ErrorExample(
            weight: 0.05, null: ErrorNull(),
            evidence: [151.6266149530438, 30084.99240805777, 0.4416239671441931, 20592.38981136291]),
        ErrorExample(
            weight: 0.05, null: ErrorNull(excess: 0),
            evidence: [315.3380784609651, 68699.71908469222, 0.5539032982012972, 37828.96195480779]),
        ErrorExample(
            weight: 0.05, null: ErrorNull(ratio: 1.5, excess: 0),
            evidence: [110.0726888032635, 11218.0378350741, 0.5058572438597772, 9801.728367984427]),
        ErrorExample(
            weight: 0.5, null: ErrorNull(),
            evidence: [0.8569788718495405, 2.179961863750282, 0.24817776568349, 10.07288415279147]),
        ErrorExample(
            weight: 0.01, null: ErrorNull(excess: 0.02),
            evidence: [0.792790781592391, 8.607194375834667, 0.07541644745108778, 8.643187207040234]),
    ]

    @Test(arguments: errorExamples)
    func `errors`(_ example: ErrorExample) {
        for (counts, expected) in zip(Self.counts, example.evidence) {
            var test = ErrorTest(null: example.null)
            test.settle([ContingencyTable(example.weight, counts.0, counts.1, counts.2, 1_140)])
            let evidence = (test.wealth - 0.5) / 0.5
            #expect(distance(evidence, expected) < 1e-9, "\(counts): \(evidence), expected \(expected)")
        }
    }

    @Test func `wealth of five failures of sixty`() {
        var test = ErrorTest(null: ErrorNull())
        test.settle([ContingencyTable(0.05, 5, 60, 1, 1_140)])
        #expect(distance(test.wealth, 15042.99620402888) < 1e-9)
    }

    @Test func `the factors of one expert`() throws {
        let factors = ErrorFactors(weight: 0.05, null: ErrorNull())
        let expert = try #require(Experts.shifts.firstIndex(of: 4))
        let failed = exp(factors.canaryFailed[expert])
        #expect(distance(failed, 14.8229899165) < 1e-9)
        #expect(distance((failed - 1) / 0.999, 13.83682674) < 1e-9)
        #expect(distance(exp(factors.canaryAnswered[expert]), 0.986163173257) < 1e-9)
        #expect(distance(exp(factors.stableFailed[expert]), 0.271745960883) < 1e-9)
    }

    @Test func `latency`() {
        var test = QuantileTest(perMille: 950)
        test.settle([ContingencyTable(0.05, 9, 50, 48, 950)])
        #expect(distance((test.experts.wealth - 0.5) / 0.5, 36.90325784087198) < 1e-9)
    }

    @Test func `absolute limits`() {
        let examples: [(UInt64, UInt64, Double)] = [
            (3, 10, 540.31517254852), (4, 40, 67.11730824970289), (2, 4, 190.4299281846159),
            (0, 40, 0.20215290351030168),
        ]
        for (bad, total, expected) in examples {
            var test = LimitTest(AbsoluteLimits().bounds[0])
            test.settle(.init(bad: bad, total: total))
            #expect(distance((test.experts.wealth - 0.5) / 0.5, expected) < 1e-9, "\(bad) of \(total)")
        }
    }

    @Test func `advance`() {
        let factors = AdvanceFactors(past: .init(), excess: 0.005, weight: 0.05)
        #expect(distance(exp(factors.canaryFailed), 0.16666666666667) < 1e-9)
        #expect(distance(exp(factors.canaryAnswered), 1.0041876046901) < 1e-9)
        #expect(distance(exp(factors.stableFailed), 1.0440800493697) < 1e-9)
        let examples: [(UInt64, UInt64, UInt64, Double)] = [
            (0, 700, 13, 32.65417962638317), (0, 800, 15, 54.06198682594907), (1, 900, 17, 14.85522111853255),
        ]
        for (failed, total, stable, expected) in examples {
            var test = AdvanceTest(settings: JudgingSettings())
            test.settle(errors: [ContingencyTable(0.05, failed, total, stable, 19 * total)])
            #expect(distance(test.errors, expected) < 1e-9, "\(failed) of \(total), \(stable)")
        }
    }

    @Test func `routing`() {
        for (canary, expected) in [(50, 0.057561867473698), (80, 448.78030026132), (20, 25334.850680758)]
            as [(UInt64, Double)]
        {
            var check = RoutingCheck()
            check.settle([ContingencyTable(0.05, 0, canary, 0, 1_000 - canary)])
            #expect(distance(check.evidence, expected) < 1e-9, "\(canary) of 1000: \(check.evidence)")
        }
    }
}
