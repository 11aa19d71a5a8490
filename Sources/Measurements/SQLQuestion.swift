// One number out of a database.

import Ports
import Postgres
import Releases

/// Asks on a connection of its own, in a transaction that can only read.
///
/// The statement is the query of a cursor (PostgreSQL: DECLARE), so it is a SELECT or VALUES, alone, and two rows are
/// fetched at most, however many it finds.
struct SQLQuestion {
    private let number: Policy.SQLNumber
    private let timeout: Span
    private let secrets: @Sendable (Secret) throws(Failure) -> String

    init(
        _ number: Policy.SQLNumber, within timeout: Span,
        secrets: @escaping @Sendable (Secret) throws(Failure) -> String
    ) {
        self.number = number
        self.timeout = timeout
        self.secrets = secrets
    }

    func ask() async throws(NoData) -> Double {
        let settings = try settings()
        let deadline = ContinuousClock.now + timeout.duration
        let result: QueryResult
        do {
            let connection = try await Connection.open(
                settings, timeout: timeout.duration, answerTimeout: timeout.duration + .seconds(1))
            do {
                result = try await answer(on: connection, before: deadline)
                await connection.close()
            } catch {
                await connection.close()
                throw error
            }
        } catch let error as PostgresError {
            throw failure(error)
        } catch {
            throw NoData("\(number.url): \(error)")
        }
        return try Self.number(in: result)
    }

    private func settings() throws(NoData) -> ConnectionSettings {
        do {
            return try ConnectionSettings(url: try secrets(number.url)).with("application_name", "perchd")
        } catch let error as Failure {
            throw NoData(error.message)
        } catch {
            throw NoData("\(number.url): \(error)")
        }
    }

    private func answer(on connection: Connection, before deadline: ContinuousClock.Instant) async throws -> QueryResult
    {
        let sql = number.sql
        return try await connection.transaction(begin: "BEGIN READ ONLY") { connection in
            let left = max(.milliseconds(1), deadline - .now)
            let milliseconds = left.components.seconds * 1_000 + left.components.attoseconds / 1_000_000_000_000_000
            _ = try connection.query("SET LOCAL statement_timeout = \(max(1, milliseconds))")
            _ = try connection.query("DECLARE perch_metric NO SCROLL CURSOR FOR\n\(sql)")
            return try connection.query("FETCH 2 FROM perch_metric")
        }
    }

    private func failure(_ error: PostgresError) -> NoData {
        // 57014: the statement was cancelled, by its timeout or by somebody.
        if error.sqlState == "57014" { return NoData("the database did not answer within \(timeout)") }
        return NoData("\(number.url): \(error.serverError?.message ?? error.description)")
    }

    private static func number(in result: QueryResult) throws(NoData) -> Double {
        guard result.columns.count == 1 else {
            throw NoData("the query answers \(result.columns.count) columns, one number is needed")
        }
        guard let row = result.rows.first else { throw NoData("the query answers no row, one number is needed") }
        guard result.rows.count == 1 else { throw NoData("the query answers several rows, one number is needed") }
        guard let text = row[0] else { throw NoData("the query answers NULL, one number is needed") }
        // In Swift 0x10 and nan are numbers too.
        guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }), let number = Double(text), number.isFinite
        else { throw NoData("the query answers '\(text.prefix(40))', a number is needed") }
        return number
    }
}
