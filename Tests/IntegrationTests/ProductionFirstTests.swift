// Goal: what Perch needs for a way back never costs the service its database. Method: see EndToEnd.

import ControlModel
import Glibc
import Releases
import SystemSupport
import Testing

extension EndToEnd {
    @Suite struct ProductionFirstTests {
        @Test func `a release whose slot holds too much WAL ends, its slot is dropped and the database lives`()
            async throws
        {
            try await PerchSystem.with({
                $0.budget = "16MiB"
                $0.steps = ["{share: 30%, for: 40s}"]
            }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.subtle)
                try await perch.wait(release, for: ["canary"])
                try await customers.settle(30)
                // What holds a slot back in real life: a transaction that stays open while others write.
                async let open = try? perch.postgres.sql(
                    "begin; select pg_current_xact_id(); select pg_sleep(60); commit", database: "shop")
                for _ in 0..<6 {
                    try await perch.postgres.sql(
                        """
                        insert into ballast select n, string_agg(md5(random()::text), '')
                            from generate_series(1, 4000) n, generate_series(1, 30) group by n;
                        delete from ballast
                        """, database: "shop")
                }
                let ended = try await perch.waitForEnd(of: release, within: .seconds(40))
                #expect(ended.summary.phase == "rolled-back", "\(ended.story)")
                #expect(ended.story.contains("WAL"), "\(ended.story)")
                try await perch.expectNothingLeft()
                try await customers.settle(60)
                try await perch.postgres.sql(
                    "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
                    database: "postgres")
                _ = await open
                let ledger = try await perch.ledger(customers, releases: [release], takenBack: [.subtle])
                expectNobodyNoticed(ledger)
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
                #expect(ledger.missingFromQuarantine == [])
                try await perch.expectNothingLeft()
            }
        }
    }
}
