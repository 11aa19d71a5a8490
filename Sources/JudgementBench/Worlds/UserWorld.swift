// A service whose users stay with a version, with users who fail whatever they do and users who try again.

package import Analysis

/// Users come back again and again in random order; who is broken fails with every request, in either version.
package struct UserWorld: Sendable {
    /// Users, and requests of all of them together.
    package static let users = 5_000
    package static let requestsPerSecond = 50.0
    package static let failureRate = 0.001
    static let share = 500

    private enum Place: UInt8 { case canary, baseline, otherStable }

    private struct User: Sendable {
        var place: Place
        var isBroken: Bool
        var isSeen = false
        var hasFailed = false
    }

    /// What its users are like.
    package struct Habits: Hashable, Sendable {
        /// Of the users, how many fail with every request.
        package var brokenShare = 0.0
        package var retries: Retries?

        package init(brokenShare: Double = 0, retries: Retries? = nil) {
            self.brokenShare = brokenShare
            self.retries = retries
        }
    }

    private let habits: Habits
    private var random: SeededRandom
    private var users: [User] = []
    private var counts = ShareCounts(share: UserWorld.share)

    package init(_ habits: Habits, seed: UInt64) {
        self.habits = habits
        random = SeededRandom(seed: seed)
        counts.canary.users = UserCounts()
        counts.stable.users = UserCounts()
        let weight = Double(Self.share) / 10_000
        for _ in 0..<Self.users {
            let coin = random.unit()
            users.append(
                User(
                    place: coin < weight ? .canary : coin < 2 * weight ? .baseline : .otherStable,
                    isBroken: random.unit() < habits.brokenShare))
        }
    }

    package mutating func pass(_ span: Range<Int64>) -> Settled {
        var settled = Settled(share: Self.share)
        for _ in 0..<random.poisson(Self.requestsPerSecond * Double(span.count) / 1_000) {
            let index = random.index(below: Self.users)
            var fails = users[index].isBroken || random.unit() < Self.failureRate
            settle(index, fails, &settled)
            guard fails, let retries = habits.retries else { continue }
            for _ in 0..<retries.most where fails {
                fails = random.unit() < retries.failureRate
                settle(index, fails, &settled)
            }
        }
        return settled
    }

    package var trafficCounts: TrafficCounts { TrafficCounts(boot: "router", shares: [counts]) }

    private mutating func settle(_ index: Int, _ fails: Bool, _ settled: inout Settled) {
        let request = Tally(failed: fails ? 1 : 0, requests: 1)
        switch users[index].place {
        case .canary:
            settled.canary.add(request)
            Self.note(&users[index], fails, &counts.canary)
        case .baseline:
            settled.baseline.add(request)
            settled.stable.add(request)
            Self.note(&users[index], fails, &counts.stable)
        case .otherStable:
            settled.stable.add(request)
            Self.note(&users[index], fails, &counts.stable)
        }
    }

    private static func note(_ user: inout User, _ fails: Bool, _ arm: inout ArmCounts) {
        arm.settled.requests += 1
        arm.settled.statusClasses[fails ? 4 : 1] += 1
        if !user.isSeen {
            user.isSeen = true
            arm.users?.seen += 1
        }
        if fails, !user.hasFailed {
            user.hasFailed = true
            arm.users?.failed += 1
        }
    }
}
