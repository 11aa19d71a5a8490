// Goal: what people ask is done, refused with an exit code, or changes nothing. Method: see EndToEnd.

import ControlModel
import Releases
import SystemSupport
import Testing
import Traffic

extension EndToEnd {
    @Suite struct OperatorTests {
        @Test func `verbs without anything to act on fail and change nothing`() async throws {
            try await PerchSystem.with { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let before = try await perch.table()
                for verb in [
                    ["abort", "shop-1"], ["promote", "shop-1"], ["abort", "shop-7"],
                    ["rollback", "shop", "--reason", "because"],
                ] {
                    let finished = try await perch.perch(verb[0], Array(verb.dropFirst()))
                    #expect(finished.status != 0, "\(verb): \(finished.output)")
                    #expect(finished.errors.contains("hint:"), "\(verb): \(finished.errors)")
                }
                try await customers.settle(40)
                #expect(try await perch.table().stable == before.stable)
                expectNobodyNoticed(try await perch.ledger(customers))
            }
        }

        @Test func `an abort wins over a promotion until the old version begins to leave`() async throws {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 500ms}", "{approve: true}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.slow)
                try await perch.wait(release, for: ["waiting"])
                // A new stable instance takes two seconds to start: the old ones are all there meanwhile.
                _ = try await perch.perch("promote", "\(release)")
                let aborted = try await perch.perch("abort", "\(release)", "--reason", "changed my mind")
                #expect(aborted.status == 0, "\(aborted.errors)")
                try await perch.wait(release, for: ["aborted"])
                try await customers.settle(40)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.slow])
                expectNobodyNoticed(ledger)
                try await perch.expectNothingLeft()
                #expect(try await perch.table().stable.count == 2)
            }
        }

        @Test func `a release keeps the policy it was accepted under`() async throws {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 500ms}", "{approve: true}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.good)
                try await perch.wait(release, for: ["waiting"])
                try perch.use(PolicyText())
                try await perch.daemon.stop()
                try await perch.daemon.start()
                try await customers.settle(60)
                let detail = try await perch.daemon.show(release)
                #expect(detail.summary.phase == "waiting")
                #expect(detail.steps == ["30% for 500ms", "approve"])
                _ = try await perch.perch("promote", "\(release)")
                try await perch.wait(release, for: ["promoted"])
                expectNobodyNoticed(try await perch.ledger(customers, releases: [release]))
            }
        }

        @Test func `stopping and starting perchd changes no traffic`() async throws {
            try await PerchSystem.with { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let router = try perch.routerPID()
                let before = try await perch.table()
                try await perch.daemon.stop()
                try await customers.settle(40)
                try await perch.daemon.start()
                try await customers.settle(80)
                #expect(try perch.routerPID() == router)
                #expect(try await perch.table().stable == before.stable)
                expectNobodyNoticed(try await perch.ledger(customers))
            }
        }
    }
}
