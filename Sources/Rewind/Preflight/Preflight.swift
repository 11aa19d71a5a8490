// Everything a snapshot, a recording and a way back need, looked at before anything is touched. Each finding names the
// object and says what to do. Changes nothing.

import Ports
import Postgres
import Releases

/// The checks of one policy against its database.
struct Preflight: Sendable {
    let policy: Policy
    let database: Policy.Database
    let admin: ConnectionSettings
    let stable: ConnectionSettings
    let pooler: PgBouncer?
    let dataFolder: String

    /// - Parameters:
    ///   - admin: what Perch connects with.
    ///   - stable: what the service's stable instances connect with.
    ///   - pooler: what is paused while the data is switched.
    ///   - dataFolder: where the dump goes.
    init(
        policy: Policy, database: Policy.Database, admin: ConnectionSettings, stable: ConnectionSettings,
        pooler: PgBouncer? = nil, dataFolder: String
    ) {
        self.policy = policy
        self.database = database
        self.admin = admin
        self.stable = stable
        self.pooler = pooler
        self.dataFolder = dataFolder
    }

    /// All of them, in the order in which a person would mend them. A check that cannot run is a failure by itself.
    func findings() async -> [Finding] {
        let connection: Connection
        do {
            connection = try await Connection.open(admin, timeout: .seconds(5), answerTimeout: .seconds(20))
        } catch {
            return [
                Finding(
                    level: .failure, check: "reachable", message: "database \(admin.database): \(error)",
                    hint: "check database.admin_url (\(database.adminURL)) and that the server is up")
            ]
        }
        var findings: [Finding] = []
        for check in Self.checks {
            do {
                findings += try await check.run(self, connection)
            } catch {
                findings.append(Finding(level: .failure, check: check.name, message: "cannot be checked: \(error)"))
            }
        }
        await connection.close()
        if let pooler { findings += await check(pooler) }
        return findings
    }

    struct Check: Sendable {
        let name: String
        let run: @Sendable (Preflight, Connection) async throws(PostgresError) -> [Finding]

        init(
            _ name: String, _ run: @escaping @Sendable (Preflight, Connection) async throws(PostgresError) -> [Finding]
        ) {
            self.name = name
            self.run = run
        }
    }

    static let checks: [Check] =
        serverChecks + privilegeChecks + tableChecks + activityChecks

    static func ok(_ check: String, _ message: String) -> [Finding] {
        [Finding(level: .ok, check: check, message: message)]
    }

    static func failure(_ check: String, _ message: String, hint: String?) -> [Finding] {
        [Finding(level: .failure, check: check, message: message, hint: hint)]
    }

    static func warning(_ check: String, _ message: String, hint: String?) -> [Finding] {
        [Finding(level: .warning, check: check, message: message, hint: hint)]
    }
}

extension Connection {
    /// The first column of the first row as a number; 0 when there is none.
    func number(_ sql: String, _ parameters: [String?] = []) throws(PostgresError) -> Int {
        try query(sql, parameters).scalar.flatMap { Int($0) } ?? 0
    }

    /// The first column of every row.
    func names(_ sql: String, _ parameters: [String?] = []) throws(PostgresError) -> [String] {
        try query(sql, parameters).rows.compactMap { $0[0] }
    }

    func isTrue(_ sql: String, _ parameters: [String?] = []) throws(PostgresError) -> Bool {
        try query(sql, parameters).scalar == "t"
    }
}

/// Up to five names, and how many more.
func listed(_ names: [String]) -> String {
    names.count <= 5
        ? names.joined(separator: ", ") : "\(names.prefix(5).joined(separator: ", ")) and \(names.count - 5) more"
}
