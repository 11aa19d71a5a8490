// What several tests of this folder need.

import Postgres
import PostgresSupport
import Testing

/// A session with a database of its own on the common server.
func openFresh(answerTimeout: Duration? = nil) async throws -> Connection {
    let settings = try await ConnectionSettings(url: PostgresServer.shared().freshDatabase())
    return try await Connection.open(settings, answerTimeout: answerTimeout)
}

/// The error of a call that must fail.
func failure(
    isolation: isolated (any Actor)? = #isolation, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async -> PostgresError? {
    do {
        try await body()
    } catch let error as PostgresError {
        return error
    } catch {
        Issue.record("not a PostgresError: \(error)", sourceLocation: sourceLocation)
        return nil
    }
    Issue.record("no error", sourceLocation: sourceLocation)
    return nil
}

extension PostgresError {
    var isLoss: Bool {
        if case .connectionLost = self { return true }
        return false
    }

    var isTimeout: Bool {
        if case .timedOut = self { return true }
        return false
    }

    var isUsage: Bool {
        if case .usage = self { return true }
        return false
    }

    var isFailedConnection: Bool {
        if case .connectionFailed = self { return true }
        return false
    }
}

/// Asks again until it is so, for at most ten seconds.
func eventually(
    _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("did not become true: \(what)", sourceLocation: sourceLocation)
}

/// A test's own error, thrown out of closures.
struct Refusal: Error, Equatable {}
