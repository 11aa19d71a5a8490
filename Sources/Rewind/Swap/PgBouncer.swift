// A pooler in front of the service's database, seen from its console: clients wait at it while the data is switched.
//
//   PAUSE      no client gets a server session any more; answered when the last one was given back and closed
//   RECONNECT  what is connected to the server is not used again
//   RESUME     clients go on, with new sessions
//
// A pause outlives the console's session that asked for it, and neither a cancel request nor RESUME answers a PAUSE that
// waits (PgBouncer 1.18). So one session waits, and another one ends the pause when its time is over.

import Ports
import Postgres
import Releases

struct PgBouncer: Sendable {
    /// How Perch connects to the console.
    let console: ConnectionSettings
    /// As PgBouncer's configuration calls the service's database.
    let database: String

    /// Longest wait for the console's answers, PAUSE excepted.
    private static let patience = Duration.seconds(3)
    /// Times that a pause is ended before somebody else has to.
    private static let attempts = 3

    /// - Parameter live: what the service's database is called in PostgreSQL.
    init(_ console: ConnectionSettings, database: String?, live: String) {
        // The console refuses the start-up parameter `options`, which PGOPTIONS would add.
        var console = console.with("options", "")
        if console.parameters["dbname"] == nil { console = console.with(database: "pgbouncer") }
        self.console = console
        self.database = database ?? live
    }

    /// For messages: no password.
    var name: String { "PgBouncer \(console)" }
    private var target: String { quoteIdentifier(database) }

    /// The pooler of a policy's database; nil when clients connect to the server itself.
    static func of(_ database: Policy.Database, live: String, _ data: PostgresData) throws(Failure) -> PgBouncer? {
        guard let pooler = database.pgbouncer else { return nil }
        let console = try data.settings(pooler.adminURL).with("application_name", "perchd")
        return PgBouncer(console, database: pooler.database, live: live)
    }

    // MARK: The switch

    /// Found before anybody has to wait: the console answers and knows the database.
    func requireDatabase() async throws(Failure) {
        let session = try await open()
        let isKnown = try await entry(session) != nil
        await session.close()
        guard isKnown else {
            throw Failure(
                "\(name) knows no database \(database)",
                hint: "live data is untouched; name it in [databases], or put its name there into "
                    + "database.pgbouncer.database")
        }
    }

    /// Returns when no client has a session with the server.
    ///
    /// - Parameter limit: how long clients may take to give their sessions back.
    /// - Throws: after clients were let go on, when they did not; what is still in use is in the message.
    func pause(within limit: Duration) async throws(Failure) {
        let (answers, answer) = AsyncStream.makeStream(of: Answer.self)
        let alarm = Task {
            try? await Task.sleep(for: limit)
            answer.yield(.late)
        }
        defer { alarm.cancel() }
        let control = try await open(timeout: min(limit, Self.patience))
        // When it is the alarm that rings, this session ends itself a moment later.
        let waiting = try await open(timeout: min(limit, Self.patience), answerTimeout: limit + .seconds(1))
        let pausing = Task {
            do throws(PostgresError) {
                _ = try await waiting.simpleQuery("PAUSE \(target)")
                answer.yield(.paused)
            } catch {
                answer.yield(.refused(error))
            }
            await waiting.close()
        }
        // Nothing comes when this task is cancelled, and then nobody may be left waiting.
        let first = await answers.first { _ in true } ?? .late
        switch first {
        case .paused: await control.close()
        case .refused(let error):
            await control.close()
            throw Failure("\(name) does not pause database \(database): \(error)", isTransient: true)
        case .late:
            let busy = try? await sessionsInUse(control)
            let failure = notPaused(busy ?? [], limit)
            do throws(Failure) {
                if try await !resume(control) {
                    // The PAUSE may still be on its way, and nobody would end it.
                    await pausing.value
                    try await resume(control)
                }
            } catch {
                throw Failure("\(failure.message); and \(error.message)", hint: error.hint, isTransient: true)
            }
            await control.close()
            throw failure
        }
    }

    private enum Answer: Sendable {
        case paused
        case refused(PostgresError)
        case late
    }

    /// Lets clients go on where they wait.
    ///
    /// - Parameter anew: with sessions begun from now on only.
    /// - Returns: false when nobody waited.
    @discardableResult
    func letGo(anew: Bool = false) async throws(Failure) -> Bool {
        for _ in 1..<Self.attempts {
            do throws(Failure) {
                return try await letGoOnce(anew)
            } catch {
                try? await Task.sleep(for: .milliseconds(300))
            }
        }
        return try await letGoOnce(anew)
    }

    private func letGoOnce(_ anew: Bool) async throws(Failure) -> Bool {
        let session: Connection
        do throws(Failure) {
            session = try await open()
        } catch {
            throw notResumed(error.message)
        }
        if anew {
            do {
                _ = try await session.simpleQuery("RECONNECT \(target)")
            } catch {
                // It has closed its sessions when it paused, and the server those that came since.
                if !(await session.isOpen) { throw notResumed("\(error)") }
            }
        }
        let waited = try await resume(session)
        await session.close()
        return waited
    }

    /// RESUME of a database that is not paused is an error; what counts is that it is not.
    @discardableResult
    private func resume(_ session: Connection) async throws(Failure) -> Bool {
        do throws(PostgresError) {
            _ = try await session.simpleQuery("RESUME \(target)")
            return true
        } catch {
            let reason = "\(error)"
            do throws(Failure) {
                if try await entry(session)?["paused"] != "1" { return false }
            } catch {
                throw notResumed(error.message)
            }
            throw notResumed(reason)
        }
    }

    private func notResumed(_ reason: String) -> Failure {
        Failure(
            "\(name) may keep clients of database \(database) waiting: \(reason)",
            hint: "in its console: RESUME \(target); Perch does so at its next try", isTransient: true)
    }

    private func notPaused(_ busy: [String], _ limit: Duration) -> Failure {
        let who = busy.isEmpty ? "" : "; in use: \(listed(busy))"
        return Failure(
            "\(name) did not pause database \(database) within \(limit.seconds)\(who)",
            hint: "live data is untouched; end those transactions (in session pooling those clients) or ask again at a "
                + "quieter time, or raise database.rollback.freeze: half of it may be spent on the pause",
            isTransient: true)
    }

    // MARK: What the console shows

    /// A row by column; which columns there are depends on PgBouncer's version.
    typealias Row = [String: String]

    func show(_ what: String, _ session: Connection) async throws(Failure) -> [Row] {
        do {
            let result = try await session.simpleQuery("SHOW \(what)")
            return result.rows.map { row in
                Row(zip(result.columns, row.map { $0 ?? "" }), uniquingKeysWith: { first, _ in first })
            }
        } catch {
            throw Failure("\(name) does not show its \(what.lowercased()): \(error)", isTransient: true)
        }
    }

    /// What PgBouncer knows of the database; nil: nothing, or only that `*` stands for it.
    func entry(_ session: Connection) async throws(Failure) -> Row? {
        try await show("DATABASES", session).first { $0["name"] == database }
    }

    func pools(_ session: Connection) async throws(Failure) -> [Row] {
        try await show("POOLS", session).filter { $0["database"] == database }
    }

    /// Clients with a session of the server each: `shop of 10.0.0.7:49846 since 2026-11-21 16:11:59 UTC (transaction)`.
    private func sessionsInUse(_ session: Connection) async throws(Failure) -> [String] {
        var modes: [String: String] = [:]
        for pool in try await pools(session) { modes[pool["user"] ?? ""] = pool["pool_mode"] }
        return try await show("CLIENTS", session)
            .filter { $0["database"] == database && $0["link"]?.isEmpty == false }
            .map { client in
                let user = client["user"] ?? ""
                let place = "\(client["addr"] ?? ""):\(client["port"] ?? "")"
                let mode = modes[user].map { " (\($0) pooling)" } ?? ""
                return "\(user) of \(place) since \(client["request_time"] ?? "?")\(mode)"
            }
    }

    func open(timeout: Duration = patience, answerTimeout: Duration = patience) async throws(Failure) -> Connection {
        do {
            return try await Connection.open(console, timeout: timeout, answerTimeout: answerTimeout)
        } catch {
            throw Failure(
                "cannot reach the console of \(name): \(error)",
                hint: "check database.pgbouncer.admin_url, and that its user is one of PgBouncer's admin_users",
                isTransient: true)
        }
    }
}
