// Who may write: one daemon holds a session advisory lock; its epoch fences everybody before it.

package import Logging
package import Postgres

/// Leadership of the store.
package struct Leadership: Sendable {
    private let settings: ConnectionSettings
    private let holder: String
    private let logger: Logger

    /// - Parameter holder: who is shown as leader: host name and process id.
    package init(settings: ConnectionSettings, holder: String, logger: Logger) {
        self.settings = settings.with("application_name", "perchd leadership")
        self.holder = holder
        self.logger = logger
    }

    /// Waits until this daemon leads, runs `lead` with its epoch, and cancels it when the lock's session is lost.
    ///
    /// Returns when the task is cancelled. After a loss, or when `lead` returns because a newer leader writes already, it
    /// waits for leadership again.
    ///
    /// - Parameter lost: called at once when the session is lost, before `lead` has ended.
    package func run(
        _ lead: @escaping @Sendable (_ epoch: UInt64) async -> Void, lost: @escaping @Sendable () async -> Void
    ) async {
        var toldThatItWaits = false
        while !Task.isCancelled {
            do {
                let connection = try await Connection.open(settings, timeout: .seconds(5))
                let isLocked = try await connection.query(SQL.lockLeadership)[0, "locked"] == "t"
                if isLocked, let epoch = try await takeEpoch(connection) {
                    logger.notice("leads", metadata: ["epoch": "\(epoch)"])
                    toldThatItWaits = false
                    await hold(connection, while: { await lead(epoch) }, lost: lost)
                    await connection.close()
                    if Task.isCancelled { return }
                    logger.error("lost leadership", metadata: ["epoch": "\(epoch)"])
                } else {
                    await connection.close()
                    if !toldThatItWaits { logger.notice("another daemon leads; waiting for it to stop") }
                    toldThatItWaits = true
                }
            } catch {
                logger.warning("store not reachable", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func takeEpoch(_ connection: Connection) async throws(PostgresError) -> UInt64? {
        try await connection.query(SQL.takeLeadership, [holder])[0, "epoch"].flatMap { UInt64($0) }
    }

    /// Until `lead` returns; it is cancelled when the lock's session is lost.
    private func hold(
        _ connection: Connection, while lead: @escaping @Sendable () async -> Void, lost: @Sendable () async -> Void
    ) async {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await lead()
                return false
            }
            group.addTask {
                while !Task.isCancelled {
                    do {
                        _ = try await connection.query("select 1")
                    } catch {
                        return true
                    }
                    try? await Task.sleep(for: .seconds(1))
                }
                return false
            }
            if await group.next() == true { await lost() }
            group.cancelAll()
        }
    }
}
