// Releases as CI and operators see them, and the end checks.

package import ControlModel
import Foundation
package import Releases
package import Traffic

extension PerchSystem {
    /// Commits a version and triggers its release.
    package func trigger(_ version: ServiceVersion) async throws -> ReleaseID {
        try await trigger(commit: try await repository.commit(version))
    }

    package func trigger(commit: String) async throws -> ReleaseID {
        let answer = try await daemon.trigger(commit)
        guard answer.status == 202 else { throw SystemFailure("trigger: \(answer.status) \(answer.text)") }
        return try ControlJSON.decode(Accepted.self, from: answer.body).release
    }

    /// Waits until the release is in one of these phases, as the API names them.
    @discardableResult
    package func wait(
        _ release: ReleaseID, for phases: Set<String>, within limit: Duration = .seconds(45)
    ) async throws -> ReleaseDetail {
        var last: ReleaseDetail?
        try await until(
            "\(release) is \(phases.sorted().joined(separator: " or "))", within: limit, every: .milliseconds(50),
            elsewise: { last?.story ?? "never shown" }
        ) {
            guard let detail = try? await daemon.show(release) else { return false }
            last = detail
            if detail.summary.isTerminal, !phases.contains(detail.summary.phase) {
                throw SystemFailure("\(release) ended \(detail.summary.phase)\n\(detail.story)")
            }
            return phases.contains(detail.summary.phase)
        }
        return last!
    }

    /// Waits until nothing will follow.
    @discardableResult
    package func waitForEnd(of release: ReleaseID, within limit: Duration = .seconds(45)) async throws -> ReleaseDetail
    {
        var last: ReleaseDetail?
        try await until(
            "\(release) ends", within: limit, every: .milliseconds(100), elsewise: { last?.story ?? "never shown" }
        ) {
            last = (try? await daemon.show(release)) ?? last
            return last?.summary.isTerminal ?? false
        }
        return last!
    }

    /// Triggers a release and waits for the end it must have.
    @discardableResult
    package func release(
        _ version: ServiceVersion, ends phase: String, within limit: Duration = .seconds(45)
    ) async throws -> ReleaseDetail {
        let id = try await trigger(version)
        let detail = try await waitForEnd(of: id, within: limit)
        guard detail.summary.phase == phase else {
            throw SystemFailure("\(id) should end \(phase), but ended \(detail.summary.phase)\n\(detail.story)")
        }
        return detail
    }

    /// The command line, on the daemon's socket.
    package func perch(_ verb: String, _ arguments: String...) async throws -> Finished {
        try await perch(verb, arguments)
    }

    package func perch(_ verb: String, _ arguments: [String]) async throws -> Finished {
        try await finish(
            ["\(Self.binaries)/perch", verb] + arguments,
            environment: ["PERCH_SERVER": "unix://\(daemon.socket)", "NO_COLOR": "1"])
    }

    // MARK: What is so

    /// The ledger's two sides, once the customers have stopped.
    package func ledger(
        _ customers: Customers, releases: [ReleaseID] = [], takenBack: Set<ServiceVersion> = []
    ) async throws -> Ledger {
        try await customers.stop()
        let text = try await postgres.sql(LiveData.query, database: "shop")
        var quarantine: [QuarantineLine] = []
        for release in releases { quarantine += try await daemon.quarantine(release) }
        return Ledger(
            entries: customers.entries, live: try JSONDecoder().decode(LiveData.self, from: Data(text.utf8)),
            quarantine: quarantine, takenBack: Set(takenBack.map(\.name)))
    }

    /// The table the router serves.
    package func table() async throws -> RoutingTable {
        let answer = try await blocking { [data] in
            try Wire(.socket("\(data)/routers/shop.sock")).exchange("GET", "/table")
        }
        guard answer.status == 200 else { throw SystemFailure("the router was asked for its table: \(answer.status)") }
        return try JSONDecoder().decode(RoutingTable.self, from: Data(answer.body))
    }

    /// What a release must not leave behind, a sentence each: share, slots, publications, triggers, half-made databases.
    package func leftovers() async throws -> [String] {
        var found: [String] = []
        let table = try await table()
        if table.canaryShare != 0 { found.append("share \(table.canaryShare)") }
        let listed = try await postgres.sql(
            """
            select 'slot ' || slot_name from pg_replication_slots
            union all select 'database ' || datname from pg_database where datname like '%\\_perch\\_%'
            """, database: "postgres")
        let inShop = try await postgres.sql(
            """
            select 'publication ' || pubname from pg_publication
            union all select 'trigger ' || tgname from pg_trigger where not tgisinternal and tgname like '%perch%'
            union all select 'schema ' || nspname from pg_namespace n where nspname like '%perch%'
              and not exists (select from pg_class where relnamespace = n.oid and relname ~ '^healed_')
            union all select 'function ' || proname from pg_proc where pronamespace = to_regnamespace('perch')
            union all select 'table ' || relname from pg_class
              where relnamespace = to_regnamespace('perch') and relkind = 'r' and relname !~ '^healed_'
            """, database: "shop")
        found += (listed + "\n" + inShop).split(separator: "\n").map(String.init)
        return found
    }

    // MARK: Its processes

    package func routerPID() throws -> Int32 { try pid(inRecord: "\(data)/routers/shop/record.json") }

    package func instancePID(_ name: String) throws -> Int32 {
        try pid(inRecord: "\(data)/instances/\(name)/record.json")
    }

    private func pid(inRecord path: String) throws -> Int32 {
        struct Record: Decodable {
            struct Identity: Decodable { var pid: Int32 }
            var identity: Identity
        }
        guard let bytes = FileManager.default.contents(atPath: path) else { throw SystemFailure("no \(path)") }
        return try JSONDecoder().decode(Record.self, from: bytes).identity.pid
    }
}

extension ReleaseDetail {
    /// Every event, a line each.
    package var story: String {
        (["\(summary.id) \(summary.phase): \(summary.message)"] + events.map { "\($0.at) \($0.text)" })
            .joined(separator: "\n")
    }

    package func hasEvent(_ text: String) -> Bool { events.contains { $0.text.contains(text) } }
}
