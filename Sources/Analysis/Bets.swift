// All bets against the canary of a release, at one moment. Pure: no clock, no I/O.

/// What W is made of.
struct Bets: Hashable, Sendable, Codable {
    var errors: ErrorTest
    /// In the settings' order.
    var routes: [ErrorTest]
    var latency: LatencyTest?
    /// In the settings' order.
    var external: [ExternalTest]

    /// The parts of W, as if these stable units had failed and been slow as well.
    func parts(_ settings: JudgingSettings, with pending: [ContingencyTable] = []) -> [WealthPart] {
        let shares = WealthShares(settings)
        var parts = [
            WealthPart(
                metric: .errors, share: shares.errors, wealth: errors.wealth(with: pending), canary: errors.canary)
        ]
        for (name, route) in zip(settings.routes, routes) {
            parts.append(
                WealthPart(
                    metric: .route(name), share: shares.eachRoute, wealth: route.wealth(with: pending),
                    canary: route.canary))
        }
        if let latency, let leading = latency.leading {
            parts.append(
                WealthPart(
                    metric: .latency(perMille: leading.perMille), share: shares.latency,
                    wealth: latency.wealth(withSlow: pending), canary: leading.canary))
        }
        for (test, share) in zip(external, shares.external) {
            parts.append(
                WealthPart(
                    metric: .external(test.name), share: share, wealth: test.errors.wealth(with: pending),
                    canary: test.errors.canary))
        }
        return parts
    }
}

extension ReleaseTest {
    var bets: Bets { Bets(errors: errors, routes: routes.map(\.errors), latency: latency, external: external) }

    /// ``Bets/parts(_:with:)`` as they stand.
    func parts(with pending: [ContingencyTable] = []) -> [WealthPart] { bets.parts(settings, with: pending) }

    /// W: 1 at the start; less where external metrics have a part.
    package var wealth: Double { WealthPart.combined(parts()) }
}
