// Goal: under its null no bet gains on average. Method: the mean of every factor of one event, over grids of rates and
// weights; exact sums, so the only tolerance is that of doubles.

import Glibc
import Testing

@testable import Analysis

@Suite struct NullTests {
    private static let weights = [1e-6, 0.0001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.75, 0.9, 0.99, 0.9999]
    private static let rates = [0, 1e-6, 0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 0.999, 1]
    private static let shifts = Experts.shifts.indices

    @Test func `a canary that fails as much as the null grants earns an expert nothing`() {
        for (ratio, excess) in [(1, 0.001), (1, 0), (1.5, 0), (2, 0.01), (0.5, 0.02), (0, 0.05), (1, 0.5)] {
            let null = ErrorNull(ratio: ratio, excess: excess)
            for weight in Self.weights {
                let factors = ErrorFactors(weight: weight, null: null)
                for stable in Self.rates {
                    for canary in Self.rates + [ratio * stable + excess] where canary <= ratio * stable + excess {
                        guard canary <= 1 else { continue }
                        for expert in Self.shifts {
                            let mean =
                                weight * canary * exp(factors.canaryFailed[expert])
                                + weight * (1 - canary) * exp(factors.canaryAnswered[expert])
                                + (1 - weight) * (stable * exp(factors.stableFailed[expert]) + 1 - stable)
                            #expect(
                                mean <= 1 + 1e-12, "\(null) w \(weight) p_s \(stable) p_c \(canary) \(expert): \(mean)")
                        }
                    }
                }
            }
        }
    }

    @Test func `given that a request fails, only the coin decides, and that earns nothing`() {
        for weight in Self.weights {
            for excess in [0, 0.001, 0.02] {
                let factors = ErrorFactors(weight: weight, null: ErrorNull(excess: excess))
                for expert in Self.shifts {
                    let failed =
                        weight * exp(factors.canaryFailed[expert]) + (1 - weight) * exp(factors.stableFailed[expert])
                    let answered = weight * exp(factors.canaryAnswered[expert]) + (1 - weight)
                    #expect(failed <= 1 + 1e-12 && answered <= 1)
                    if excess == 0 { #expect(abs(failed - 1) < 1e-12 && answered == 1) }
                }
            }
        }
    }

    @Test func `a canary that is slow no more often than stable earns an expert nothing`() {
        for tail in [1e-6, 0.001, 0.01, 0.05, 0.5, 0.9] {
            for weight in Self.weights {
                let factors = LatencyFactors(tail: tail, weight: weight)
                for expert in Self.shifts {
                    let slow =
                        weight * exp(factors.canarySlow[expert]) + (1 - weight) * exp(factors.stableSlow[expert])
                    let fast =
                        weight * exp(factors.canaryFast[expert]) + (1 - weight) * exp(factors.stableFast[expert])
                    #expect(abs(slow - 1) < 1e-12 && abs(fast - 1) < 1e-12, "the coin decides: q \(tail) w \(weight)")
                    // Whatever share of stable is really slow: the estimate of q need not be right.
                    for stable in Self.rates {
                        for canary in Self.rates where canary <= stable {
                            let mean =
                                weight * canary * exp(factors.canarySlow[expert])
                                + weight * (1 - canary) * exp(factors.canaryFast[expert])
                                + (1 - weight) * stable * exp(factors.stableSlow[expert])
                                + (1 - weight) * (1 - stable) * exp(factors.stableFast[expert])
                            #expect(mean <= 1 + 1e-12, "q \(tail) w \(weight) \(stable) \(canary): \(mean)")
                        }
                    }
                }
            }
        }
    }

    @Test func `a canary that fails by the excess more often does not get on by chance`() {
        for excess in [0.0005, 0.005, 0.05, 0.5] {
            for past in [(0, 0), (0, 10_000), (3, 400), (900, 1_000), (1_000_000_000, 1_000_000_000)]
                as [(UInt64, UInt64)]
            {
                for weight in Self.weights {
                    let factors = AdvanceFactors(
                        past: .init(bad: past.0, total: past.1), excess: excess, weight: weight)
                    for stable in Self.rates {
                        for canary in Self.rates + [stable + excess] where canary >= stable + excess && canary <= 1 {
                            let mean =
                                weight * canary * exp(factors.canaryFailed)
                                + weight * (1 - canary) * exp(factors.canaryAnswered)
                                + (1 - weight) * (stable * exp(factors.stableFailed) + 1 - stable)
                            #expect(mean <= 1 + 1e-12, "\(excess) \(past) \(weight) \(stable) \(canary): \(mean)")
                        }
                    }
                }
            }
        }
    }

    @Test func `a canary that is slow by the excess more often does not get on by chance`() {
        for (tail, excess) in [(0.5, 0.05), (0.05, 0.02), (0.01, 0.01), (0.9, 0.2), (0.001, 0.005), (1e-6, 0.01)] {
            for weight in Self.weights {
                let factors = LatencyAdvanceFactors(tail: tail, excess: excess, weight: weight)
                for stable in Self.rates {
                    for canary in Self.rates + [stable + excess] where canary >= stable + excess && canary <= 1 {
                        let mean =
                            weight * canary * exp(factors.canarySlow) + weight * (1 - canary) * exp(factors.canaryFast)
                            + (1 - weight) * stable * exp(factors.stableSlow)
                            + (1 - weight) * (1 - stable) * exp(factors.stableFast)
                        #expect(mean <= 1 + 1e-12, "m \(tail) d \(excess) w \(weight) \(stable) \(canary): \(mean)")
                    }
                }
            }
        }
    }

    @Test func `the advance tests are fair at their null and gain below it`() {
        let weight = 0.05, stable = 0.002
        let errors = AdvanceFactors(past: .init(bad: 40, total: 20_000), excess: 0.005, weight: weight)
        let latency = LatencyAdvanceFactors(tail: 0.05, excess: 0.02, weight: weight)
        func mean(errors canary: Double) -> Double {
            weight * canary * exp(errors.canaryFailed) + weight * (1 - canary) * exp(errors.canaryAnswered)
                + (1 - weight) * (stable * exp(errors.stableFailed) + 1 - stable)
        }
        func mean(latency canary: Double) -> Double {
            weight * canary * exp(latency.canarySlow) + weight * (1 - canary) * exp(latency.canaryFast)
                + (1 - weight) * 0.05 * exp(latency.stableSlow) + (1 - weight) * 0.95 * exp(latency.stableFast)
        }
        #expect(abs(mean(errors: stable + 0.005) - 1) < 1e-12 && mean(errors: stable) > 1 + 1e-4)
        #expect(abs(mean(latency: 0.07) - 1) < 1e-12 && mean(latency: 0.05) > 1 + 1e-4)
    }

    @Test func `a version within its limit earns an expert nothing`() {
        for limit in Self.rates {
            let factors = LimitFactors(rate: limit)
            for rate in Self.rates where rate <= limit && rate < 1 {
                for expert in Self.shifts {
                    let mean = rate * exp(factors.bad[expert]) + (1 - rate) * exp(factors.good[expert])
                    #expect(mean <= 1 + 1e-12, "limit \(limit) rate \(rate): \(mean)")
                }
            }
        }
    }

    @Test func `a fair split earns the routing check nothing`() {
        for weight in Self.weights {
            var canary = RoutingCheck(), stable = RoutingCheck()
            canary.settle([ContingencyTable(weight, 0, 1, 0, 0)])
            stable.settle([ContingencyTable(weight, 0, 0, 0, 1)])
            for expert in RoutingCheck.shifts.indices {
                let mean =
                    8 * (weight * canary.experts.stakes[expert] + (1 - weight) * stable.experts.stakes[expert])
                #expect(abs(mean - 1) < 1e-12, "w \(weight): \(mean)")
            }
        }
    }
}
