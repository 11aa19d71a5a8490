// Goal: a settled request is in exactly one place of a tally, and tallies of event loops add up. Method: the value, and
// random settlements from a printed seed.

import Analysis
import Testing
import Traffic

@testable import Router

private func choice(_ arm: Arm, _ unit: CohortChoice.Unit = .user(1)) -> CohortChoice {
    CohortChoice(arm: arm, unit: unit)
}

private let ok = Outcome.answered(status: 200, microseconds: 5)

@Suite struct TallyTests {
    @Test func `counts go to the arm, the share and the second, forced ones to neither`() {
        var one = Tally()
        var two = Tally()
        let low = one.place(share: 100)
        let high = one.place(share: 500)
        // The other loop has seen the shares in another order.
        #expect(two.place(share: 500) == 0 && two.place(share: 100) == 1)
        one.settle(ok, choice(.canary), place: low, instance: "c1", second: 100)
        one.settle(.answered(status: 503, microseconds: 9), choice(.canary), place: high, instance: "c1", second: 159)
        one.settle(.timeout, choice(.stable), place: high, instance: "s1", second: 159)
        two.settle(.clientAbort, choice(.stable), place: 0, instance: "s1", second: 159)
        two.settle(ok, choice(.canary, .forced), place: 0, instance: "c1", second: 160)
        two.settle(.connectFailure, choice(.canary), place: 0, instance: "c1", second: 160)
        two.settle(.connectFailure, choice(.canary), place: 1, instance: "", second: 160)
        two.refuse()
        one.add(two)
        #expect(one.shares.map(\.share) == [100, 500])
        #expect(one.shares[0].canary.settled.requests == 2 && one.shares[0].stable.settled.requests == 0)
        #expect(one.shares[1].canary.settled.failures == 2 && one.shares[1].stable.settled.requests == 2)
        #expect(one.canary.requests == 4 && one.canary.failures == 3 && one.canary.latency.total == 2)
        #expect(one.stable.requests == 2 && one.stable.timeouts == 1 && one.stable.clientAborts == 1)
        #expect(one.forced == 1 && one.refused == 1)
        #expect(one.canaryFailures == ["c1": 2])
        // Second 160 took the place of second 100.
        #expect(one.recent(now: 160).map(\.second) == [159, 160])
        #expect(one.recent(now: 160)[0].stable.requests == 2)
    }

    @Test func `requests without a key are in stable's total and in no arm`() {
        var tally = Tally()
        let place = tally.place(share: 500)
        tally.dispatch(choice(.stable, .keyless), place: place)
        tally.settle(.reset, choice(.stable, .keyless), place: place, instance: "s", second: 1)
        tally.settle(ok, choice(.stable), place: place, instance: "s", second: 1)
        #expect(tally.keyless.requests == 1 && tally.keyless.resets == 1)
        #expect(tally.stable.requests == 2 && tally.shares[place].stable.settled.requests == 1)
        #expect(tally.recent(now: 1)[0].stable.requests == 2)
        let counts = tally.counts(boot: "b", users: Users())
        #expect(counts.shares[0].stable.users == UserCounts())
    }

    @Test func `where users are given to the versions a request without a key is a user of its own`() {
        var tally = Tally()
        let place = tally.place(share: 500)
        for (arm, outcome) in [(Arm.stable, ok), (.canary, .timeout), (.canary, .clientAbort)] {
            tally.dispatch(choice(arm, .request), place: place)
            tally.settle(outcome, choice(arm, .request), place: place, instance: "i", second: 1)
        }
        tally.dispatch(choice(.stable, .user(7)), place: place)
        var users = Users()
        users.take([[UserEvent(user: 7, kind: .seen, arm: .stable, share: 500, at: 1)]])
        let counts = tally.counts(boot: "b", users: users).shares[0]
        #expect(counts.stable.users == UserCounts(seen: 2, failed: 0))
        #expect(counts.canary.users == UserCounts(seen: 2, failed: 1))
        let each = tally.counts(boot: "b", users: nil).shares[0]
        #expect(each.stable.users == nil && each.canary.users == nil)
    }

    @Test func `requests in flight are noted in a copy`() {
        var tally = Tally()
        let place = tally.place(share: 500)
        var read = tally
        read.noteInFlight(.canary, place: place, isOverdue: false)
        read.noteInFlight(.canary, place: place, isOverdue: true)
        read.noteInFlight(.stable, place: place, isOverdue: false)
        read.add(read)
        let counts = read.counts(boot: "b", users: nil).shares[0]
        #expect(counts.canary.inFlight == 4 && counts.canary.overdue == 2)
        #expect(counts.stable.inFlight == 2 && counts.stable.overdue == 0)
        #expect(tally.shares[place] == ShareCounts(share: 500))
    }

    @Test func `the steps of any policy have a place each, and what comes after them is compared at no share`() {
        var tally = Tally()
        let steps = (0...100).map { $0 * 100 }
        for share in steps {
            tally.settle(ok, choice(.canary), place: tally.place(share: share), instance: "c", second: 1)
        }
        #expect(tally.counts(boot: "b", users: nil).shares.map(\.share) == steps)
        let before = tally.shares
        for share in 1...9_999 {
            tally.settle(ok, choice(.stable), place: tally.place(share: share), instance: "s", second: 1)
        }
        #expect(tally.shares.count <= Tally.shareBound)
        for (old, new) in zip(before, tally.shares) { #expect(old.share == new.share && old.canary == new.canary) }
        // Nothing is lost, and nothing is counted at a share at which it was not sent.
        #expect(tally.stable.requests == 9_999)
        for counts in tally.shares where counts.share != 0 { #expect(counts.stable.settled.requests <= 1) }
    }

    @Test func `the sum does not depend on which loop settled what`() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SplitMix64(seed: seed)
        var whole = Tally()
        var loops = [Tally](repeating: Tally(), count: 3)
        let outcomes: [Outcome] = [
            ok, .answered(status: 500, microseconds: 70), .timeout, .reset, .connectFailure, .clientAbort,
        ]
        for request in 0..<5_000 {
            let share = [0, 100, 500, 2_500][Int(random.next() % 4)]
            let units: [CohortChoice.Unit] = [.user(random.next()), .request, .keyless, .forced]
            let unit = units[Int(random.next() % 4)]
            let arm: Arm = unit == .forced || unit != .keyless && random.next() % 2 == 0 ? .canary : .stable
            let outcome = outcomes[Int(random.next() % 6)]
            func settle(_ tally: inout Tally) {
                let place = tally.place(share: share)
                tally.dispatch(choice(arm, unit), place: place)
                tally.settle(
                    outcome, choice(arm, unit), place: place, instance: "i\(share)", second: Int64(request / 100))
            }
            settle(&whole)
            settle(&loops[Int(random.next() % 3)])
        }
        var sum = Tally()
        for loop in loops { sum.add(loop) }
        #expect(sum.counts(boot: "b", users: Users()) == whole.counts(boot: "b", users: Users()), "seed \(seed)")
        #expect(
            sum.stable == whole.stable && sum.canary == whole.canary && sum.keyless == whole.keyless, "seed \(seed)")
        #expect(sum.forced == whole.forced && sum.recent(now: 49) == whole.recent(now: 49), "seed \(seed)")
        #expect(whole.stable.requests + whole.canary.requests + whole.forced == 5_000)
        #expect(whole.canaryFailures.values.reduce(0, +) == whole.canary.failures)
    }
}
