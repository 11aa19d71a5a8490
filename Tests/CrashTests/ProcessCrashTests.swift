// Goal: a killed router, canary or stable instance costs at most what it was answering. Method: see Crashes.

import ControlModel
import Glibc
import Releases
import SystemSupport
import Testing
import Traffic

extension Crashes {
    @Suite struct ProcessCrashTests {
        @Test(arguments: [true, false])
        func `a killed router comes back with its table and only requests of that moment fail`(
            inRelease: Bool
        ) async throws {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 6s}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                var release: ReleaseID?
                if inRelease {
                    release = try await perch.trigger(.good)
                    try await perch.wait(release!, for: ["canary"])
                }
                try await customers.settle(30)
                let before = try await perch.table()
                let router = try perch.routerPID()
                let killed = ContinuousClock.now
                kill(router, SIGKILL)
                try await until("another router runs", within: .seconds(10)) {
                    guard let now = try? perch.routerPID(), now != router else { return false }
                    return (try? await perch.table()) != nil
                }
                let back = ContinuousClock.now
                let after = try await perch.table()
                #expect(after.stable == before.stable && after.canary == before.canary)
                #expect(after.canaryShare == before.canaryShare)
                #expect(back - killed < .seconds(5))
                if let release { try await perch.wait(release, for: ["promoted"]) }
                try await customers.settle(60)
                let ledger = try await perch.ledger(customers, releases: release.map { [$0] } ?? [])
                expectBalance(ledger)
                let unrelated = ledger.entries.filter {
                    !$0.isFromService && ($0.settledAt < killed || $0.sentAt > back)
                }
                #expect(unrelated.map(\.problem) == [])
            }
        }

        @Test func `a killed canary is rolled back with how it ended and its last lines`() async throws {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 30s}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.good)
                try await perch.wait(release, for: ["canary"])
                try await customers.settle(40)
                let killed = ContinuousClock.now
                kill(try perch.instancePID("shop-2-canary-1"), SIGKILL)
                let end = try await perch.waitForEnd(of: release)
                #expect(end.summary.phase == "rolled-back")
                #expect(end.story.contains("killed by signal 9") || end.story.contains("failed"), "\(end.story)")
                #expect(end.story.contains("shop v2 listens") || end.story.contains("failed"), "\(end.story)")
                try await customers.settle(40)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.good])
                expectBalance(ledger)
                let stray = ledger.entries.filter { !$0.isFromService && $0.settledAt < killed }
                #expect(stray.map(\.problem) == [])
                try await perch.expectNothingLeft()
            }
        }

        @Test func `a killed stable instance is started again, and the others answer meanwhile`() async throws {
            try await PerchSystem.with { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                try await customers.settle(30)
                let instance = try perch.instancePID("shop-1-stable-2")
                let killed = ContinuousClock.now
                kill(instance, SIGKILL)
                try await until("the instance runs again", within: .seconds(15)) {
                    guard let now = try? perch.instancePID("shop-1-stable-2"), now != instance else { return false }
                    return try await perch.table().stable.count == 2
                }
                try await customers.settle(60)
                let ledger = try await perch.ledger(customers)
                expectBalance(ledger)
                // Only what that instance was answering: a request that nobody had begun to answer goes to the other.
                let unrelated = ledger.entries.filter {
                    ($0.status != 200 && $0.status != 201)
                        && ($0.settledAt < killed || $0.sentAt > killed + .milliseconds(100))
                }
                #expect(unrelated.map { "\($0.status ?? 0) \($0.problem)" } == [])
            }
        }
    }
}
