// Goal: perchd or PostgreSQL may die in the middle of any work on the data. Method: PostgreSQL itself is watched for the
// traces of that work, every two milliseconds, and the kill follows the first sight of it.

import ControlModel
import Releases
import SystemSupport
import Testing

extension Crashes {
    @Suite struct MomentCrashTests {
        /// A place within the work on the data that shows in PostgreSQL's catalogs.
        enum Moment: String, CaseIterable, CustomTestStringConvertible {
            case slotMade, dumping, recording, restoring, replaying, fenced, renamed

            var testDescription: String { rawValue }

            var sight: String {
                switch self {
                case .slotMade: "exists (select from pg_replication_slots where slot_name = 'perch_shop_2')"
                case .dumping: "exists (select from pg_stat_activity where application_name = 'perchd pg_dump')"
                case .recording: "exists (select from pg_replication_slots where slot_name = 'perch_shop_2' and active)"
                case .restoring: "exists (select from pg_database where datname = 'shop_perch_shop_2')"
                case .replaying:
                    """
                    exists (select from pg_database where datname = 'shop_perch_shop_2'
                        and shobj_description(oid, 'pg_database') = 'perch: shop-2 restored')
                    """
                case .fenced: "exists (select from pg_database where datname = 'shop' and not datallowconn)"
                case .renamed: "exists (select from pg_database where datname = 'shop_before_shop_2')"
                }
            }

        }

        @Test(arguments: Moment.allCases)
        func `perchd dies in the middle of work on the data`(moment: Moment) async throws {
            try await PerchSystem.with(ballast: 40_000) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                try await customers.settle(30)
                let release = try await perch.trigger(.bad)
                try await perch.postgres.wait(until: moment.sight)
                try await perch.killAndStartDaemon()
                try await perch.wait(release, for: ["rolled-back"])
                try await customers.settle(40)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.bad])
                expectNobodyNoticed(ledger, besides: [.bad])
                #expect(ledger.missingFromQuarantine.prefix(10) == [])
                try await perch.expectNothingLeft()
            }
        }

        @Test(arguments: [Moment.restoring, .replaying])
        func `perchd dies while the clone is made or followed, and the data is healed`(moment: Moment) async throws {
            try await PerchSystem.with(
                {
                    $0.snapshot = "clone"
                    $0.rollback = "auto"
                }, ballast: 40_000
            ) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                try await customers.settle(30)
                let release = try await perch.trigger(.bad)
                try await perch.postgres.wait(until: moment.sight)
                try await perch.killAndStartDaemon()
                let end = try await perch.wait(release, for: ["rolled-back"])
                #expect(end.hasEvent("healed in place"), "\(end.story)")
                try await customers.settle(40)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.bad])
                expectNobodyNoticed(ledger, besides: [.bad])
                #expect(ledger.missingFromQuarantine.prefix(10) == [])
                try await perch.expectNothingLeft()
            }
        }

        @Test(arguments: Moment.allCases)
        func `PostgreSQL dies in the middle of work on the data`(moment: Moment) async throws {
            try await PerchSystem.with(ballast: 40_000) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                try await customers.settle(30)
                let release = try await perch.trigger(.bad)
                try await perch.postgres.wait(until: moment.sight)
                try await perch.postgres.crash()
                try await perch.postgres.start()
                try await perch.wait(release, for: ["rolled-back"])
                try await customers.settle(40)
                // The service has no database for a while, so errors of its own are no news; silence would be.
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.bad])
                expectBalance(ledger)
                #expect(ledger.failedBecauseOfPerch == [])
                try await perch.expectNothingLeft()
            }
        }

        @Test func `perchd dies while the new version starts, and while half of stable is replaced`() async throws {
            try await PerchSystem.with { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.slow)
                try await until("the canary's process exists") {
                    (try? perch.instancePID("shop-2-canary-1")) != nil
                }
                try await perch.killAndStartDaemon()
                try await perch.wait(release, for: ["promoting"])
                try await until("one new stable instance exists") {
                    (try? perch.instancePID("shop-2-stable-1")) != nil
                }
                try await perch.killAndStartDaemon()
                try await perch.wait(release, for: ["promoted"])
                try await customers.settle(40)
                expectNobodyNoticed(try await perch.ledger(customers, releases: [release]))
                try await perch.expectNothingLeft()
            }
        }
    }
}
