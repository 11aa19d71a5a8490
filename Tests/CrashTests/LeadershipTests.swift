// Goal: one daemon writes, and one that lost its right to is refused. Method: two real daemons on one store and one data
// folder; the leader is killed, or put to sleep while its session is taken away.

import ControlModel
import Glibc
import Releases
import SystemSupport
import Testing
import Traffic

extension Crashes {
    @Suite struct LeadershipTests {
        @Test func `a second daemon waits, and takes over a release in its canary when the first dies`() async throws {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 4s}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let second = try perch.makeDaemon("second")
                try await second.start(isReady: false)
                #expect(await second.status(of: "/readyz") == 503)
                #expect(try await second.trigger("main").status == 503)
                let release = try await perch.trigger(.good)
                try await perch.wait(release, for: ["canary"])
                try await perch.daemon.kill()
                perch.ask(second)
                try await perch.wait(release, for: ["promoted"])
                #expect(await second.status(of: "/readyz") == 200)
                try await customers.settle(40)
                expectNobodyNoticed(try await perch.ledger(customers, releases: [release]))
                try await perch.expectNothingLeft()
            }
        }

        @Test func `a leader that sleeps through its loss writes nothing more, neither facts nor tables`() async throws
        {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 6s}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let first = perch.daemon
                let second = try perch.makeDaemon("second")
                try await second.start(isReady: false)
                let release = try await perch.trigger(.good)
                try await perch.wait(release, for: ["canary"])
                first.signal(SIGSTOP)
                try await perch.postgres.sql(
                    """
                    select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a using (pid)
                    where l.locktype = 'advisory' and a.datname = 'perch'
                    """, database: "perch")
                try await until("the second daemon leads", within: .seconds(15)) {
                    await second.status(of: "/readyz") == 200
                }
                perch.ask(second)
                first.signal(SIGCONT)
                try await perch.wait(release, for: ["promoted"])
                try await customers.settle(40)
                try await until("the first daemon says that it does not lead", within: .seconds(15)) {
                    await first.status(of: "/readyz") == 503
                }
                let disordered = try await perch.postgres.sql(
                    """
                    select count(*) from (
                        select epoch < max(epoch) over (partition by release order by sequence) as is_late from fact) f
                    where is_late
                    """, database: "perch")
                #expect(disordered == "0")
                let epoch = try await perch.postgres.sql("select epoch from leadership", database: "perch")
                #expect("\(try await perch.table().epoch)" == epoch)
                expectNobodyNoticed(try await perch.ledger(customers, releases: [release]))
                try await perch.expectNothingLeft()
            }
        }
    }
}
