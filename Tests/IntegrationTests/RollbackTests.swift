// Goal: a bad release goes back with its writes and without stable's, and the report names the commit. Method: see
// EndToEnd.

import ControlModel
import Glibc
import Releases
import SystemSupport
import Testing
import Traffic

extension EndToEnd {
    @Suite struct RollbackTests {
        /// How the data goes back.
        struct Way: CustomTestStringConvertible {
            var reconnect = "restart"
            var snapshot = "dump"
            var rollback = "swap"
            var testDescription: String { "\(snapshot), \(rollback), \(reconnect)" }
        }

        @Test(arguments: [
            Way(reconnect: "probe"), Way(), Way(snapshot: "clone"), Way(rollback: "heal"),
            Way(snapshot: "clone", rollback: "auto"),
        ])
        func `a bad release is rolled back under load and the ledger adds up`(way: Way) async throws {
            try await PerchSystem.with({
                $0.reconnect = way.reconnect
                $0.snapshot = way.snapshot
                $0.rollback = way.rollback
            }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                try await customers.settle(40)
                let release = try await perch.release(.bad, ends: "rolled-back")
                try await customers.settle(60)
                let ledger = try await perch.ledger(customers, releases: [release.summary.id], takenBack: [.bad])
                expectNobodyNoticed(ledger, besides: [.bad])
                #expect(ledger.count(by: .bad) > 0)
                #expect(ledger.missingFromQuarantine.prefix(10) == [])
                #expect(release.hasEvent("healed in place") == (way.rollback != "swap"), "\(release.story)")
                try await perch.expectNothingLeft()
                let table = try await perch.table()
                #expect(table.canary.isEmpty && table.stable.count == 2)
                try await Self.expectReport(perch, release)
            }
        }

        private static func expectReport(_ perch: PerchSystem, _ release: ReleaseDetail) async throws {
            let report = try await perch.perch("report", "\(release.summary.id)", "--format", "json")
            #expect(report.status == 0, "\(report.errors)")
            #expect(report.output.contains(release.summary.commit.rawValue))
            #expect(report.output.contains("release.py:"))
            #expect(report.output.contains("KeyError"))
        }

        @Test func `after a failure the next build starts and is promoted`() async throws {
            try await PerchSystem.with { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let failed = try await perch.release(.bad, ends: "rolled-back")
                let next = try await perch.release(.better, ends: "promoted")
                try await customers.settle(40)
                let ledger = try await perch.ledger(
                    customers, releases: [failed.summary.id, next.summary.id], takenBack: [.bad])
                expectNobodyNoticed(ledger, besides: [.bad])
                #expect(ledger.count(by: .better) > 0)
                try await perch.expectNothingLeft()
            }
        }

        @Test func `a person takes back a promotion with its data while the undo window is open`() async throws {
            try await PerchSystem.with({ $0.undoWindow = "1m" }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                try await customers.settle(40)
                let release = try await perch.trigger(.subtle)
                try await perch.wait(release, for: ["promoted"])
                try await customers.settle(40)
                let asked = try await perch.perch("rollback", "shop", "--data", "--reason", "wrong values")
                #expect(asked.status == 0, "\(asked.errors)")
                try await perch.wait(release, for: ["rolled-back"])
                try await customers.settle(60)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.subtle])
                expectNobodyNoticed(ledger)
                #expect(ledger.count(by: .subtle) > 40)
                #expect(ledger.missingFromQuarantine.prefix(10) == [])
                try await perch.expectNothingLeft()
            }
        }

        @Test func `an aborted release's writes are taken out too`() async throws {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 1s}", "{approve: true}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.subtle)
                try await perch.wait(release, for: ["waiting"])
                let aborted = try await perch.perch("abort", "\(release)", "--reason", "wrong values")
                #expect(aborted.status == 0, "\(aborted.errors)")
                try await perch.wait(release, for: ["aborted"])
                try await customers.settle(40)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.subtle])
                expectNobodyNoticed(ledger)
                #expect(ledger.count(by: .subtle) > 0)
                try await perch.expectNothingLeft()
            }
        }

        @Test(arguments: [ServiceVersion.crashing, .neverReady])
        func `a canary that never gets ready ends the release and the report shows its last lines`(
            version: ServiceVersion
        ) async throws {
            try await PerchSystem.with({ $0.readyWithin = "3s" }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.release(version, ends: "rolled-back", within: .seconds(30))
                #expect(release.summary.message.contains("licence"))
                let report = try await perch.perch("report", "\(release.summary.id)")
                #expect(report.output.contains("licence"), "\(report.errors)")
                expectNobodyNoticed(try await perch.ledger(customers, releases: [release.summary.id]))
                try await perch.expectNothingLeft()
            }
        }

        @Test func `a superuser's session delays the switch, is named, and holds nobody up`() async throws {
            try await PerchSystem.with { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.bad)
                try await perch.wait(release, for: ["canary"])
                try await perch.postgres.whileTransactionIsOpen(of: "postgres", database: "shop") {
                    try await until("the release says whose session it waits for", within: .seconds(20)) {
                        try await perch.daemon.show(release).story.contains("superuser postgres is in database shop")
                    }
                    try await customers.settle(20, within: .seconds(2))
                }
                try await perch.wait(release, for: ["rolled-back"])
                try await customers.settle(40)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.bad])
                expectNobodyNoticed(ledger, besides: [.bad])
                #expect(ledger.missingFromQuarantine.prefix(10) == [])
                try await perch.expectNothingLeft()
            }
        }

        @Test func `a stable version that is not ready is said, and nothing is released`() async throws {
            try await PerchSystem.with({ $0.stableInstances = 1 }) { perch in
                try await perch.release(.first, ends: "promoted")
                let stable = try perch.instancePID("shop-1-stable-1")
                kill(stable, SIGSTOP)
                defer { kill(stable, SIGCONT) }
                let release = try await perch.release(.good, ends: "rolled-back")
                #expect(release.summary.message.contains("no stable instance"))
            }
        }
    }
}
