// Goal: what Perch needs for a way back never costs the service its database. Method: see EndToEnd.

import ControlModel
import Glibc
import Releases
import SystemSupport
import Testing
import Traffic

extension EndToEnd {
    @Suite struct ProductionFirstTests {
        @Test func `a release whose slot nears its budget is rolled back with its data while it still can be`()
            async throws
        {
            try await PerchSystem.with({
                $0.budget = "128MiB"
                $0.steps = ["{share: 30%, for: 5m}"]
                $0.deadline = "10m"
            }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.subtle)
                try await perch.wait(release, for: ["canary"])
                try await customers.settle(30)
                // A slot cannot advance past a transaction that is open.
                let ended = try await perch.postgres.whileTransactionIsOpen(of: "shop", database: "shop") {
                    try await Self.write(until: 106, perch)
                    return try await perch.waitForEnd(of: release, within: .seconds(60))
                }
                #expect(ended.summary.phase == "rolled-back", "\(ended.story)")
                #expect(ended.story.contains("bytes of WAL of a budget of 134217728"), "\(ended.story)")
                try await perch.expectNothingLeft()
                try await customers.settle(60)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.subtle])
                expectNobodyNoticed(ledger)
                #expect(ledger.missingFromQuarantine.prefix(10) == [])
            }
        }

        @Test func `a release whose slot passes its budget ends, nothing of it holds WAL, and every write stays`()
            async throws
        {
            try await PerchSystem.with({
                $0.budget = "16MiB"
                $0.steps = ["{share: 30%, for: 5m}"]
                $0.deadline = "10m"
            }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.good)
                try await perch.wait(release, for: ["canary"])
                try await customers.settle(30)
                // A slot cannot advance past a transaction that is open.
                let ended = try await perch.postgres.whileTransactionIsOpen(of: "shop", database: "shop") {
                    try await Self.write(until: 18, perch)
                    return try await perch.waitForEnd(of: release, within: .seconds(60))
                }
                // Users are back on stable; the canary's writes stay, for without the recording nobody can tell them.
                #expect(ended.summary.phase == "halted", "\(ended.story)")
                #expect(ended.story.contains("the budget is 16777216"), "\(ended.story)")
                #expect(try await perch.table().canaryShare == 0)
                try await perch.expectNothingLeft()
                try await customers.settle(60)
                expectNobodyNoticed(try await perch.ledger(customers, releases: [release]))
            }
        }

        /// Writes into another database of the server until the release's slot holds this much, or is gone.
        private static func write(until mebibytes: Int, _ perch: PerchSystem) async throws {
            let holdsLess = """
                select count(*) from pg_replication_slots where slot_name = 'perch_shop_2'
                    and pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) < \(mebibytes) * 1024 * 1024
                """
            try await perch.postgres.sql("create table ballast (n int, text text)", database: "postgres")
            while try await perch.postgres.sql(holdsLess, database: "postgres") == "1" {
                try await perch.postgres.sql(
                    """
                    insert into ballast select n, repeat(md5(n::text), 50) from generate_series(1, 3000) n;
                    truncate ballast
                    """, database: "postgres")
            }
        }

        @Test(.enabled(if: PerchSystem.canMount, "needs the right to mount a small disk"))
        func `a full disk stops the recording, loses nothing of it, and the release goes on when there is space`()
            async throws
        {
            try await PerchSystem.with(
                { $0.steps = ["{share: 30%, for: 500ms}", "{approve: true}"] }, dataMegabytes: 48
            ) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.subtle)
                try await perch.wait(release, for: ["waiting"])
                let ballast = try perch.fillData()
                try await customers.settle(150)
                #expect(try await perch.daemon.show(release).summary.phase == "waiting")
                #expect(remove(ballast) == 0)
                try await customers.settle(60)
                let aborted = try await perch.perch("abort", "\(release)", "--reason", "wrong values")
                #expect(aborted.status == 0, "\(aborted.errors)")
                try await perch.wait(release, for: ["aborted"])
                try await customers.settle(40)
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.subtle])
                expectNobodyNoticed(ledger)
                #expect(ledger.missingFromQuarantine.prefix(10) == [])
                try await perch.expectNothingLeft()
            }
        }
    }
}
