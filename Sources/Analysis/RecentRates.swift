// How both versions did in the last minute, second by second. Pure: the clock is an argument.

/// Bad and all requests under each absolute limit, of either version.
package struct ArmRates: Hashable, Sendable, Codable {
    package var stable = ContingencyTable.Trials()
    package var canary = ContingencyTable.Trials()

    package init() {}

    mutating func add(_ other: ArmRates) {
        stable.add(other.stable)
        canary.add(other.canary)
    }
}

/// The last minute.
struct RecentRates: Hashable, Sendable, Codable {
    private struct Second: Hashable, Sendable, Codable {
        var second: Int64
        /// In the order of ``AbsoluteLimits/bounds``: failures first.
        var rates: [ArmRates]
    }

    private var seconds: [Second] = []

    mutating func add(_ rates: [ArmRates], at now: Int64) {
        let second = now / 1_000
        seconds.removeAll { $0.second <= second - 60 }
        if let last = seconds.indices.last, seconds[last].second == second, seconds[last].rates.count == rates.count {
            for index in rates.indices { seconds[last].rates[index].add(rates[index]) }
        } else {
            seconds.append(Second(second: second, rates: rates))
        }
    }

    /// Sums over the last so many seconds; empty when there are none.
    func rates(ofLast count: Int64, at now: Int64) -> [ArmRates] {
        var sums: [ArmRates] = []
        for second in seconds where second.second > now / 1_000 - count {
            if sums.isEmpty { sums = second.rates.map { _ in ArmRates() } }
            for index in second.rates.indices { sums[index].add(second.rates[index]) }
        }
        return sums
    }

    /// More than this share of either version's requests of the last 10 s failed.
    func isFailing(above share: Double, at now: Int64) -> Bool {
        guard let failures = rates(ofLast: 10, at: now).first else { return false }
        return [failures.stable, failures.canary].contains { Double($0.bad) > share * Double($0.total) }
    }
}
