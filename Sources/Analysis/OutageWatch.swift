// An instance that goes away for a moment is not a bad version. Pure: the clock is an argument.

/// Tells a short outage of the canary's instances from a canary that is bad.
///
/// An outage: nothing but failures of the connection, all within 10 s. Its canary gets no traffic; if it is ready again
/// within 30 s it starts once more at the lowest step. The second time it is rolled back.
struct OutageWatch: Hashable, Sendable, Codable {
    enum State: Hashable, Sendable, Codable {
        /// The canary has traffic. Next: `out`.
        case watching
        /// Without traffic since then. Next: `spent` when it is ready again, else the release goes back.
        case out(since: Int64)
        /// It had its second chance. No exit.
        case spent
    }

    static let longestFailingMilliseconds: Int64 = 10_000
    static let longestOutMilliseconds: Int64 = 30_000

    private(set) var state = State.watching
    /// Of the canary's failures since it last started from wealth 1.
    private var first: Int64?
    private var last: Int64?
    private var isConnectionOnly = true

    /// - Parameter connection: how many of the failures came with no whole response: refused, unreachable or reset.
    mutating func note(failures: UInt64, connection: UInt64, at now: Int64) {
        guard failures > 0 else { return }
        first = first ?? now
        last = now
        if connection < failures { isConnectionOnly = false }
    }

    /// All failures so far are those of an outage.
    var isOutage: Bool {
        guard let first, let last else { return false }
        return isConnectionOnly && last - first <= Self.longestFailingMilliseconds
    }

    /// The evidence suffices to roll back. Is it to wait instead? Asked again while the canary is out, it changes nothing.
    mutating func excuses(at now: Int64) -> Bool {
        switch state {
        case .watching:
            guard isOutage else { return false }
            state = .out(since: now)
            return true
        case .out(let since):
            return isOutage && now - since <= Self.longestOutMilliseconds
        case .spent:
            return false
        }
    }

    /// The canary is ready again: true exactly once, if it was out and nothing else has come up.
    mutating func resumes() -> Bool {
        guard case .out = state, isOutage else { return false }
        self = OutageWatch()
        state = .spent
        return true
    }
}
