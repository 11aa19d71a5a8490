// Statements and their results in text format.

import CLibPQ

extension Session {
    /// Sends with one of libpq's `PQsend...` functions, which give 0 when they refuse.
    func send(_ accepted: Int32) throws(PostgresError) {
        if accepted == 1 { return }
        guard isOpen else { throw lost() }
        throw .usage(oneLine(String(cString: PQerrorMessage(connection))))
    }

    /// One statement through the extended protocol.
    func query(_ sql: String, _ parameters: [String?]) throws(PostgresError) -> QueryResult {
        try refuseZeroBytes(sql, parameters)
        return try dialogue { () throws(PostgresError) in
            try sendQuery(sql, parameters)
            try flush()
            return try answer()
        }
    }

    func sendQuery(_ sql: String, _ parameters: [String?]) throws(PostgresError) {
        try withCStrings(parameters) { values throws(PostgresError) in
            try send(PQsendQueryParams(connection, sql, Int32(values.count), nil, values, nil, nil, 0))
        }
    }

    /// Statements of a script through the simple protocol, with the last one's result.
    @discardableResult
    func execute(_ script: String) throws(PostgresError) -> QueryResult {
        try refuseZeroBytes(script, [])
        return try dialogue { () throws(PostgresError) in
            try send(PQsendQuery(connection, script))
            try flush()
            return try answer()
        }
    }

    /// Reads all results of what was sent and gives the last one.
    ///
    /// - Throws: the first error among them, once the server is ready for the next statement.
    func answer() throws(PostgresError) -> QueryResult {
        var last = QueryResult()
        var failure: PostgresError?
        while let result = try nextResult() {
            defer { PQclear(result) }
            do throws(PostgresError) {
                last = try value(of: result)
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        guard isOpen else { throw lost() }
        return last
    }

    /// - Throws: the result's error. One that the session does not survive is ``PostgresError/connectionLost(_:)``.
    func value(of result: OpaquePointer) throws(PostgresError) -> QueryResult {
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            return try QueryResult(of: result)
        case PGRES_COPY_IN:
            PQputCopyEnd(connection, "given up")
            try flush()
            throw .usage("COPY FROM STDIN is no query\nhint: use copyIn")
        case PGRES_COPY_OUT:
            while try nextCopyData({ _ in }) {}
            throw .usage("COPY TO STDOUT is no query\nhint: use copyOut")
        case PGRES_COPY_BOTH:
            // libpq would give this result again and again.
            close()
            throw .usage("the start of a stream where a result was expected")
        default:
            throw failure(of: result)
        }
    }

    /// What an error result means for the session.
    func failure(of result: OpaquePointer) -> PostgresError {
        let report = ServerError(of: result)
        if report.severity == "FATAL" || report.severity == "PANIC" || !isOpen {
            let failure = lost(report)
            close()
            return failure
        }
        return report.sqlState.isEmpty ? .usage(report.message) : .server(report)
    }

    /// C strings end at their first zero byte; a statement or a value must not be cut there silently.
    func refuseZeroBytes(_ sql: String, _ parameters: [String?]) throws(PostgresError) {
        if sql.utf8.contains(0) { throw .usage("a zero byte cannot be part of SQL") }
        if let index = parameters.firstIndex(where: { $0?.utf8.contains(0) ?? false }) {
            throw .usage("parameter $\(index + 1) has a zero byte, which PostgreSQL's text cannot hold")
        }
    }
}

extension QueryResult {
    fileprivate init(of result: OpaquePointer) throws(PostgresError) {
        let width = PQnfields(result)
        columns = (0..<width).map { String(cString: PQfname(result, $0)) }
        rows = []
        rows.reserveCapacity(Int(PQntuples(result)))
        for row in 0..<PQntuples(result) {
            var values: [String?] = []
            values.reserveCapacity(Int(width))
            for column in 0..<width {
                if PQgetisnull(result, row, column) != 0 {
                    values.append(nil)
                    continue
                }
                let bytes = UnsafeRawBufferPointer(
                    start: PQgetvalue(result, row, column), count: Int(PQgetlength(result, row, column)))
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw .usage(
                        "column '\(columns[Int(column)])' of row \(row) is not UTF-8\n"
                            + "hint: client_encoding must be UTF8 here; use copyOut for other bytes")
                }
                values.append(text)
            }
            rows.append(values)
        }
        let count = PQcmdTuples(result).map { String(cString: $0) } ?? ""
        affected = Int(count) ?? 0
    }
}
