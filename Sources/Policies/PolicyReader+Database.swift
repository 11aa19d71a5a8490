// What may be done to the service's data.

import Releases

extension PolicyReader {
    mutating func database(_ top: Section) -> Policy.Database? {
        let section = section(top, "database")
        guard section.isPresent else { return nil }
        let none = "a service without a database says database: null"
        let url = required(section, "url", hint: "write url: env:SHOP_DATABASE_URL; \(none)", secret)
        let role = required(
            section, "canary_role",
            hint: "the canary's own login role tells its writes apart: canary_role: shop_canary",
            roleName)
        let placeholder = Secret.environment("unnamed")
        var database = Policy.Database(
            url: url ?? placeholder, adminURL: url ?? placeholder, canaryRole: role ?? "")
        set(&database.adminURL, section, "admin_url", secret)
        set(&database.canaryPassword, section, "canary_password", secret)
        set(&database.snapshot, self.section(section, "snapshot"), "mode", word(Policy.SnapshotMode.self))
        database.pgbouncer = pgbouncer(section)
        set(&database.recordingBudgetBytes, self.section(section, "recording"), "budget", byteCount)

        let rollback = self.section(section, "rollback")
        set(&database.rollback.mode, rollback, "mode", word(Policy.DataRollback.Mode.self))
        set(&database.rollback.writes, rollback, "writes", word(Policy.DataRollback.Writes.self))
        set(&database.rollback.merge, rollback, "merge", word(Policy.DataRollback.Conflicts.self))
        set(&database.rollback.unattributed, rollback, "unattributed", word(Policy.DataRollback.Unattributed.self))
        set(&database.rollback.canaryRow, rollback, "canary_row", word(Policy.DataRollback.CanaryRow.self))
        readColumns(&database.rollback.columns, rollback)
        set(&database.rollback.healLimit, rollback, "heal_limit", integer(1...10_000_000))
        set(&database.rollback.destructiveDDL, rollback, "destructive_ddl", word(Policy.DataRollback.DestructiveDDL.self))
        set(&database.rollback.freeze, rollback, "freeze", span(from: .milliseconds(1), to: .seconds(60)))
        set(&database.rollback.reconnect, rollback, "reconnect", word(Policy.DataRollback.Reconnect.self))
        set(&database.rollback.keepBefore, rollback, "keep_before", span(from: .zero))
        if database.snapshot == .none, database.rollback.mode != .keep, !isPartial {
            complain(
                rollback.entries["mode"]?.value.place ?? self.section(section, "snapshot").place(of: "mode"),
                rollback.path(of: "mode"), "taking the canary's writes out needs a snapshot, and snapshot.mode is none",
                hint: "write snapshot: {mode: dump} or {mode: clone}, or rollback: {mode: keep} to leave the data as it is")
        }
        return database
    }

    private mutating func pgbouncer(_ database: Section) -> Policy.PgBouncer? {
        let section = section(database, "pgbouncer")
        guard section.isPresent else { return nil }
        let url = required(
            section, "admin_url", hint: "of its console: admin_url: env:PGBOUNCER_URL, postgres://admin@host:6432/pgbouncer",
            secret)
        var pgbouncer = Policy.PgBouncer(adminURL: url ?? .environment("unnamed"))
        set(&pgbouncer.database, section, "database", text)
        return pgbouncer
    }

    /// Table -> column -> rule.
    private mutating func readColumns(
        _ target: inout [String: [String: Policy.DataRollback.ColumnRule]], _ rollback: Section
    ) {
        let path = rollback.path(of: "columns")
        guard let written = rollback.entries["columns"], let tables = entries(of: written.value, path: path) else {
            return
        }
        target = [:]
        for table in tables {
            let tablePath = "\(path).\(table.key)"
            let name = Located(place: table.place, content: .text(table.key))
            guard let name = read(name, path: path, tableName),
                let columns = entries(of: table.value, path: tablePath)
            else { continue }
            for column in columns {
                let rule = read(
                    column.value, path: "\(tablePath).\(column.key)", word(Policy.DataRollback.ColumnRule.self))
                if let rule { target[name, default: [:]][column.key] = rule }
            }
        }
    }
}
