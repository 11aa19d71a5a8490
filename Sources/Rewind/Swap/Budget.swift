// How long requests may wait, and what of it is left.

import Ports
import Postgres
import Releases

struct Budget: Sendable {
    let begin: ContinuousClock.Instant
    let total: Duration

    init(_ total: Span) {
        begin = .now
        self.total = total.duration
    }

    var end: ContinuousClock.Instant { begin + total }
    var used: Duration { .now - begin }
    var left: Duration { end - .now }

    /// Makes the server stop what would run past the end.
    func bound(_ connection: Connection) async throws(PostgresError) {
        try await connection.execute("SET statement_timeout = \(max(1, left.milliseconds))")
    }

    /// - Parameter goal: a clause: `the tables were verified`.
    func require(_ more: Duration = .zero, before goal: String) throws(Failure) {
        guard left > more else { throw exceeded(before: goal, more: more) }
    }

    /// - Parameter more: what is still to be done takes about this long.
    func exceeded(before goal: String, more: Duration = .zero) -> Failure {
        Failure(
            "the switch was given up before \(goal): requests may be held for \(total.seconds), it needs "
                + "\(more > .zero ? "about" : "more than") \((used + more).seconds)",
            hint: "live data is untouched; ask again at a quieter time, or raise database.rollback.freeze",
            isTransient: true)
    }
}

extension Duration {
    var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
    /// `3.2 s`
    var seconds: String { "\(milliseconds / 1_000).\(milliseconds % 1_000 / 100) s" }
}
