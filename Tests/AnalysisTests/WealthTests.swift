// Goal: wealth behaves whatever the counts are. Method: random and extreme counts, laws checked after each step.

import Glibc
import Testing

@testable import Analysis

@Suite struct WealthTests {
    @Test func `only a canary failure makes the errors' wealth rise`() {
        var generator = SeededGenerator(seed: 11)
        var test = ErrorTest(null: ErrorNull())
        for _ in 0..<4_000 {
            let weight = generator.pick([0, 0.01, 0.05, 0.5, 0.99, 1])
            let before = test.wealth
            switch UInt64.random(in: 0..<4, using: &generator) {
            case 0:
                test.settle([ContingencyTable(weight, 1, 1, 0, 0)])
                #expect(weight == 0 || weight == 1 ? test.wealth == before : test.wealth > before)
            case 1:
                test.settle([ContingencyTable(weight, 0, 40, 0, 0)])
                #expect(test.wealth <= before)
            case 2:
                test.settle([ContingencyTable(weight, 0, 0, 1, 1)])
                #expect(test.wealth <= before)
            default:
                test.settle([ContingencyTable(weight, 0, 0, 0, 1_000)])
                #expect(test.wealth == before)
            }
        }
    }

    /// A fast answer of stable shifts the odds of all that is slow towards the canary, so it may raise the wealth: by
    /// (1 - q)/(1 - p_k) and no more. That is why slow canary requests are asked for besides.
    @Test func `fast canary requests and slow stable ones never make the latency's wealth rise`() {
        var generator = SeededGenerator(seed: 12)
        for perMille in [500, 950, 990] {
            var test = QuantileTest(perMille: perMille)
            for _ in 0..<1_500 {
                let weight = generator.pick([0.01, 0.05, 0.5, 0.99])
                let before = test.experts.wealth
                switch UInt64.random(in: 0..<4, using: &generator) {
                case 0:
                    test.settle([ContingencyTable(weight, 1, 1, 0, 0)])
                    #expect(test.experts.wealth > before)
                case 1:
                    test.settle([ContingencyTable(weight, 0, 1, 0, 0)])
                    #expect(test.experts.wealth <= before)
                case 2:
                    test.settle([ContingencyTable(weight, 0, 0, 1, 1)])
                    #expect(test.experts.wealth <= before)
                default:
                    test.settle([ContingencyTable(weight, 0, 0, 0, 1)])
                    let most = LatencyFactors(tail: QuantileTest.tail(perMille: perMille), weight: weight).stableFast
                        .max()
                    #expect(test.experts.wealth <= before * exp(most ?? 0) * (1 + 1e-12))
                }
            }
        }
    }

    @Test func `the order and the grouping of counts within a tick change no bit`() {
        var generator = SeededGenerator(seed: 13)
        for _ in 0..<300 {
            let tables = (0..<6).map { _ in
                ContingencyTable(
                    generator.pick([0.01, 0.05, 0.2, 0.5]),
                    .random(in: 0...5, using: &generator), .random(in: 5...500, using: &generator),
                    .random(in: 0...5, using: &generator), .random(in: 5...5_000, using: &generator))
            }
            var errors = [ErrorTest](repeating: ErrorTest(null: ErrorNull()), count: 2)
            var latency = [QuantileTest](repeating: QuantileTest(perMille: 950), count: 2)
            var routing = [RoutingCheck](repeating: RoutingCheck(), count: 2)
            var advance = [AdvanceTest](repeating: AdvanceTest(settings: JudgingSettings()), count: 2)
            for (index, tables) in [tables, tables.shuffled(using: &generator)].enumerated() {
                errors[index].settle(tables)
                latency[index].settle(tables)
                routing[index].settle(tables)
                advance[index].settle(errors: tables)
                advance[index].settle(latency: [tables, tables, tables])
            }
            #expect(errors[0] == errors[1])
            #expect(latency[0] == latency[1])
            #expect(routing[0].experts == routing[1].experts)
            #expect(advance[0] == advance[1])
        }
    }

    @Test func `no counts and no rates make wealth infinite or nothing`() {
        let large: [UInt64] = [0, 1, 1_000_000_000]
        let weights = [0, .leastNonzeroMagnitude, 1e-12, 0.05, 0.5, 0.999_999, 1 - .ulpOfOne / 2, 1]
        let nulls = [
            ErrorNull(), ErrorNull(excess: 0), ErrorNull(ratio: 0, excess: 0), ErrorNull(ratio: 1e6, excess: 0.999),
        ]
        for weight in weights {
            for counts in large.flatMap({ a in large.flatMap { b in large.map { c in (a, b, c) } } }) {
                let table = ContingencyTable(weight, counts.0, counts.0 + counts.1, counts.2, counts.2 + counts.1)
                for null in nulls {
                    var test = ErrorTest(null: null)
                    for _ in 0..<3 { test.settle([table]) }
                    #expect(test.wealth.isFinite && test.wealth > 0, "\(null) \(table)")
                }
                for perMille in [1, 500, 990, 1_000] {
                    var test = QuantileTest(perMille: perMille)
                    for _ in 0..<3 { test.settle([table]) }
                    #expect(test.experts.wealth.isFinite && test.experts.wealth > 0, "p\(perMille) \(table)")
                }
                var routing = RoutingCheck()
                var advance = AdvanceTest(settings: JudgingSettings())
                for _ in 0..<3 {
                    routing.settle([table])
                    advance.settle(errors: [table])
                    advance.settle(latency: [[table], [table], [table]])
                }
                #expect(routing.evidence.isFinite)
                #expect(
                    advance.evidence(with: [table]).allSatisfy { $0.evidence.isFinite && $0.evidence > 0 }, "\(table)")
            }
        }
        for rate in [0, .leastNonzeroMagnitude, 0.01, 1 - .ulpOfOne / 2, 1] {
            for trials in [
                ContingencyTable.Trials(bad: 1_000_000_000, total: 1_000_000_000), .init(total: 1_000_000_000),
            ] {
                var test = LimitTest(.init(metric: .errors, rate: rate))
                for _ in 0..<3 { test.settle(trials) }
                #expect(test.experts.wealth.isFinite && test.experts.wealth > 0)
            }
        }
    }

    @Test func `cash goes into play in equal parts, once a minute, and none is lost`() {
        var drip = Drip(startedAt: 1_000, minutes: 10)
        var experts = Experts()
        #expect(drip.due(at: 60_999) == 0)
        let first = drip.due(at: 61_000)
        #expect(first == 0.05)
        #expect(drip.due(at: 61_000) == 0, "asked twice")
        #expect(drip.due(at: 0) == 0, "a clock that went back")
        experts.drip(first)
        experts.drip(drip.due(at: 1_000 + 3 * 60_000))
        #expect(distance(experts.cash, 0.35) < 1e-12)
        #expect(experts.stakes.allSatisfy { distance($0, 0.65 / 8) < 1e-12 })
        experts.drip(drip.due(at: .max / 2))
        experts.drip(drip.due(at: .max))
        #expect(abs(experts.cash) < 1e-12 && experts.cash >= 0)
        #expect(distance(experts.wealth, 1) < 1e-12)
    }

    @Test func `each minute of a release puts cash of every metric into play`() {
        var release = Rehearsal(JudgingSettings())
        for minute in 1...3 as ClosedRange<Int64> {
            _ = release.look(afterMilliseconds: 60_000)
            let cash = 0.5 - 0.5 * Double(minute) / 1_440
            #expect(distance(release.test.errors.experts.cash, cash) < 1e-12)
            for quantile in release.test.latency?.quantiles ?? [] {
                #expect(distance(quantile.experts.cash, cash) < 1e-12)
            }
        }
        #expect(release.test.latency?.quantiles.count == 3)
    }

    @Test func `without the drip a release that was healthy for hours notices a bad hour hundreds of requests later`() {
        func requestsUntilNoticed(dripping: Bool) -> Int {
            var test = ErrorTest(null: ErrorNull())
            var drip = Drip(startedAt: 0, minutes: 1_440)
            for minute in 1...360 as ClosedRange<Int64> {
                test.settle([ContingencyTable(0.05, minute % 3 == 0 ? 1 : 0, 300, 6, 5_700)])
                if dripping { test.drip(drip.due(at: minute * 60_000)) }
            }
            for requests in 1...10_000 {
                test.settle([ContingencyTable(0.05, requests % 20 == 0 ? 1 : 0, 1, 0, 19)])
                if test.wealth >= 166 { return requests }
            }
            return .max
        }
        #expect(requestsUntilNoticed(dripping: true) <= 240)
        #expect(requestsUntilNoticed(dripping: false) > 3_000)
    }
}
