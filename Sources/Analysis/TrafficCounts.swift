// What a router counted, version by version and share by share. Pure values: cumulative, so that a lost, doubled or late
// reading changes nothing.

/// One version's counts at one share.
package struct ArmCounts: Hashable, Sendable, Codable {
    /// Settled requests, in the version that the coin chose, whoever served them.
    package var settled: VersionCounts
    /// Sent on and not settled, at this moment.
    package var inFlight: UInt64
    /// Of those in flight, how many have been longer than ``ReleaseTest/overdueAfterMicroseconds``.
    package var overdue: UInt64
    /// nil where the coin is tossed for each request.
    package var users: UserCounts?

    package init(
        settled: VersionCounts = VersionCounts(), inFlight: UInt64 = 0, overdue: UInt64 = 0, users: UserCounts? = nil
    ) {
        self.settled = settled
        self.inFlight = inFlight
        self.overdue = overdue
        self.users = users
    }

    /// Requests that were given to this version, settled or not.
    var dispatched: UInt64 { settled.requests + inFlight }

    mutating func add(_ other: ArmCounts) {
        settled.add(other.settled)
        inFlight += other.inFlight
        overdue += other.overdue
        users = UserCounts.sum(users, other.users)
    }
}

/// Users of one version at one share. A request without a cohort key is a user of its own.
package struct UserCounts: Hashable, Sendable, Codable {
    /// Different users seen since the share became this, without those that had failed in this release before.
    package var seen: UInt64
    /// Of these, how many have met a failure; each counts once a release.
    package var failed: UInt64

    package init(seen: UInt64 = 0, failed: UInt64 = 0) {
        self.seen = seen
        self.failed = failed
    }

    static func sum(_ first: UserCounts?, _ second: UserCounts?) -> UserCounts? {
        guard let first, let second else { return first ?? second }
        return UserCounts(seen: first.seen + second.seen, failed: first.failed + second.failed)
    }
}

/// Both versions' failures on one route at one share.
package struct RouteCounts: Hashable, Sendable, Codable {
    /// As the policy names it: `/checkout`, `/api/orders/*`.
    package var route: String
    package var stable: RouteArm
    package var canary: RouteArm

    package init(route: String, stable: RouteArm = RouteArm(), canary: RouteArm = RouteArm()) {
        self.route = route
        self.stable = stable
        self.canary = canary
    }
}

/// One version's settled requests on one route.
package struct RouteArm: Hashable, Sendable, Codable {
    package var requests: UInt64
    package var failures: UInt64
    package var clientAborts: UInt64
    /// Users of the route, as ``UserCounts`` says of all requests; nil where the coin is tossed for each request.
    package var users: UserCounts?

    package init(requests: UInt64 = 0, failures: UInt64 = 0, clientAborts: UInt64 = 0, users: UserCounts? = nil) {
        self.requests = requests
        self.failures = failures
        self.clientAborts = clientAborts
        self.users = users
    }

    mutating func add(_ other: RouteArm) {
        requests += other.requests
        failures += other.failures
        clientAborts += other.clientAborts
        users = UserCounts.sum(users, other.users)
    }

    /// What came after `earlier`, without the users.
    func since(_ earlier: RouteArm) -> RouteArm {
        RouteArm(
            requests: requests - min(requests, earlier.requests), failures: failures - min(failures, earlier.failures),
            clientAborts: clientAborts - min(clientAborts, earlier.clientAborts))
    }
}

/// Both versions' counts of the requests that were dispatched at one share.
package struct ShareCounts: Hashable, Sendable, Codable {
    /// The canary's share when the coin was tossed, in basis points: 0...10 000.
    package var share: Int
    package var stable: ArmCounts
    package var canary: ArmCounts
    /// Of these, the requests of each route that is judged by itself; nil where no route is.
    package var routes: [RouteCounts]?

    package init(
        share: Int, stable: ArmCounts = ArmCounts(), canary: ArmCounts = ArmCounts(), routes: [RouteCounts]? = nil
    ) {
        self.share = share
        self.stable = stable
        self.canary = canary
        self.routes = routes
    }

    var weight: Double { Double(share) / 10_000 }

    /// As if all requests in flight were overdue.
    var allOverdue: ShareCounts {
        var counts = self
        counts.stable.overdue = max(stable.inFlight, stable.overdue)
        counts.canary.overdue = max(canary.inFlight, canary.overdue)
        return counts
    }

    mutating func add(_ other: ShareCounts) {
        stable.add(other.stable)
        canary.add(other.canary)
        for route in other.routes ?? [] {
            if let index = routes?.firstIndex(where: { $0.route == route.route }) {
                routes?[index].stable.add(route.stable)
                routes?[index].canary.add(route.canary)
            } else {
                routes = (routes ?? []) + [route]
            }
        }
    }
}

/// Everything one run of a router has counted for a release so far.
package struct TrafficCounts: Hashable, Sendable, Codable {
    /// Changes with every start of a router: counts of different boots do not continue each other.
    package var boot: String
    package var shares: [ShareCounts]
    /// Canary failures by the instance that had them; may be left out.
    package var canaryFailures: [String: UInt64]

    package init(boot: String, shares: [ShareCounts], canaryFailures: [String: UInt64] = [:]) {
        self.boot = boot
        self.shares = shares
        self.canaryFailures = canaryFailures
    }
}
