// Goal: a good release reaches everybody and no request fails on the way. Method: see EndToEnd.

import ControlModel
import SystemSupport
import Testing

extension EndToEnd {
    @Suite struct PromotionTests {
        @Test func `a good release is promoted under load and no request fails`() async throws {
            try await PerchSystem.with { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                try await customers.settle(30)
                let release = try await perch.release(.good, ends: "promoted")
                try await customers.settle(60)
                let ledger = try await perch.ledger(customers, releases: [release.summary.id])
                expectNobodyNoticed(ledger)
                #expect(ledger.count(by: .first) > 0)
                #expect(ledger.count(by: .good) > 60)
                try await perch.expectNothingLeft()
                #expect(try await perch.daemon.service().stable == release.summary.commit)
            }
        }

        @Test func `a release waits for a person where the policy says so`() async throws {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 1s}", "{approve: true}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.good)
                try await perch.wait(release, for: ["waiting"])
                try await customers.settle(60)
                let promoted = try await perch.perch("promote", "\(release)")
                #expect(promoted.status == 0, "\(promoted.errors)")
                let waited = try await perch.perch("wait", "\(release)", "--for", "promoted", "--timeout", "40s")
                #expect(waited.status == 0, "\(waited.errors)")
                expectNobodyNoticed(try await perch.ledger(customers, releases: [release]))
            }
        }

        @Test func `a canary without users is never promoted`() async throws {
            try await PerchSystem.with({
                $0.noData = "{wait: 2s, then: roll-back}"
                $0.steps = ["{share: 20%, for: 1s}"]
            }) { perch in
                try await perch.release(.first, ends: "promoted")
                let release = try await perch.release(.good, ends: "rolled-back")
                #expect(release.summary.message.contains("request"))
                try await perch.expectNothingLeft()
            }
        }
    }
}
