// Statements that the server parses once a session, and many statements in one round trip.

import CLibPQ

extension Session {
    /// One statement, prepared on its first use by this session.
    func queryPrepared(_ sql: String, _ parameters: [String?]) throws(PostgresError) -> QueryResult {
        let mayTryAgain = PQtransactionStatus(connection) == PQTRANS_IDLE
        let wasKnown = statements.name(of: sql) != nil
        do throws(PostgresError) {
            return try queryPreparedOnce(sql, parameters)
        } catch {
            guard wasKnown, Self.isStale(error) else { throw error }
            statements.forget(sql)
            // Inside a transaction the error has already ended it.
            guard mayTryAgain else { throw error }
            return try queryPreparedOnce(sql, parameters)
        }
    }

    /// The server no longer has the statement (somebody ran DISCARD ALL), or its columns changed with the table's.
    static func isStale(_ error: PostgresError) -> Bool {
        error.sqlState == "26000"
            || error.sqlState == "0A000" && error.serverError?.message == "cached plan must not change result type"
    }

    private func queryPreparedOnce(_ sql: String, _ parameters: [String?]) throws(PostgresError) -> QueryResult {
        try refuseZeroBytes(sql, parameters)
        try makeRoomForStatements()
        return try dialogue { () throws(PostgresError) in
            let name: String
            if let known = statements.name(of: sql) {
                name = known
            } else {
                name = statements.freshName()
                try send(PQsendPrepare(connection, name, sql, 0, nil))
                try flush()
                _ = try answer()
                statements.remember(sql, as: name)
            }
            try sendPrepared(name, parameters)
            try flush()
            return try answer()
        }
    }

    private func sendPrepared(_ name: String, _ parameters: [String?]) throws(PostgresError) {
        try withCStrings(parameters) { values throws(PostgresError) in
            try send(PQsendQueryPrepared(connection, name, Int32(values.count), values, nil, nil, 0))
        }
    }

    /// Starts anew when the cache is full. In a failed transaction nothing can be deallocated, and nothing be prepared.
    private func makeRoomForStatements() throws(PostgresError) {
        guard statements.isFull, PQtransactionStatus(connection) != PQTRANS_INERROR else { return }
        try execute("DEALLOCATE ALL")
        statements.forgetAll()
    }

    /// What the server answers to, in order, within a pipeline.
    private enum Step {
        case prepare(sql: String, name: String, index: Int)
        case run(sql: String, index: Int)

        var index: Int {
            switch self {
            case .prepare(_, _, let index), .run(_, let index): index
            }
        }
    }

    /// All statements in one round trip. Without a transaction around them they are one of their own.
    ///
    /// - Throws: the first error, with the index of its statement; the statements after it were not run.
    func pipeline(
        _ batch: [(sql: String, parameters: [String?])], prepared: Bool
    ) throws(PostgresError) -> [QueryResult] {
        if batch.isEmpty { return [] }
        for (sql, parameters) in batch { try refuseZeroBytes(sql, parameters) }
        if prepared { try makeRoomForStatements() }
        return try dialogue { () throws(PostgresError) in
            guard PQenterPipelineMode(connection) == 1 else {
                throw .usage(oneLine(String(cString: PQerrorMessage(connection))))
            }
            let steps = try sendSteps(batch, prepared: prepared)
            try send(PQpipelineSync(connection))
            try flush()
            return try answers(to: steps)
        }
    }

    private func sendSteps(
        _ batch: [(sql: String, parameters: [String?])], prepared: Bool
    ) throws(PostgresError) -> [Step] {
        var steps: [Step] = []
        /// Names that become the cache's once the server has accepted them.
        var fresh: [String: String] = [:]
        var unflushed = 0
        for (index, (sql, parameters)) in batch.enumerated() {
            if prepared {
                let name: String
                if let known = statements.name(of: sql) ?? fresh[sql] {
                    name = known
                } else {
                    name = statements.freshName()
                    fresh[sql] = name
                    try send(PQsendPrepare(connection, name, sql, 0, nil))
                    steps.append(.prepare(sql: sql, name: name, index: index))
                }
                try sendPrepared(name, parameters)
            } else {
                try sendQuery(sql, parameters)
            }
            steps.append(.run(sql: sql, index: index))
            unflushed += sql.utf8.count + parameters.reduce(0) { $0 + ($1?.utf8.count ?? 0) + 4 }
            if unflushed >= Self.outputBound {
                unflushed = 0
                try flush()
            }
        }
        return steps
    }

    private func answers(to steps: [Step]) throws(PostgresError) -> [QueryResult] {
        var results: [QueryResult] = []
        var failure: PostgresError?
        var remaining = steps[...]
        while true {
            guard let result = try nextResult() else {
                guard isOpen else { throw failure ?? lost() }
                // The end of one step's results.
                remaining = remaining.dropFirst()
                continue
            }
            defer { PQclear(result) }
            let status = PQresultStatus(result)
            if status == PGRES_PIPELINE_SYNC { break }
            guard status != PGRES_PIPELINE_ABORTED, let step = remaining.first else { continue }
            do throws(PostgresError) {
                let value = try value(of: result)
                switch step {
                case .prepare(let sql, let name, _): statements.remember(sql, as: name)
                case .run: results.append(value)
                }
            } catch {
                if case .run(let sql, _) = step, Self.isStale(error) { statements.forget(sql) }
                failure = failure ?? error.at(statement: step.index)
            }
        }
        guard PQexitPipelineMode(connection) == 1 else { throw failure ?? lost() }
        if let failure { throw failure }
        return results
    }
}

extension PostgresError {
    fileprivate func at(statement index: Int) -> PostgresError {
        guard case .server(var report) = self else { return self }
        report.statementIndex = index
        return .server(report)
    }
}
