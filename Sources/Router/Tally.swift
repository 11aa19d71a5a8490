// Counts of one event loop, and their sum: by version and by the share under which it was chosen. Pure: the clock is an
// argument.

import Analysis
import Traffic

/// How a request settled.
enum Outcome: Hashable, Sendable {
    case answered(status: Int, microseconds: UInt64)
    case connectFailure, reset, timeout, clientAbort

    var isFailure: Bool {
        switch self {
        case .answered(let status, _): status >= 500
        case .connectFailure, .reset, .timeout: true
        case .clientAbort: false
        }
    }
}

/// Cumulative counts since a release began, and the last minute by seconds.
///
/// A request settles in one call, all its counts at once: a copy of this value is a sum of whole requests.
struct Tally: Hashable, Sendable {
    static let seconds = 60
    /// Bound of the different shares that are counted by themselves. A policy has at most 100 steps.
    static let shareBound = 128
    /// Bound of the different routes of a release; a table has at most ``RoutePatterns/bound``, and a release one list.
    static let routeBound = 64

    /// By the share under which the coin was tossed, in order of first use.
    private(set) var shares: [ShareCounts] = []
    /// Routes that are counted by themselves, in order of first use. The place of one is its place in every share's.
    private(set) var routes: [String] = []
    /// Requests for which no coin was tossed, because nothing tells their users from others. All on stable.
    private(set) var keyless = VersionCounts()
    private(set) var forced: UInt64 = 0
    private(set) var refused: UInt64 = 0
    /// Failures of the canary by the instance that had them.
    private(set) var canaryFailures: [String: UInt64] = [:]
    /// A ring: the place of a second is its number modulo 60.
    private var ring = [EpochCounts](repeating: EpochCounts(second: .min), count: Tally.seconds)

    /// Where requests of this share are counted from now on: an index of `shares`.
    ///
    /// Shares beyond the bound are counted as 0, where both versions are held to their limits and nothing is compared:
    /// at any other share the coin would be taken for one that it was not.
    mutating func place(share: Int) -> Int {
        if let place = shares.firstIndex(where: { $0.share == share }) { return place }
        if share != 0, shares.count >= Self.shareBound - 1 { return place(share: 0) }
        shares.append(ShareCounts(share: share, routes: noCounts))
        return shares.count - 1
    }

    /// Where requests of this route are counted from now on; nil beyond the bound, where they are not.
    mutating func place(route: String) -> Int? {
        if let place = routes.firstIndex(of: route) { return place }
        guard routes.count < Self.routeBound else { return nil }
        routes.append(route)
        for place in shares.indices {
            shares[place].routes = (shares[place].routes ?? []) + [RouteCounts(route: route)]
        }
        return routes.count - 1
    }

    private var noCounts: [RouteCounts]? { routes.isEmpty ? nil : routes.map { RouteCounts(route: $0) } }

    /// A request was given to a version. Users are remembered elsewhere; here one without a key is a user of its own.
    mutating func dispatch(_ choice: CohortChoice, place: Int, route: Int? = nil) {
        guard choice.unit == .request else { return }
        shares[place].counts(choice.arm) { $0.addUsers(UserCounts(seen: 1)) }
        if let route { shares[place].routes?[route].arm(choice.arm) { $0.addUsers(UserCounts(seen: 1)) } }
    }

    /// - Parameters:
    ///   - place: of the share under which the coin was tossed.
    ///   - route: place of the route.
    ///   - instance: the one that answered or failed; empty when none was reached.
    mutating func settle(
        _ outcome: Outcome, _ choice: CohortChoice, place: Int, route: Int? = nil, instance: String, second: Int64
    ) {
        switch choice.unit {
        case .forced:
            forced += 1
            return
        case .keyless:
            keyless.settle(outcome)
        case .user:
            shares[place].counts(choice.arm) { $0.settled.settle(outcome) }
        case .request:
            shares[place].counts(choice.arm) {
                $0.settled.settle(outcome)
                if outcome.isFailure { $0.addUsers(UserCounts(failed: 1)) }
            }
        }
        if let route, choice.isTossed {
            shares[place].routes?[route].arm(choice.arm) { $0.settle(outcome, isUser: choice.unit == .request) }
        }
        let index = Int(second.quotientAndRemainder(dividingBy: Int64(Self.seconds)).remainder.magnitude)
        if ring[index].second != second { ring[index] = EpochCounts(second: second) }
        switch choice.arm {
        case .stable:
            ring[index].stable.settle(outcome)
        case .canary:
            ring[index].canary.settle(outcome)
            if outcome.isFailure, !instance.isEmpty { canaryFailures[instance, default: 0] += 1 }
        }
    }

    mutating func refuse() { refused += 1 }

    /// One more request in flight. For a copy that is read: the counts themselves hold settled requests only.
    mutating func noteInFlight(_ arm: Arm, place: Int, isOverdue: Bool) {
        shares[place].counts(arm) {
            $0.inFlight += 1
            if isOverdue { $0.overdue += 1 }
        }
    }

    /// Everything of the release that went to stable, or to the canary, by the choice of its version.
    var stable: VersionCounts { shares.reduce(into: keyless) { $0.add($1.stable.settled) } }
    var canary: VersionCounts { shares.reduce(into: VersionCounts()) { $0.add($1.canary.settled) } }

    /// What the judge takes in, smallest share first.
    ///
    /// - Parameters:
    ///   - users: nil where the coin is tossed for each request.
    ///   - routes: those of the table, each with the users that were met on it.
    func counts(boot: String, users: Users?, routes: [RouteUsers] = []) -> TrafficCounts {
        var counted = shares.sorted { $0.share < $1.share }
        for place in counted.indices {
            for arm in [Arm.stable, .canary] {
                let share = counted[place].share
                counted[place].counts(arm) {
                    if let users { $0.addUsers(users.counts(arm, share: share)) } else { $0.users = nil }
                }
            }
            counted[place].routes = routes.isEmpty ? nil : routes.map { counted[place].counts(of: $0) }
        }
        return TrafficCounts(boot: boot, shares: counted, canaryFailures: canaryFailures)
    }

    mutating func add(_ other: Tally) {
        let routePlaces = other.routes.map { place(route: $0) }
        for counts in other.shares {
            let place = place(share: counts.share)
            shares[place].stable.add(counts.stable)
            shares[place].canary.add(counts.canary)
            for (route, more) in zip(routePlaces, counts.routes ?? []) {
                guard let route else { continue }
                shares[place].routes?[route].stable.add(more.stable)
                shares[place].routes?[route].canary.add(more.canary)
            }
        }
        keyless.add(other.keyless)
        forced += other.forced
        refused += other.refused
        canaryFailures.merge(other.canaryFailures, uniquingKeysWith: +)
        for place in ring.indices where other.ring[place].second != .min {
            if ring[place].second == other.ring[place].second {
                ring[place].stable.add(other.ring[place].stable)
                ring[place].canary.add(other.ring[place].canary)
            } else if ring[place].second < other.ring[place].second {
                ring[place] = other.ring[place]
            }
        }
    }

    /// The seconds of the last minute in which something settled, oldest first.
    func recent(now second: Int64) -> [EpochCounts] {
        ring.filter { $0.second > second - Int64(Self.seconds) && $0.second <= second }
            .sorted { $0.second < $1.second }
    }
}

extension ShareCounts {
    fileprivate mutating func counts(_ arm: Arm, _ change: (inout ArmCounts) -> Void) {
        if arm == .stable { change(&stable) } else { change(&canary) }
    }

    /// One route of the table, with its users.
    fileprivate func counts(of route: RouteUsers) -> RouteCounts {
        var counts = routes?.first { $0.route == route.route } ?? RouteCounts(route: route.route)
        for arm in [Arm.stable, .canary] {
            counts.arm(arm) {
                if let users = route.users { $0.addUsers(users.counts(arm, share: share)) } else { $0.users = nil }
            }
        }
        return counts
    }
}

extension ArmCounts {
    fileprivate mutating func add(_ other: ArmCounts) {
        settled.add(other.settled)
        inFlight += other.inFlight
        overdue += other.overdue
        if let more = other.users { addUsers(more) }
    }

    fileprivate mutating func addUsers(_ more: UserCounts) { users.add(more) }
}

extension RouteCounts {
    fileprivate mutating func arm(_ arm: Arm, _ change: (inout RouteArm) -> Void) {
        if arm == .stable { change(&stable) } else { change(&canary) }
    }
}

extension RouteArm {
    /// - Parameter isUser: the request is a user of its own.
    fileprivate mutating func settle(_ outcome: Outcome, isUser: Bool) {
        requests += 1
        if outcome == .clientAbort { clientAborts += 1 }
        guard outcome.isFailure else { return }
        failures += 1
        if isUser { addUsers(UserCounts(failed: 1)) }
    }

    fileprivate mutating func add(_ other: RouteArm) {
        requests += other.requests
        failures += other.failures
        clientAborts += other.clientAborts
        if let more = other.users { addUsers(more) }
    }

    fileprivate mutating func addUsers(_ more: UserCounts) { users.add(more) }
}

extension UserCounts? {
    fileprivate mutating func add(_ more: UserCounts) {
        self = UserCounts(seen: (self?.seen ?? 0) + more.seen, failed: (self?.failed ?? 0) + more.failed)
    }
}

extension VersionCounts {
    mutating func settle(_ outcome: Outcome) {
        requests += 1
        switch outcome {
        case .answered(let status, let microseconds):
            statusClasses[min(max(status / 100, 1), 5) - 1] += 1
            latency.record(microseconds: microseconds)
        case .connectFailure: connectFailures += 1
        case .reset: resets += 1
        case .timeout: timeouts += 1
        case .clientAbort: clientAborts += 1
        }
    }
}
