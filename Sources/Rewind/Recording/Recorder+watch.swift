// Production first: what the server keeps because of our slot is looked at all the time, and past the budget the slot goes.

import Logging
import Ports
import Postgres
import Releases
import Synchronization

extension Recorder {
    /// Ends when the recording does.
    func watch() async {
        var session: Connection?
        while isRunning {
            do throws(PostgresError) {
                let connection: Connection
                if let session, await session.isOpen {
                    connection = session
                } else {
                    connection = try await Connection.open(server, answerTimeout: .seconds(10))
                    session = connection
                }
                try await look(connection)
            } catch {
                await session?.close()
                session = nil
                logger.debug("slot cannot be looked at", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: settings.watchInterval)
        }
        await session?.close()
    }

    private func look(_ connection: Connection) async throws(PostgresError) {
        guard let slot = try await ReplicationSlot.read(file.slot, on: connection) else {
            return end(.broken, "slot \(file.slot) is gone")
        }
        state.withLock { $0.heldBytes = slot.heldBytes }
        if slot.isLost {
            return end(
                .broken, "slot \(file.slot) was invalidated by the server (\(slot.invalidation ?? slot.walStatus))")
        }
        // From version 18 on the server streams on without a publication that is gone, and sends nothing of it.
        guard try await isPublished(connection) else { return end(.broken, unpublished) }
        if slot.heldBytes > settings.budgetBytes {
            end(
                .overBudget,
                "slot \(file.slot) held \(slot.heldBytes) bytes of WAL, the budget is \(settings.budgetBytes)")
        }
    }

    /// The publication is there and has every kind of change.
    func isPublished(_ session: Connection) async throws(PostgresError) -> Bool {
        try await session.query(
            "select pubinsert and pubupdate and pubdelete and pubtruncate from pg_publication where pubname = $1",
            [file.publication]
        ).scalar == "t"
    }

    var unpublished: String { "publication \(file.publication) is gone or was altered" }

    /// A recording that ended for ever needs no slot, and a slot that nobody reads fills the server's disk.
    func leaveNothingBehind() async {
        let phase = state.withLock { $0.phase }
        guard phase == .broken || phase == .overBudget else { return }
        do {
            let connection = try await Connection.open(server)
            // Another server's slot of the same name is not ours.
            let identity = try await connection.query("select system_identifier from pg_control_system()").scalar
            if identity == String(file.systemIdentifier) {
                try await ReplicationSlot.drop(file.slot, on: connection, deadline: .seconds(10))
                state.withLock { $0.heldBytes = 0 }
            }
            await connection.close()
        } catch {
            logger.error(
                "the slot of an ended recording remains until cleaning up",
                metadata: ["slot": "\(file.slot)", "error": "\(error)"])
        }
    }
}
