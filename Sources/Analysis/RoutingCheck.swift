// Does the canary get the share that was asked for? (Sample ratio mismatch.) Pure: no clock, no I/O.

import Glibc

/// An e-process against "each unit was given to the canary with probability w".
///
/// Expert j says that it was theta_j = expit(logit(w) + shift_j) and multiplies its stake with theta_j/w for a unit of the
/// canary and (1 - theta_j)/(1 - w) for one of stable; the mean is 1 under the null. (Lindon, Malek 2022.)
struct RoutingCheck: Hashable, Sendable, Codable {
    static let shifts: [Double] = [-0.25, 0.25, -0.5, 0.5, -1, 1, -2, 2]

    private(set) var experts = Experts(count: RoutingCheck.shifts.count, cash: 0)
    private(set) var canary: UInt64 = 0
    private(set) var stable: UInt64 = 0
    /// Units that the canary was to get.
    private(set) var expected = 0.0

    /// E, 1 at the start.
    var evidence: Double { experts.wealth }

    /// - Parameter tables: units that were given out, whether they have settled or not; only `total` counts.
    mutating func settle(_ tables: [ContingencyTable]) {
        var exponents = Array(repeating: 0.0, count: Self.shifts.count)
        for table in ContingencyTable.merged(tables) where table.isComparison {
            for (expert, shift) in Self.shifts.enumerated() {
                // theta/w = e^s / (1 + w (e^s - 1)), and (1 - theta)/(1 - w) = 1 / (1 + w (e^s - 1))
                let norm = log1p(table.weight * expm1(shift))
                exponents[expert] += power(shift - norm, table.canary.total) + power(-norm, table.stable.total)
            }
            canary += table.canary.total
            stable += table.stable.total
            expected += table.weight * Double(table.canary.total + table.stable.total)
        }
        experts.settle(exponents)
    }
}
