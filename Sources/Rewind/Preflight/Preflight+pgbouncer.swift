// The pooler that is to be paused while the data is switched: reached, obeying us, and knowing the database.

import Ports
import Postgres
import Releases

extension Preflight {
    private static let check = "pgbouncer"

    func check(_ pooler: PgBouncer) async -> [Finding] {
        do throws(Failure) {
            let console = try await pooler.open()
            let version = try await pooler.show("VERSION", console).first?["version"] ?? "PgBouncer of an old version"
            var settings: [String: String] = [:]
            for row in try await pooler.show("CONFIG", console) { settings[row["key"] ?? ""] = row["value"] }
            let entry = try await pooler.entry(console)
            let pools = try await pooler.pools(console)
            await console.close()
            guard let entry else { return Self.failure(Self.check, unknown(pooler), hint: Self.howToName) }
            let found =
                obedience(pooler, settings) + target(pooler, entry) + pooling(pooler, entry, pools, settings)
                + patience(pooler, settings)
            return found.isEmpty
                ? Self.ok(Self.check, "\(version): pauses database \(pooler.database) during a switch") : found
        } catch {
            return Self.failure(Self.check, error.message, hint: error.hint)
        }
    }

    private static let howToName =
        "name it in [databases], or put its name there into database.pgbouncer.database; one that only `*` stands for is "
        + "known once a client has used it"

    private func unknown(_ pooler: PgBouncer) -> String { "\(pooler.name) knows no database \(pooler.database)" }

    /// Who may look need not be one who may pause.
    private func obedience(_ pooler: PgBouncer, _ settings: [String: String]) -> [Finding] {
        let admins = (settings["admin_users"] ?? "").split { $0 == "," || $0 == " " }.map(String.init)
        let user = pooler.console.user
        // Over its Unix socket, a `pgbouncer` of the same system user is let in as an administrator.
        guard settings["auth_type"] != "any", user != "pgbouncer", !admins.contains(user) else { return [] }
        return Self.failure(
            Self.check, "\(user) may not pause: admin_users of \(pooler.name) are \(listed(admins))",
            hint: "add \(user) to admin_users, or change the user of database.pgbouncer.admin_url")
    }

    /// After the switch the database has the name it had, so this entry leads to the switched data.
    private func target(_ pooler: PgBouncer, _ entry: PgBouncer.Row) -> [Finding] {
        var found: [Finding] = []
        if let real = entry["database"], real != admin.database {
            found += Self.failure(
                Self.check,
                "\(pooler.database) of \(pooler.name) is database \(real), the policy's is \(admin.database)",
                hint: "put the name of its entry for \(admin.database) into database.pgbouncer.database")
        }
        if let user = entry["force_user"], !user.isEmpty {
            found += Self.failure(
                Self.check, "\(pooler.name) makes everybody \(user) in \(pooler.database)",
                hint: "take user= out of its entry: the canary's writes are told apart by its role")
        }
        if entry["paused"] == "1" {
            found += Self.warning(
                Self.check, "database \(pooler.database) of \(pooler.name) is paused",
                hint: "in its console: RESUME \(quoteIdentifier(pooler.database))")
        }
        return found
    }

    private func pooling(
        _ pooler: PgBouncer, _ entry: PgBouncer.Row, _ pools: [PgBouncer.Row], _ settings: [String: String]
    ) -> [Finding] {
        let general = [entry["pool_mode"], settings["pool_mode"]].compactMap { $0 }.first { !$0.isEmpty }
        let users = pools.filter { $0["pool_mode"] == "session" }.compactMap { $0["user"] }
        guard general == "session" || !users.isEmpty else { return [] }
        let who = general == "session" ? "" : " of \(listed(users))"
        return Self.warning(
            Self.check,
            "\(pooler.name) pools sessions\(who): a pause waits until clients disconnect, and a switch is given up when "
                + "they stay",
            hint: "pool_mode = transaction, if the service can live with it; or let the service's clients come and go "
                + "within half of database.rollback.freeze (\(database.rollback.freeze.duration.seconds))")
    }

    /// A client that waits longer than PgBouncer lets it is disconnected.
    private func patience(_ pooler: PgBouncer, _ settings: [String: String]) -> [Finding] {
        guard let seconds = settings["query_wait_timeout"].flatMap({ Double($0) }), seconds > 0,
            Duration.seconds(seconds) < database.rollback.freeze.duration
        else { return [] }
        return Self.warning(
            Self.check,
            "\(pooler.name) disconnects clients that wait longer than \(Duration.seconds(seconds).seconds); a switch may "
                + "hold them for \(database.rollback.freeze.duration.seconds)",
            hint: "raise query_wait_timeout, or lower database.rollback.freeze")
    }
}
