// Goal: each user counts once, where it was first met and where it first failed. Method: stories, and random histories
// against a model that keeps everything, from a printed seed.

import Analysis
import Testing

@testable import Router

private func seen(_ user: UInt64, _ arm: Arm, _ share: Int, at: UInt64) -> UserEvent {
    UserEvent(user: user, kind: .seen, arm: arm, share: share, at: at)
}

private func failed(_ user: UInt64, _ arm: Arm, _ share: Int, at: UInt64) -> UserEvent {
    UserEvent(user: user, kind: .failed, arm: arm, share: share, at: at)
}

@Suite struct UsersTests {
    @Test func `a user counts once a share, and fails once a release`() {
        var users = Users()
        users.take([[seen(1, .stable, 500, at: 1), seen(2, .canary, 500, at: 2), seen(1, .stable, 500, at: 3)]])
        users.take([[seen(1, .stable, 500, at: 4), failed(2, .canary, 500, at: 5), failed(2, .canary, 500, at: 6)]])
        #expect(users.counts(.stable, share: 500) == UserCounts(seen: 1, failed: 0))
        #expect(users.counts(.canary, share: 500) == UserCounts(seen: 1, failed: 1))
        // Who failed is not at risk at the next share; user 1 has moved to the canary with it.
        users.take([[seen(2, .canary, 1_000, at: 7), seen(1, .canary, 1_000, at: 8), failed(2, .canary, 1_000, at: 9)]])
        #expect(users.counts(.canary, share: 1_000) == UserCounts(seen: 1, failed: 0))
        #expect(users.counts(.canary, share: 500) == UserCounts(seen: 1, failed: 1))
        #expect(users.counts(.stable, share: 1_000) == UserCounts())
        // A request that was sent at 500 fails late: there it counts.
        users.take([[failed(1, .stable, 500, at: 10)]])
        #expect(users.counts(.stable, share: 500) == UserCounts(seen: 1, failed: 1))
        // A share that returns goes on with its users.
        users.take([[seen(3, .stable, 500, at: 11), seen(1, .stable, 500, at: 12)]])
        #expect(users.counts(.stable, share: 500) == UserCounts(seen: 2, failed: 1))
    }

    @Test func `what two event loops saw is taken in the order in which it happened`() {
        var users = Users()
        // The user failed on the second loop before the first one saw it at another share.
        users.take([
            [seen(1, .stable, 500, at: 10), seen(1, .canary, 1_000, at: 40)],
            [failed(1, .stable, 500, at: 20), seen(9, .stable, 500, at: 30)],
        ])
        #expect(users.counts(.stable, share: 500) == UserCounts(seen: 2, failed: 1))
        #expect(users.counts(.canary, share: 1_000) == UserCounts())
    }

    @Test func `whoever failed was seen`() {
        var users = Users()
        users.take([[failed(1, .canary, 500, at: 1)]])
        #expect(users.counts(.canary, share: 500) == UserCounts(seen: 1, failed: 1))
    }

    @Test func `counts are those of a model that remembers everything, however they are handed over`() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SplitMix64(seed: seed)
        var users = Users()
        var lanes = [LaneUsers(), LaneUsers()]
        var failures: Set<UInt64> = []
        var model: [String: (seen: Set<UInt64>, failed: UInt64)] = [:]
        for step in 0..<20_000 as Range<UInt64> {
            let share = [0, 100, 500, 100, 1_000][Int(step / 4_000)]
            // Spread over the first bits, as hashes are.
            let user = (random.next() % 3_000 + 1) &* 0x9e37_79b9_7f4a_7c15
            let arm: Arm = user % 10_000 < UInt64(share) ? .canary : .stable
            let lane = Int(random.next() % 2)
            let key = "\(arm) \(share)"
            lanes[lane].see(user, arm, share: share, at: 2 * step)
            if !failures.contains(user) { model[key, default: ([], 0)].seen.insert(user) }
            if random.next() % 20 == 0 {
                lanes[lane].fail(user, arm, share: share, at: 2 * step + 1)
                if failures.insert(user).inserted { model[key, default: ([], 0)].failed += 1 }
            }
            if random.next() % 500 == 0 { users.take([lanes[0].handOver(), lanes[1].handOver()]) }
        }
        users.take([lanes[0].handOver(), lanes[1].handOver()])
        for share in [0, 100, 500, 1_000] {
            for arm in [Arm.stable, .canary] {
                let expected = model["\(arm) \(share)"] ?? ([], 0)
                #expect(
                    users.counts(arm, share: share)
                        == UserCounts(seen: UInt64(expected.seen.count), failed: expected.failed),
                    "\(arm) at \(share), seed \(seed)")
            }
        }
    }

    @Test func `users are exact up to the bound, then within 1 per cent and never fewer`() {
        var random = SplitMix64(seed: 1)
        var users = Users()
        users.take([(0..<1_000).map { seen(random.next(), .canary, 500, at: $0) }])
        users.take([(0..<1_000).map { seen(random.next(), .stable, 100, at: $0) }])
        let all = UInt64(Users.exactBound)
        users.take([(0..<all - 1_000).map { seen(random.next(), .stable, 500, at: $0) }])
        #expect(users.counts(.stable, share: 500).seen == all - 1_000)
        var last = all - 1_000
        for _ in 0..<20 {
            users.take([(0..<20_000).map { seen(random.next(), .stable, 500, at: $0) }])
            let counted = users.counts(.stable, share: 500).seen
            #expect(counted >= last)
            last = counted
        }
        let truth = Double(all - 1_000 + 400_000)
        #expect(abs(Double(last) - truth) < 0.01 * truth)
        // The largest set gave way; the small ones are exact still.
        #expect(users.counts(.stable, share: 100).seen == 1_000)
        #expect(users.counts(.canary, share: 500).seen == 1_000)
    }

    @Test func `failed users are exact up to the bound, and beyond it no more are counted in either version`() {
        var random = SplitMix64(seed: 2)
        var users = Users()
        let bound = UInt64(Users.exactBound)
        users.take([(0..<bound - 1).map { failed(random.next(), $0 % 2 == 0 ? .stable : .canary, 500, at: $0) }])
        let failures = { users.counts(.stable, share: 500).failed + users.counts(.canary, share: 500).failed }
        #expect(failures() == bound - 1)
        users.take([(0..<1_000).map { failed(random.next(), $0 % 2 == 0 ? .stable : .canary, 500, at: bound + $0) }])
        #expect(failures() == bound)
    }

    @Test func `users of a route have a lower bound`() {
        var random = SplitMix64(seed: 5)
        var users = Users(bound: Users.routeBound)
        let bound = UInt64(Users.routeBound)
        users.take([(0..<bound).map { seen(random.next(), .stable, 500, at: $0) }])
        #expect(users.counts(.stable, share: 500).seen == bound)
        users.take([(0..<9 * bound).map { seen(random.next(), .stable, 500, at: $0) }])
        let truth = Double(10 * bound)
        #expect(abs(Double(users.counts(.stable, share: 500).seen) - truth) < 0.01 * truth)
        users.take([(0..<bound + 9).map { failed(random.next(), .canary, 500, at: $0) }])
        #expect(users.counts(.canary, share: 500).failed == bound)
    }
}

@Suite struct LaneUsersTests {
    @Test func `a user is handed over once, and again at another share`() {
        var lane = LaneUsers()
        let user = UInt64(7) << 50
        for at in 0..<5 as Range<UInt64> { lane.see(user, .stable, share: 500, at: at) }
        #expect(lane.handOver() == [seen(user, .stable, 500, at: 0)])
        lane.see(user, .stable, share: 500, at: 6)
        #expect(lane.handOver().isEmpty)
        lane.see(user, .canary, share: 1_000, at: 7)
        for at in 8..<10 as Range<UInt64> { lane.fail(user, .canary, share: 1_000, at: at) }
        #expect(lane.handOver() == [seen(user, .canary, 1_000, at: 7), failed(user, .canary, 1_000, at: 8)])
    }

    @Test func `of more users than there are places each is handed over, some of them twice`() {
        var lane = LaneUsers()
        var random = SplitMix64(seed: 3)
        let crowd = (0..<3 * LaneUsers.seenPlaces / 2).map { _ in random.next() }
        var users = Users()
        var events = 0
        for round in 0..<2 {
            for (at, user) in crowd.enumerated() {
                lane.see(user, .stable, share: 500, at: UInt64(round * crowd.count + at))
                if at % 1_000 == 0 {
                    let news = lane.handOver()
                    events += news.count
                    users.take([news])
                }
            }
        }
        users.take([lane.handOver()])
        #expect(users.counts(.stable, share: 500).seen == UInt64(crowd.count))
        #expect(events > crowd.count)
    }

    @Test func `while nobody takes them over users are bounded, and come with their next request`() {
        var lane = LaneUsers()
        var random = SplitMix64(seed: 4)
        for at in 0..<UInt64(LaneUsers.eventBound) { lane.see(random.next(), .stable, share: 500, at: at) }
        let late = random.next()
        for at in 0..<9 as Range<UInt64> {
            lane.see(late, .stable, share: 500, at: at)
            lane.fail(late, .stable, share: 500, at: at)
        }
        let full = lane.handOver()
        #expect(full.count == LaneUsers.eventBound && full.allSatisfy { $0.user != late })
        lane.see(late, .stable, share: 500, at: 10)
        lane.fail(late, .stable, share: 500, at: 11)
        #expect(lane.handOver() == [seen(late, .stable, 500, at: 10), failed(late, .stable, 500, at: 11)])
    }
}
