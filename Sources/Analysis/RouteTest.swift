// Does the canary fail more often on one route? Pure: no clock, no I/O.

/// One route that is judged by itself, beside all requests together.
///
/// A request belongs to a route before the coin is tossed for it, so the bets on a route's requests are bets on the same
/// coin: its wealth is an e-process over the same events as that of all requests. The failures' part of W is the average of
/// the overall wealth and the mean of the routes' wealths: a broken route among many is seen, and costs a factor of two times
/// their number in evidence, which are a few failures more.
///
/// The guard for overdue requests knows no routes: it takes stable's overdue requests of all routes as failed on each of them.
/// A stable failure never makes wealth rise, so that is at least as careful as the true number.
///
/// A route rolls back as soon as all do, and holds a step by its part in W. It need not be proven good: a route that
/// hardly anybody asks for would keep a release from ending.
struct RouteTest: Hashable, Sendable, Codable {
    /// As the policy and ``RouteCounts`` name it.
    let name: String
    private(set) var errors: ErrorTest
    private(set) var proof: ErrorProof

    init(name: String, settings: JudgingSettings) {
        self.name = name
        errors = ErrorTest(null: settings.errorNull)
        proof = ErrorProof(excess: settings.provenExcess)
    }

    mutating func settle(_ tables: UnitTables) {
        errors.settle(tables.settled)
        proof.settle(tables.answered)
    }

    mutating func beginStep() { proof.beginStep() }

    mutating func drip(_ amount: Double) { errors.drip(amount) }

    /// From wealth 1; what is known of stable stays.
    mutating func restart() {
        errors = ErrorTest(null: errors.null)
        proof.beginStep()
    }
}
