package struct SystemIdentity: Hashable, Sendable, Codable {
    package var systemIdentifier: String
    package var timeline: UInt32
    package var position: LogSequenceNumber
    package var database: String?
}
package struct CreatedSlot: Hashable, Sendable {
    package var consistentPoint: LogSequenceNumber
    package var snapshotName: String?
}
package actor ReplicationConnection {
    private let thread = ConnectionThread(name: "replication")
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    package static func open(
        _ settings: ConnectionSettings, sessionOptions: [String: String] = [:], timeout: Duration = .seconds(10)
    ) async throws(PostgresError) -> ReplicationConnection { throw .usage("") }
    package func identifySystem() throws(PostgresError) -> SystemIdentity { throw .usage("") }
    package func createLogicalSlot(
        _ name: String, plugin: String = "pgoutput", temporary: Bool = false, exportSnapshot: Bool, timeout: Duration? = nil
    ) throws(PostgresError) -> CreatedSlot { throw .usage("") }
    package func dropSlot(_ name: String, wait: Bool) throws(PostgresError) { throw .usage("") }
    package func startReplication(
        slot: String, from: LogSequenceNumber, publications: [String]
    ) throws(PostgresError) { throw .usage("") }
    package func next(timeout: Duration) throws(PostgresError) -> ReplicationFrame? { throw .usage("") }
    package func nextBatch(timeout: Duration, maximumBytes: Int) throws(PostgresError) -> [ReplicationFrame] { throw .usage("") }
    package func sendStatus(
        written: LogSequenceNumber, flushed: LogSequenceNumber, applied: LogSequenceNumber, replyRequested: Bool = false
    ) throws(PostgresError) { throw .usage("") }
    package func takeNotices() -> [Notice] { [] }
    package nonisolated func cancel() {}
    package var backendPID: Int32 { 0 }
    package var serverVersion: Int { 0 }
    package func close() {}
}
