// Makes the slot, says meanwhile whom it waits for, and gives up in time.

import Ports
import Postgres

struct SlotCreation: Sendable {
    let slot: String
    let limit: Duration
    let replication: ReplicationConnection
    /// Another session, without a transaction.
    let session: Connection
    let progress: @Sendable (String) async -> Void

    /// - Throws: at the limit; names the sessions and prepared transactions that were in the way. No slot is left then.
    func run() async throws(Failure) -> CreatedSlot {
        let walsender = await replication.backendPID
        async let _ = tellBlockers(of: walsender)
        let created: CreatedSlot
        do {
            created = try await replication.createLogicalSlot(slot, exportSnapshot: true, timeout: limit)
        } catch {
            let blockers = await blockers(of: walsender)
            await giveUp(walsender)
            guard case .timedOut = error else { throw Failure("slot \(slot): \(error)", isTransient: true) }
            throw Failure(
                "slot \(slot) could not be made in \(limit.seconds): "
                    + (blockers.isEmpty ? "the server gave no reason" : "it waits for \(listed(blockers))"),
                hint: "end those transactions, or ask again when they are over: select pg_terminate_backend(pid)",
                isTransient: true)
        }
        // A checkpoint at the wrong moment invalidates a slot that was just made (PostgreSQL 17 and before).
        do {
            guard let found = try await ReplicationSlot.read(slot, on: session), !found.isLost else {
                throw Failure("slot \(slot) was invalidated as soon as it was made", isTransient: true)
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("slot \(slot): \(error)", isTransient: true)
        }
        return created
    }

    /// Until cancelled, which the end of the scope does.
    private func tellBlockers(of walsender: Int32) async {
        while (try? await Task.sleep(for: .seconds(2))) != nil {
            let blockers = await blockers(of: walsender)
            if !blockers.isEmpty { await progress("the slot waits for \(listed(blockers))") }
        }
    }

    /// Who writes at the moment, in any database: `pid 4711 of shop since 12 s (xid 815)`.
    private func blockers(of walsender: Int32) async -> [String] {
        let result = try? await session.query(
            """
            select format('pid %s of %s in %s since %s s (xid %s)', pid, coalesce(usename, backend_type),
              coalesce(datname, '-'), extract(epoch from clock_timestamp() - xact_start)::int, backend_xid)
            from pg_stat_activity
            where backend_xid is not null and pid <> $1::int and pid <> pg_backend_pid()
            union all
            select format('prepared transaction %s in %s since %s s (xid %s)', gid, database,
              extract(epoch from clock_timestamp() - prepared)::int, transaction)
            from pg_prepared_xacts
            """, ["\(walsender)"])
        return result?.rows.compactMap { $0[0] } ?? []
    }

    /// The walsender may wait on and would leave a slot behind when it is done.
    private func giveUp(_ walsender: Int32) async {
        _ = try? await session.query("select pg_terminate_backend($1::int, 5000)", ["\(walsender)"])
        await replication.close()
        try? await ReplicationSlot.drop(slot, on: session, deadline: .seconds(5))
    }
}
