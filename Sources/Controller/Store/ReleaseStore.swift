// Releases in PostgreSQL. One connection, reopened when lost; every write carries the leader's epoch.

package import Analysis
import Foundation
package import Logging
import Ports
package import Postgres
package import Releases

/// Why the store did not do what was asked.
package enum StoreError: Error, Hashable, Sendable {
    /// The store cannot be reached, or the connection broke in the middle: ask again.
    case unreachable(String)
    /// Another daemon leads now; this one must not write any more.
    case fenced
    /// Another release is active on this service or database.
    case occupied(constraint: String)
    /// A stored value cannot be read.
    case damaged(String)
}

/// What serves everybody.
package struct StableVersion: Hashable, Sendable {
    package var commit: CommitID
    /// Prefix of its instances' names.
    package var tag: String
    /// The database role its instances connect with.
    package var role: Arm

    package init(commit: CommitID, tag: String, role: Arm) {
        self.commit = commit
        self.tag = tag
        self.role = role
    }
}

package actor ReleaseStore {
    private let settings: ConnectionSettings
    private let logger: Logger
    private var open: Connection?

    package init(settings: ConnectionSettings, logger: Logger) {
        // A daemon that freezes in the middle of a write must not keep the next one from leading.
        let given = settings.parameters["options"].map { "\($0) " } ?? ""
        let options = "\(given)-c idle_in_transaction_session_timeout=5s"
        self.settings = settings.with("application_name", "perchd store").with("options", options)
        self.logger = logger
    }

    // MARK: Connection

    private func connection() async throws(StoreError) -> Connection {
        if let open { return open }
        do {
            let fresh = try await Connection.open(settings, timeout: .seconds(5))
            if let open {  // another caller was faster while this one waited
                await fresh.close()
                return open
            }
            open = fresh
            return fresh
        } catch {
            throw .unreachable("store: \(error)")
        }
    }

    private func translate(_ error: PostgresError) async -> StoreError {
        if case .server(let server) = error, server.sqlState == "23505", let constraint = server.constraint {
            return .occupied(constraint: constraint)
        }
        if case .server(let server) = error, !["57", "08", "53"].contains(server.sqlState.prefix(2)) {
            return .damaged("\(error)")
        }
        await open?.close()
        open = nil
        return .unreachable("\(error)")
    }

    private func query(_ sql: String, _ parameters: [String?] = []) async throws(StoreError) -> QueryResult {
        let connection = try await connection()
        do {
            return try await connection.queryPrepared(sql, parameters)
        } catch {
            throw await translate(error)
        }
    }

    private func transaction<Value: Sendable>(
        _ body: @Sendable (isolated Connection) throws(PostgresError) -> Value
    ) async throws(StoreError) -> Value {
        let connection = try await connection()
        do {
            return try await connection.transaction { try body($0) }
        } catch let error as PostgresError {
            throw await translate(error)
        } catch {
            throw .damaged("\(error)")
        }
    }

    // MARK: Schema

    /// Brings the schema up to date; several daemons may ask at the same time.
    ///
    /// - Returns: names of the migrations that were applied.
    /// - Throws: `damaged` when a migration fails, or when a newer Perch has already migrated the store.
    package func migrate() async throws(StoreError) -> [String] {
        let known = Set(SQL.migrations.map(\.number))
        let done = try await transaction { (connection) throws(PostgresError) -> (applied: Set<Int>, names: [String]) in
            _ = try connection.query(SQL.lockMigrations)
            _ = try connection.query(SQL.createMigrationTable)
            let applied = Set(try connection.query(SQL.appliedMigrations).rows.compactMap { $0[0].flatMap { Int($0) } })
            var names: [String] = []
            guard applied.isSubset(of: known) else { return (applied, names) }
            for migration in SQL.migrations where !applied.contains(migration.number) {
                try connection.execute(migration.text)
                _ = try connection.query(SQL.recordMigration, ["\(migration.number)", migration.name])
                names.append(migration.name)
            }
            return (applied, names)
        }
        if let newer = done.applied.subtracting(known).max() {
            throw .damaged("the store has migration \(newer) of a newer Perch; this one knows \(known.max() ?? 0)")
        }
        return done.names
    }

    // MARK: Services

    package func ensureService(_ service: ServiceName) async throws(StoreError) {
        _ = try await query(SQL.ensureService, [service.rawValue])
    }

    package func stable(of service: ServiceName) async throws(StoreError) -> StableVersion? {
        let result = try await query(SQL.service, [service.rawValue])
        guard let row = result.rows.first, let commit = row[0], let tag = row[1] else { return nil }
        guard let id = CommitID(rawValue: commit), let role = row[2].flatMap({ Arm(rawValue: $0) }) else {
            throw .damaged("service \(service): stable commit '\(commit)' cannot be read")
        }
        return StableVersion(commit: id, tag: tag, role: role)
    }

    package func setStable(_ stable: StableVersion, of service: ServiceName, epoch: UInt64) async throws(StoreError) {
        let result = try await query(
            SQL.setStable,
            [service.rawValue, stable.commit.rawValue, stable.tag, stable.role.rawValue, "\(epoch)"])
        guard !result.rows.isEmpty else { throw .fenced }
    }

    // MARK: Acceptance

    /// Makes a release durable, once per delivery.
    ///
    /// - Parameter body: builds the acceptance once the number is known.
    /// - Returns: the release, and whether the delivery was seen before.
    package func accept(
        service: ServiceName, delivery: String, commit: CommitID, databaseKey: String?, at now: Instant,
        epoch: UInt64, acceptance: @escaping @Sendable (ReleaseID) -> Acceptance
    ) async throws(StoreError) -> (release: ReleaseID, duplicate: Bool) {
        let accepted = try await transaction { (connection) throws(PostgresError) -> (ReleaseID, Bool)? in
            // Locks the service's row first, so that two deliveries with one id are one after the other.
            let numbered = try connection.query(SQL.nextNumber, [service.rawValue, "\(epoch)"])
            guard let number = numbered.rows.first?[0].flatMap({ Int($0) }) else { return nil }
            let seen = try connection.query(SQL.deliveryRelease, [service.rawValue, delivery])
            if let known = seen.rows.first?[0].flatMap({ ReleaseID($0) }) { return (known, true) }
            let id = ReleaseID(service: service, number: number)
            _ = try connection.query(
                SQL.insertRelease,
                [
                    id.description, service.rawValue, "\(number)", commit.rawValue, databaseKey,
                    "\(now.millisecondsSince1970)",
                ])
            _ = try connection.query(SQL.insertDelivery, [service.rawValue, delivery, id.description])
            let fact = Fact(sequence: 1, at: now, body: .accepted(acceptance(id)))
            _ = try connection.query(SQL.appendFact, FactRow.parameters(fact, release: id, epoch: epoch))
            return (id, false)
        }
        guard let accepted else { throw .fenced }
        return accepted
    }

    // MARK: Facts

    /// Appends facts and the release's new place in one transaction.
    package func append(
        _ facts: [Fact], to release: ReleaseID, state: ReleaseState, epoch: UInt64
    ) async throws(StoreError) {
        let row = [
            release.description, state.phase.name, state.phase.isActive ? "true" : "false",
            state.phase.isTerminal ? "true" : "false", "\(state.updatedAt.millisecondsSince1970)",
        ]
        let isWritten = try await transaction { (connection) throws(PostgresError) -> Bool in
            for fact in facts {
                let appended = try connection.query(
                    SQL.appendFact, FactRow.parameters(fact, release: release, epoch: epoch))
                guard !appended.rows.isEmpty else { return false }
            }
            _ = try connection.query(SQL.updateRelease, row)
            return true
        }
        guard isWritten else { throw .fenced }
    }

    package func facts(of release: ReleaseID, after sequence: Int = 0) async throws(StoreError) -> [Fact] {
        let result = try await query(SQL.facts, [release.description, "\(sequence)"])
        var facts: [Fact] = []
        for row in result.rows {
            facts.append(try FactRow.fact(row, release: release))
        }
        return facts
    }

    /// The active release first, then those that wait, oldest first.
    package func unfinished(of service: ServiceName) async throws(StoreError) -> [(id: ReleaseID, isActive: Bool)] {
        try await query(SQL.unfinishedReleases, [service.rawValue]).rows.compactMap { row in
            row[0].flatMap { ReleaseID($0) }.map { ($0, row[1] == "t") }
        }
    }

    /// Newest first.
    package func releases(of service: ServiceName?, limit: Int) async throws(StoreError) -> [ReleaseID] {
        try await query(SQL.releases, [service?.rawValue, "\(limit)"]).rows
            .compactMap { $0[0].flatMap { ReleaseID($0) } }
    }

    package func releasesWithoutReport(of service: ServiceName) async throws(StoreError) -> [ReleaseID] {
        try await query(SQL.releasesWithoutReport, [service.rawValue]).rows
            .compactMap { $0[0].flatMap { ReleaseID($0) } }
    }

    // MARK: Watching and reports

    /// The judge and the look that it has taken in, in one write.
    package func saveProgress(
        _ progress: WatchProgress, _ look: RecordedLook, of release: ReleaseID, epoch: UInt64
    ) async throws(StoreError) {
        let result = try await query(
            SQL.saveWatchProgress,
            [release.description, try encoded(progress), "\(epoch)", "\(look.number)", try encoded(look)])
        guard !result.rows.isEmpty else { throw .fenced }
    }

    package func progress(of release: ReleaseID) async throws(StoreError) -> WatchProgress? {
        guard let body = try await query(SQL.watchProgress, [release.description]).rows.first?[0] else { return nil }
        do {
            return try JSONDecoder().decode(WatchProgress.self, from: Data(body.utf8))
        } catch {
            throw .damaged("progress of \(release): \(error)")
        }
    }

    /// What stable answered before the release's canary got traffic. The first one that is saved stays.
    package func savePast(_ counts: VersionCounts, of release: ReleaseID, epoch: UInt64) async throws(StoreError) {
        _ = try await query(SQL.saveWatchPast, [release.description, try encoded(counts), "\(epoch)"])
    }

    package func past(of release: ReleaseID) async throws(StoreError) -> VersionCounts? {
        guard let body = try await query(SQL.watchPast, [release.description]).rows.first?[0] else { return nil }
        do {
            return try JSONDecoder().decode(VersionCounts.self, from: Data(body.utf8))
        } catch {
            throw .damaged("past of \(release): \(error)")
        }
    }

    /// Looks after a number, in order.
    package func looks(
        of release: ReleaseID, after number: Int, limit: Int
    ) async throws(StoreError) -> [RecordedLook] {
        let rows = try await query(SQL.watchLooks, [release.description, "\(number)", "\(limit)"]).rows
        do {
            return try rows.map { try JSONDecoder().decode(RecordedLook.self, from: Data(($0[0] ?? "").utf8)) }
        } catch {
            throw .damaged("looks of \(release): \(error)")
        }
    }

    package func forgetLooks(of service: ServiceName, except releases: Int) async throws(StoreError) {
        _ = try await query(SQL.forgetWatchLooks, [service.rawValue, "\(releases)"])
    }

    package func saveReport(json: String, markdown: String, of release: ReleaseID) async throws(StoreError) {
        _ = try await query(SQL.saveReport, [release.description, json, markdown])
    }

    package func report(of release: ReleaseID) async throws(StoreError) -> (json: String, markdown: String)? {
        guard let row = try await query(SQL.report, [release.description]).rows.first, let json = row[0],
            let markdown = row[1]
        else { return nil }
        return (json, markdown)
    }

    private func encoded(_ value: some Encodable) throws(StoreError) -> String {
        do {
            return String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
        } catch {
            throw .damaged("\(error)")
        }
    }

    package func close() async {
        await open?.close()
        open = nil
    }
}
