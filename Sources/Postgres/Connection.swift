// A session with a PostgreSQL server for everybody who speaks SQL.

/// One session. Its calls run one after the other on a thread of its own, so waiting for the server holds nobody else.
///
/// Every call throws ``PostgresError/connectionLost(_:)`` once the session is over, at once and for ever: open another.
package actor Connection {
    private let thread: ConnectionThread
    let session: Session
    private let cancelKey: CancelKey
    /// Set while ``transaction(begin:_:)`` runs.
    var openTransaction: TransactionToken?
    /// How many transactions there were, for tokens.
    var transactionCount = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Connects and logs in.
    ///
    /// - Parameters:
    ///   - timeout: for all of it, over all hosts that the settings name.
    ///   - answerTimeout: longest silence of the server within a statement, after which the statement is cancelled and
    ///     ``PostgresError/timedOut(_:)`` thrown; nil leaves that to the server's `statement_timeout`.
    /// - Throws: ``PostgresError/connectionFailed(_:)``.
    package static func open(
        _ settings: ConnectionSettings, timeout: Duration = .seconds(10), answerTimeout: Duration? = nil
    ) async throws(PostgresError) -> Connection {
        let thread = ConnectionThread(name: "postgres")
        let outcome = await Session.open(settings, timeout: timeout, on: thread)
        switch consume outcome {
        case .success(let session):
            session.answerTimeout = answerTimeout
            return Connection(thread, session)
        case .failure(let error):
            thread.stop()
            throw error
        }
    }

    private init(_ thread: ConnectionThread, _ session: sending Session) {
        self.thread = thread
        self.cancelKey = session.cancelKey
        self.session = session
    }

    deinit { thread.stop() }

    /// Runs one statement with `$1`, `$2`, ... as text; nil is NULL.
    package func query(_ sql: String, _ parameters: [String?] = []) throws(PostgresError) -> QueryResult {
        try admit()
        return try session.query(sql, parameters)
    }

    /// The same, parsed and planned by the server once a session. For statements that come again and again.
    package func queryPrepared(_ sql: String, _ parameters: [String?] = []) throws(PostgresError) -> QueryResult {
        try admit()
        return try session.queryPrepared(sql, parameters)
    }

    /// Runs all statements in one round trip and gives a result for each. No COPY, one statement per text.
    ///
    /// Outside a transaction the pipeline is one: all of it or nothing.
    ///
    /// - Parameter prepared: as ``queryPrepared(_:_:)`` does it, sending what is new along.
    /// - Throws: the first error, with ``ServerError/statementIndex``; the statements after it were not run.
    package func pipeline(
        _ statements: [(sql: String, parameters: [String?])], prepared: Bool = false
    ) throws(PostgresError) -> [QueryResult] {
        try admit()
        return try session.pipeline(statements, prepared: prepared)
    }

    /// Runs a script of statements. Without BEGIN in it, the script is one transaction.
    package func execute(_ script: String) throws(PostgresError) {
        try admit()
        try session.execute(script)
    }

    /// The last statement's result of a script. For servers that know the simple protocol only, as PgBouncer's console.
    package func simpleQuery(_ script: String) throws(PostgresError) -> QueryResult {
        try admit()
        return try session.execute(script)
    }

    /// Runs `COPY ... TO STDOUT`. `row` gets a row with its end of line, valid within the call; in binary format the
    /// file's header comes with the first.
    ///
    /// - Returns: the number of rows.
    /// - Throws: what `row` throws, after the server was made to stop; else a ``PostgresError``.
    @discardableResult
    package func copyOut(_ sql: String, _ row: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        try admit()
        return try session.copyOut(sql, row)
    }

    /// Runs `COPY ... FROM STDIN` with what `body` writes.
    ///
    /// - Returns: the number of rows.
    /// - Throws: what `body` throws, and then no row is kept; else a ``PostgresError``.
    @discardableResult
    package func copyIn(_ sql: String, _ body: (inout CopyWriter) throws -> Void) throws -> Int {
        try admit()
        return try session.copyIn(sql, body)
    }

    /// Asks the server to stop the running statement, which then fails with SQLSTATE 57014. Returns at once, from any
    /// thread. When the statement ends meanwhile, the request may hit the next one.
    package nonisolated func cancel() { cancelKey.sendInBackground() }

    /// What the server remarked since the last call, oldest first; the last 100 are kept.
    package func takeNotices() -> [Notice] { session.notices.take() }

    /// False once the session is closed or known to be lost. A server that went away silently is noticed by asking it.
    package var isOpen: Bool { session.isOpen }
    /// The process that serves this session: `pg_stat_activity.pid`. 0 after ``close()``.
    package var backendPID: Int32 { session.backendPID }
    /// 150012 is 15.12. 0 after ``close()``.
    package var serverVersion: Int { session.serverVersion }

    /// Ends the session; the server rolls an open transaction back.
    package func close() { session.close() }
}
