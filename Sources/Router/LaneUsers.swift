// The users that one event loop has met since it was last asked. Pure: the clock is an argument.

/// Notices users that are new, so that what is handed over is no longer than it must be.
///
/// Two tables hold one user a place and forget it when another takes the place: forgetting only means that a user is
/// handed over again, which changes nothing. So a request costs one look, and memory is the same for any traffic.
struct LaneUsers: Sendable {
    static let seenPlaces = 1 << 16
    static let failedPlaces = 1 << 12
    /// Events between two readings. A user beyond them is not noticed before its next request: nothing is remembered
    /// that was not handed over.
    static let eventBound = 1 << 16

    /// 0 is an empty place.
    private var seen = [UInt64](repeating: 0, count: LaneUsers.seenPlaces)
    private var failed = [UInt64](repeating: 0, count: LaneUsers.failedPlaces)
    private var share = 0
    private var events: [UserEvent] = []

    /// - Parameters:
    ///   - user: the cohort key's hash.
    ///   - share: the canary's share now.
    ///   - now: monotonic, in nanoseconds.
    ///   - route: where users are told apart by route, a place in the tally's routes.
    mutating func see(_ user: UInt64, _ arm: Arm, share: Int, at now: UInt64, route: Int? = nil) {
        if share != self.share {
            self.share = share
            for place in seen.indices { seen[place] = 0 }
        }
        // The first bits: the last ones decide the version, so those of the canary's users are alike.
        let key = Self.key(user, route)
        let place = Int(truncatingIfNeeded: key >> 48)
        guard seen[place] != key, events.count < Self.eventBound else { return }
        seen[place] = key
        events.append(UserEvent(user: user, kind: .seen, arm: arm, share: share, at: now, route: route))
    }

    /// - Parameter share: the one under which the request was sent.
    mutating func fail(_ user: UInt64, _ arm: Arm, share: Int, at now: UInt64, route: Int? = nil) {
        let key = Self.key(user, route)
        let place = Int(truncatingIfNeeded: key >> 52)
        guard failed[place] != key, events.count < Self.eventBound else { return }
        failed[place] = key
        events.append(UserEvent(user: user, kind: .failed, arm: arm, share: share, at: now, route: route))
    }

    /// The user itself, or one a route: multiples of 2^64 over the golden ratio lie far apart in their first bits.
    private static func key(_ user: UInt64, _ route: Int?) -> UInt64 {
        guard let route else { return user }
        return user ^ (UInt64(truncatingIfNeeded: route + 1) &* 0x9E37_79B9_7F4A_7C15)
    }

    /// What is new since the last time, oldest first.
    mutating func handOver() -> [UserEvent] {
        defer { events = [] }
        return events
    }
}
