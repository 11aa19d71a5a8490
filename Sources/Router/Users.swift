// Which users were seen and which have met a failure, over all event loops. Pure: the clock is in the events.

import Analysis

/// Something a user's request did, as an event loop hands it over.
struct UserEvent: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// A request was given to the version.
        case seen
        /// A request of the version failed.
        case failed
    }

    /// The cohort key's hash.
    var user: UInt64
    var kind: Kind
    var arm: Arm
    /// The share under which the request was sent, in basis points.
    var share: Int
    /// Monotonic clock of this machine, in nanoseconds.
    var at: UInt64
    /// The route on which it did it, as a place in the tally's routes; nil among the users of all requests.
    var route: Int?
}

/// The users of one release, by version and share: exact up to a bound, then within 1 %.
///
/// A user who is seen again, or handed over again, changes nothing. Who has failed is no longer at risk: it is not seen at
/// a later share, and its failures from then on count nowhere.
struct Users: Sendable {
    /// Bound of the users of one version that are remembered one by one, all shares together; and of those that failed.
    static let exactBound = 1 << 17
    /// The same of one route, so that all routes together take no more memory than that.
    static let routeBound = exactBound / RoutePatterns.bound

    private let bound: Int
    /// Beyond the bound no further user fails. A release in which so many did is judged by then.
    private var failed: Set<UInt64> = []
    private var failures: [Place: UInt64] = [:]
    private var stable: SeenUsers
    private var canary: SeenUsers

    private struct Place: Hashable, Sendable {
        var arm: Arm
        var share: Int
    }

    init(bound: Int = Users.exactBound) {
        self.bound = bound
        stable = SeenUsers(bound: bound)
        canary = SeenUsers(bound: bound)
    }

    /// What one event loop hands over is in the order in which it happened; that of several becomes so here.
    mutating func take(_ events: [[UserEvent]]) {
        for event in events.flatMap(\.self).sorted(by: { $0.at < $1.at }) {
            switch event.kind {
            case .seen: see(event)
            case .failed: fail(event)
            }
        }
    }

    func counts(_ arm: Arm, share: Int) -> UserCounts {
        UserCounts(
            seen: arm == .stable ? stable.count(share: share) : canary.count(share: share),
            failed: failures[Place(arm: arm, share: share)] ?? 0)
    }

    private mutating func see(_ event: UserEvent) {
        guard !failed.contains(event.user) else { return }
        if event.arm == .stable {
            stable.insert(event.user, share: event.share)
        } else {
            canary.insert(event.user, share: event.share)
        }
    }

    private mutating func fail(_ event: UserEvent) {
        guard failed.count < bound, !failed.contains(event.user) else { return }
        // Whoever failed was seen, also if its first request did not get through to here.
        see(event)
        failed.insert(event.user)
        failures[Place(arm: event.arm, share: event.share), default: 0] += 1
    }
}

/// The users that one version had at each share.
struct SeenUsers: Sendable {
    private struct Share: Sendable {
        var exact: Set<UInt64> = []
        /// In place of `exact` once there are too many.
        var sketch: HyperLogLog?
    }

    private let bound: Int
    private var shares: [Int: Share] = [:]
    /// Users in all `exact` together.
    private var remembered = 0

    init(bound: Int = Users.exactBound) { self.bound = bound }

    mutating func insert(_ user: UInt64, share: Int) {
        if shares[share]?.sketch != nil {
            shares[share]?.sketch?.insert(user)
        } else if shares[share, default: Share()].exact.insert(user).inserted {
            remembered += 1
            if remembered > bound { forgetLargest() }
        }
    }

    func count(share: Int) -> UInt64 {
        guard let share = shares[share] else { return 0 }
        return share.sketch?.count ?? UInt64(share.exact.count)
    }

    private mutating func forgetLargest() {
        guard let largest = shares.max(by: { $0.value.exact.count < $1.value.exact.count }) else { return }
        remembered -= largest.value.exact.count
        shares[largest.key] = Share(sketch: HyperLogLog(largest.value.exact))
    }
}
