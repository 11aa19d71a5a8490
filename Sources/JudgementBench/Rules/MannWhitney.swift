// The rank-sum test with an interval for the shift between two samples, for samples with few different values.

import Glibc

/// Wilcoxon's rank-sum statistic as a function of the shift that is taken off the first sample, in the normal
/// approximation with ties and continuity correction (as `wilcox.test(x, y, conf.int = TRUE)` of R has it).
package struct MannWhitney: Sendable {
    private let x: [(value: Double, count: Double)]
    private let y: [(value: Double, count: Double)]
    private let xCount: Double
    private let yCount: Double

    /// Either sample as its different values, in any order; both not empty.
    package init(_ x: [Double], _ y: [Double]) {
        self.x = Self.values(x)
        self.y = Self.values(y)
        xCount = Double(x.count)
        yCount = Double(y.count)
    }

    /// The standardised rank sum of `x - shift` against `y`; it falls as the shift rises. nil when all are tied.
    func z(shift: Double) -> Double? {
        var wins = 0.0, ties = 0.0
        var next = 0
        var below = 0.0
        for item in x {
            let moved = item.value - shift
            while next < y.count, y[next].value < moved {
                below += y[next].count
                next += 1
            }
            wins += item.count * below
            var together = item.count
            if next < y.count, y[next].value == moved {
                wins += item.count * y[next].count / 2
                together += y[next].count
                // That group of y is counted here and not again below.
                ties -= cube(y[next].count)
            }
            ties += cube(together)
        }
        for item in y { ties += cube(item.count) }
        let all = xCount + yCount
        let distance = wins - xCount * yCount / 2
        let variance = xCount * yCount / 12 * (all + 1 - ties / (all * (all - 1)))
        guard variance > 0 else { return nil }
        let correction = distance > 0 ? 0.5 : distance < 0 ? -0.5 : 0
        return (distance - correction) / variance.squareRoot()
    }

    /// The shift at which ``z(shift:)`` passes through `quantile`, to 1e-4; nil when it cannot be computed.
    func shift(at quantile: Double) -> Double? {
        guard let first = x.first, let last = x.last, let lowest = y.first, let highest = y.last else { return nil }
        let low = first.value - highest.value
        let high = last.value - lowest.value
        guard let atLow = z(shift: low), let atHigh = z(shift: high) else { return nil }
        if atLow <= quantile { return low }
        if atHigh >= quantile { return high }
        return BrentRoot.find(low: low, high: high, atLow: atLow - quantile, atHigh: atHigh - quantile) { shift in
            z(shift: shift).map { $0 - quantile }
        }
    }

    private func cube(_ count: Double) -> Double { count * count * count - count }

    private static func values(_ sample: [Double]) -> [(value: Double, count: Double)] {
        var counts: [Double: Double] = [:]
        for value in sample { counts[value, default: 0] += 1 }
        return counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
