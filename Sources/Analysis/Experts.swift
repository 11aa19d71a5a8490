// The betting core: capital split over fixed betting rules. Pure: no clock, no I/O.

import Glibc

/// The wealth of a mixture of experts, each of which bets all it has on every event.
///
/// If each expert's factor has mean <= 1 under the null, the wealth is an e-process: the chance that it ever reaches
/// c times its start is at most 1/c (Ville 1939), whenever and however often it is looked at. See Ramdas, Grünwald, Shafer,
/// Vovk, "Game-theoretic statistics and safe anytime-valid inference", 2023.
struct Experts: Hashable, Sendable, Codable {
    /// How far the experts' alternatives are from the null, in log odds.
    static let shifts: [Double] = [0.5, 1, 1.5, 2, 3, 4, 5, 6.5]

    /// Not at stake yet.
    private(set) var cash: Double
    /// What each expert has at stake.
    private(set) var stakes: [Double]

    /// Wealth 1, of which `cash` is kept back and the rest is split evenly.
    init(count: Int = Experts.shifts.count, cash: Double = 0.5) {
        self.cash = cash
        stakes = Array(repeating: (1 - cash) / Double(count), count: count)
    }

    var wealth: Double { stakes.reduce(cash, +) }

    /// The expert with the most at stake.
    var leader: Int {
        var leader = 0
        for expert in stakes.indices where stakes[expert] > stakes[leader] { leader = expert }
        return leader
    }

    /// Multiplies every stake by its factor.
    ///
    /// - Parameter exponents: ln(factor) of each expert; `-infinity` loses everything.
    mutating func settle(_ exponents: [Double]) {
        for expert in stakes.indices { stakes[expert] = Self.bounded(stakes[expert], exponents[expert]) }
    }

    /// What the wealth would be after these factors.
    func wealth(after exponents: [Double]) -> Double {
        var copy = self
        copy.settle(exponents)
        return copy.wealth
    }

    /// Puts cash at stake, in equal parts. It keeps a release that was healthy for hours from having nothing left to bet.
    mutating func drip(_ amount: Double) {
        let moved = min(amount, cash)
        guard moved > 0 else { return }
        cash -= moved
        for expert in stakes.indices { stakes[expert] += moved / Double(stakes.count) }
    }

    /// Never 0, so that a stake can recover, and never infinite; both change the wealth by less than 1e-240.
    static func bounded(_ stake: Double, _ exponent: Double) -> Double {
        min(max(stake * exp(min(exponent, 500)), 1e-250), 1e250)
    }
}

/// When cash is put at stake: equal parts once a minute, all of it after ``minutes``.
struct Drip: Hashable, Sendable, Codable {
    let startedAt: Int64
    let minutes: Int64
    private(set) var done: Int64 = 0

    /// - Parameters:
    ///   - startedAt: milliseconds since 1970.
    ///   - minutes: the longest release, in minutes.
    init(startedAt: Int64, minutes: Int) {
        self.startedAt = startedAt
        self.minutes = Int64(max(1, minutes))
    }

    /// What is due of a start cash of 0.5 and was not taken before. The amount depends on the clock alone, never on counts.
    mutating func due(at now: Int64) -> Double {
        let elapsed = min((max(now, startedAt) - startedAt) / 60_000, minutes)
        guard elapsed > done else { return 0 }
        defer { done = elapsed }
        return 0.5 / Double(minutes) * Double(elapsed - done)
    }
}
