// Transactions, and who may speak within one.

/// Marks the calls that come from within one transaction.
struct TransactionToken: Hashable, Sendable {
    var connection: ObjectIdentifier
    var number: Int
}

extension Connection {
    /// The transactions around the running task, on whatever connections.
    @TaskLocal private static var surrounding: Set<TransactionToken> = []

    /// Runs `body` between BEGIN and COMMIT; rolls back when it throws.
    ///
    /// While `body` waits for something else, calls of other tasks on this connection are refused with
    /// ``PostgresError/usage(_:)``: they would become part of a transaction they know nothing of.
    ///
    /// - Parameter begin: for other isolation: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`.
    /// - Throws: what `body` throws; the server's error when it refuses to commit; and ``PostgresError/connectionLost(_:)``
    ///   when the session ends while committing: then nobody knows here whether it has committed.
    package func transaction<Value: Sendable>(
        begin: String = "BEGIN", _ body: @Sendable (isolated Connection) async throws -> Value
    ) async throws -> Value {
        try admit()
        if openTransaction != nil {
            throw PostgresError.usage("transactions do not nest\nhint: use SAVEPOINT")
        }
        try session.execute(begin)
        transactionCount += 1
        let token = TransactionToken(connection: ObjectIdentifier(self), number: transactionCount)
        openTransaction = token
        defer { openTransaction = nil }
        let value: Value
        do {
            value = try await Self.$surrounding.withValue(Self.surrounding.union([token])) {
                try await body(self)
            }
        } catch {
            rollBack()
            throw error
        }
        try commit()
        return value
    }

    /// - Throws: ``PostgresError/usage(_:)`` when another task's transaction is open.
    func admit() throws(PostgresError) {
        guard let openTransaction, !Self.surrounding.contains(openTransaction) else { return }
        throw .usage("connection to \(session.place) is in the middle of another task's transaction")
    }

    private func commit() throws(PostgresError) {
        switch session.transactionState {
        case .open: break
        case .failed:
            rollBack()
            throw .usage(
                "transaction rolled back: one of its statements failed and the error was passed over\n"
                    + "hint: use SAVEPOINT around statements that may fail")
        case .none: throw .usage("transaction was ended by a statement within it")
        case .unknown: try session.mustBeOpen()
        }
        do throws(PostgresError) {
            try session.execute("COMMIT")
        } catch {
            switch error {
            case .connectionLost(let text):
                throw .connectionLost("\(text), while committing: whether the transaction has committed is unknown")
            case .timedOut(let text):
                session.close()
                throw .connectionLost("\(text), while committing: whether the transaction has committed is unknown")
            case .server, .usage, .connectionFailed: throw error
            }
        }
    }

    private func rollBack() {
        guard session.isOpen, session.transactionState != .none else { return }
        do throws(PostgresError) {
            try session.execute("ROLLBACK")
        } catch {
            // Whatever state it is in, the server rolls back what a closed session leaves.
            session.close()
        }
    }
}
