package actor Connection {
    private let thread = ConnectionThread(name: "postgres")
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    package static func open(
        _ settings: ConnectionSettings, timeout: Duration = .seconds(10), answerTimeout: Duration? = nil
    ) async throws(PostgresError) -> Connection { throw .usage("") }
    package func query(_ sql: String, _ parameters: [String?] = []) throws(PostgresError) -> QueryResult { throw .usage("") }
    package func queryPrepared(_ sql: String, _ parameters: [String?] = []) throws(PostgresError) -> QueryResult { throw .usage("") }
    package func pipeline(
        _ statements: [(sql: String, parameters: [String?])], prepared: Bool = false
    ) throws(PostgresError) -> [QueryResult] { throw .usage("") }
    package func execute(_ script: String) throws(PostgresError) { throw .usage("") }
    package func copyOut(_ sql: String, _ row: (UnsafeRawBufferPointer) throws -> Void) throws -> Int { throw PostgresError.usage("") }
    package func copyIn(_ sql: String, _ body: (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void) throws -> Int { throw PostgresError.usage("") }
    package func transaction<T: Sendable>(
        begin: String = "BEGIN", _ body: @Sendable (isolated Connection) async throws -> T
    ) async throws -> T { throw PostgresError.usage("") }
    package nonisolated func cancel() {}
    package func takeNotices() -> [Notice] { [] }
    package var isOpen: Bool { false }
    package var backendPID: Int32 { 0 }
    package var serverVersion: Int { 0 }
    package func close() {}
}
