// Does a version that has all traffic break its absolute limits? Pure: no clock, no I/O.

import Glibc

/// ln of what a bad and a good request multiply each expert's stake with.
///
/// The null: at most a share t of the requests is bad. Expert k bets on q_k = expit(logit(t) + shift_k): q_k/t and
/// (1 - q_k)/(1 - t), with mean <= 1 for every rate up to t.
struct LimitFactors: Hashable, Sendable {
    private(set) var bad: [Double] = []
    private(set) var good: [Double] = []

    /// - Parameter rate: t; a limit of 0 is judged as one of 1 in a million.
    init(rate: Double) {
        let limit = min(max(rate, 1e-6), 1 - 1e-6)
        for shift in Experts.shifts {
            let expected = expit(logit(limit) + shift)
            bad.append(log(expected / limit))
            good.append(log((1 - expected) / (1 - limit)))
        }
    }
}

/// Wealth against one limit.
struct LimitTest: Hashable, Sendable, Codable {
    let bound: AbsoluteLimits.Bound
    private(set) var experts = Experts()
    private(set) var trials = ContingencyTable.Trials()

    init(_ bound: AbsoluteLimits.Bound) { self.bound = bound }

    mutating func settle(_ new: ContingencyTable.Trials) {
        let factors = LimitFactors(rate: bound.rate)
        experts.settle(
            Experts.shifts.indices.map { expert in
                power(factors.bad[expert], new.bad) + power(factors.good[expert], new.good)
            })
        trials.add(new)
    }

    mutating func drip(_ amount: Double) { experts.drip(amount) }
}
