// Slots, and who the server is.

/// Which cluster a walsender belongs to, and how far its log goes.
package struct SystemIdentity: Hashable, Sendable, Codable {
    /// Made by initdb, different for every cluster; copies of a cluster share it.
    package var systemIdentifier: String
    /// Counts up with every promotion of a standby and every recovery to a point in time.
    package var timeline: UInt32
    /// What is on the server's disk of the log.
    package var position: LogSequenceNumber
    package var database: String?

    package init(systemIdentifier: String, timeline: UInt32, position: LogSequenceNumber, database: String?) {
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
        self.position = position
        self.database = database
    }
}

package struct CreatedSlot: Hashable, Sendable {
    /// Transactions that commit after this are in the stream, all others in the snapshot.
    package var consistentPoint: LogSequenceNumber
    /// For `SET TRANSACTION SNAPSHOT` in another session, until the next command of the replication connection.
    package var snapshotName: String?

    package init(consistentPoint: LogSequenceNumber, snapshotName: String?) {
        self.consistentPoint = consistentPoint
        self.snapshotName = snapshotName
    }
}

extension ReplicationConnection {
    package func identifySystem() throws(PostgresError) -> SystemIdentity {
        let result = try command("IDENTIFY_SYSTEM", timeout: .seconds(10))
        guard result.rows.count == 1, let identifier = result[0, "systemid"],
            let timeline = result[0, "timeline"].flatMap({ UInt32($0) }),
            let position = result[0, "xlogpos"].flatMap({ LogSequenceNumber($0) })
        else { throw .usage("IDENTIFY_SYSTEM was answered with \(result.rows)") }
        return SystemIdentity(
            systemIdentifier: identifier, timeline: timeline, position: position,
            database: result[0, "dbname"])
    }

    /// Makes a slot. The server waits for every transaction of the cluster that writes at this moment to end.
    ///
    /// - Parameters:
    ///   - temporary: gone with this session.
    ///   - exportSnapshot: gives a snapshot of the database at the slot's consistent point.
    ///   - timeout: nil waits as long as those transactions take. When it passes, the server is asked to give up.
    /// - Throws: ``PostgresError/timedOut(_:)``; if the server did not take note, the walsender may still be waiting:
    ///   terminate ``backendPID``, read before, and drop the slot.
    package func createLogicalSlot(
        _ name: String, plugin: String = "pgoutput", temporary: Bool = false, exportSnapshot: Bool,
        timeout: Duration? = nil
    ) throws(PostgresError) -> CreatedSlot {
        let result = try command(
            "CREATE_REPLICATION_SLOT \(quoteIdentifier(name)) \(temporary ? "TEMPORARY " : "")"
                + "LOGICAL \(quoteIdentifier(plugin)) (SNAPSHOT '\(exportSnapshot ? "export" : "nothing")')",
            timeout: timeout)
        guard result.rows.count == 1,
            let point = result[0, "consistent_point"].flatMap({ LogSequenceNumber($0) })
        else { throw .usage("CREATE_REPLICATION_SLOT was answered with \(result.rows)") }
        return CreatedSlot(consistentPoint: point, snapshotName: result[0, "snapshot_name"])
    }

    /// - Parameter wait: for the slot's present reader to go away; else that is an error (SQLSTATE 55006).
    package func dropSlot(_ name: String, wait: Bool, timeout: Duration? = nil) throws(PostgresError) {
        _ = try command("DROP_REPLICATION_SLOT \(quoteIdentifier(name))\(wait ? " WAIT" : "")", timeout: timeout)
    }

    /// One command, SQL or of the replication grammar; walsenders take only the simple protocol.
    func command(_ text: String, timeout: Duration?) throws(PostgresError) -> QueryResult {
        session.answerTimeout = timeout
        defer { session.answerTimeout = nil }
        return try session.execute(text)
    }
}
