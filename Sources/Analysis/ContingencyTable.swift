// What settled in both arms at one weight. Pure: no clock, no I/O.

/// Settled units of both arms that were given out at one weight: good and bad, canary and stable (a 2x2 table).
package struct ContingencyTable: Hashable, Sendable, Codable {
    package struct Trials: Hashable, Sendable, Codable {
        /// Failed, or slow; what it means is the test's.
        package var bad: UInt64
        package var total: UInt64

        package init(bad: UInt64 = 0, total: UInt64 = 0) {
            self.bad = bad
            self.total = total
        }

        var good: UInt64 { total - min(bad, total) }

        mutating func add(_ other: Trials) {
            bad += other.bad
            total += other.total
        }
    }

    /// Probability that the coin gave a unit to the canary, 0...1.
    package var weight: Double
    package var canary: Trials
    package var stable: Trials

    package init(weight: Double, canary: Trials = Trials(), stable: Trials = Trials()) {
        self.weight = weight
        self.canary = canary
        self.stable = stable
    }

    /// At weight 0 or 1 there is nobody to compare with: such units say nothing about whose failures these are.
    var isComparison: Bool { weight > 0 && weight < 1 }

    /// Without the canary's units.
    var ofStable: ContingencyTable { ContingencyTable(weight: weight, stable: stable) }

    /// One table a weight, lightest first: sums over the result do not depend on the order of `tables`, to the last bit.
    static func merged(_ tables: [ContingencyTable]) -> [ContingencyTable] {
        var merged: [ContingencyTable] = []
        for table in tables.sorted(by: { $0.weight < $1.weight }) {
            if let last = merged.indices.last, merged[last].weight == table.weight {
                merged[last].canary.add(table.canary)
                merged[last].stable.add(table.stable)
            } else {
                merged.append(table)
            }
        }
        return merged
    }
}
