// What can go wrong between here and a PostgreSQL server.

package enum PostgresError: Error, Hashable, Sendable {
    /// No session came to be: refused, wrong password, unknown database, no answer in time.
    case connectionFailed(String)
    /// The session ended under us. What the server did with the last statement is unknown; the connection is useless.
    case connectionLost(String)
    /// The server refused a statement; the session lives on.
    case server(ServerError)
    /// We asked for what the protocol or this module does not allow.
    case usage(String)
    /// No answer within the caller's time. The statement was cancelled where that was possible.
    case timedOut(String)

    /// What the server said, when it was the server that said no.
    package var serverError: ServerError? {
        if case .server(let error) = self { return error }
        return nil
    }

    /// SQLSTATE of a server error: `23505`.
    package var sqlState: String? { serverError?.sqlState }
}

extension PostgresError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .connectionFailed(let text), .connectionLost(let text), .usage(let text), .timedOut(let text): text
        case .server(let error): error.description
        }
    }
}

/// An ERROR of the server (PostgreSQL: error and notice message fields).
package struct ServerError: Error, Hashable, Sendable {
    /// Five characters (PostgreSQL: appendix A): `23505`.
    package var sqlState: String
    /// Not translated: `ERROR`, `FATAL`, `WARNING`.
    package var severity: String
    package var message: String
    /// May show values of rows; not part of `description` and not for logs.
    package var detail: String?
    package var hint: String?
    /// Where in the statement's text, in characters from 1.
    package var position: Int?
    /// The call stack of functions and triggers, most recent first.
    package var context: String?
    package var schema: String?
    package var table: String?
    package var column: String?
    package var constraint: String?
    /// Which statement of a pipeline it was, from 0.
    package var statementIndex: Int?

    package init(
        sqlState: String, severity: String = "ERROR", message: String, detail: String? = nil, hint: String? = nil,
        position: Int? = nil, context: String? = nil, schema: String? = nil, table: String? = nil,
        column: String? = nil, constraint: String? = nil, statementIndex: Int? = nil
    ) {
        self.sqlState = sqlState
        self.severity = severity
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.context = context
        self.schema = schema
        self.table = table
        self.column = column
        self.constraint = constraint
        self.statementIndex = statementIndex
    }
}

extension ServerError: CustomStringConvertible {
    package var description: String {
        var text = "\(message) (sqlstate \(sqlState)"
        if let statementIndex { text += ", statement \(statementIndex) of the pipeline" }
        if let position { text += ", at character \(position)" }
        text += ")"
        if let hint { text += "\nhint: \(hint)" }
        return text
    }
}

/// A NOTICE or WARNING that came beside a result.
package struct Notice: Hashable, Sendable {
    package var severity: String
    package var sqlState: String
    package var message: String
    package var detail: String?
    package var hint: String?

    package init(severity: String, sqlState: String, message: String, detail: String? = nil, hint: String? = nil) {
        self.severity = severity
        self.sqlState = sqlState
        self.message = message
        self.detail = detail
        self.hint = hint
    }
}
