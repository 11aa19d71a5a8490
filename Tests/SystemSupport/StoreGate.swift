// Stops perchd at an exact place: the transaction that would make a fact durable waits in the store for ever.
//
// What the fact tells has happened by then, so a kill there is the hardest moment: done, and not written down.

import Foundation
package import Releases

extension PerchSystem {
    /// perchd waits as soon as it wants to record that a release enters `phase`.
    package func hold(before phase: Phase) async throws {
        let name = String(decoding: try JSONEncoder().encode(phase), as: UTF8.self)
        try await postgres.sql(
            """
            create schema gate;
            create function gate.wait() returns trigger language plpgsql as $$ begin
                if new.body @> '{"phaseEntered": {"_0": \(name)}}' then perform pg_sleep(600); end if;
                return new;
            end $$;
            grant usage on schema gate to public;
            create trigger gate before insert on fact for each row execute function gate.wait();
            """, database: "perch")
    }

    private static let waits = """
        from pg_stat_activity where datname = 'perch' and wait_event = 'PgSleep' and application_name <> 'test'
        """

    /// Waits until perchd stands at the gate.
    package func waitUntilHeld(within limit: Duration = .seconds(40)) async throws {
        try await postgres.wait(until: "exists (select \(Self.waits))", within: limit)
    }

    /// Takes the gate away; what stood there has failed.
    package func removeGate() async throws {
        try await postgres.sql("select pg_terminate_backend(pid, 5000) \(Self.waits)", database: "postgres")
        try await postgres.sql("drop schema gate cascade", database: "perch")
    }
}
