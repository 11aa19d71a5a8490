// Which recorded transactions are the canary's. pgoutput names no user, so a trigger on every table writes a transactional
// message into the WAL, before the statement's first change, in sessions of the canary's role and in no others.
//
//   BEGIN  message 'perch/shop-42/<nonce>'  INSERT ...  COMMIT      -> canary's
//   BEGIN  INSERT ...  COMMIT                                       -> stable's
//   BEGIN  message with the content 'other'  INSERT ...  COMMIT     -> neither's, where that is to be told
//
// The message is transactional: it vanishes with a rolled back (sub)transaction, as the changes do. `session_user` is what
// the client logged in as, whatever SET ROLE or SECURITY DEFINER make of it. The nonce is known to Perch alone.

import Postgres
import Ports
import Releases

struct Attribution: Hashable, Sendable {
    let release: ReleaseID
    let canaryRole: String
    /// Sessions of other roles are marked too, as neither's; nil: they count as stable's.
    let stableRole: String?
    /// Unguessable, so that no session can pose as the canary's by writing a message itself.
    let nonce: String

    init(release: ReleaseID, canaryRole: String, stableRole: String? = nil, nonce: String) {
        self.release = release
        self.canaryRole = canaryRole
        self.stableRole = stableRole
        self.nonce = nonce
    }

    /// Prefix of the messages that mark the canary's transactions.
    var prefix: String { "perch/\(release)/\(nonce)" }
    /// Behind the prefix: marks a transaction of Perch's own that heals live.
    static let healSuffix = "/heal"
    /// Of a mark that is not the canary's.
    static let other = "other"

    private var function: String { "perch.\(quoteIdentifier("mark_\(release.sqlName)"))" }
    private var trigger: String { quoteIdentifier(Self.triggerName(release)) }

    private var isMarked: String {
        stableRole.map { "session_user <> \(quoteLiteral($0))" } ?? "session_user = \(quoteLiteral(canaryRole))"
    }

    static func triggerName(_ release: ReleaseID) -> String { "perch_mark_\(release.sqlName)" }

    /// Marks every table; what is marked already stays so.
    ///
    /// CREATE TRIGGER waits for writers of the table and makes others wait behind it, so each table is its own short
    /// transaction that gives up after 200 ms and comes again.
    ///
    /// - Throws: when a table stays busy past the deadline; names it.
    func install(
        on connection: Connection, tables: [TableName], deadline: Duration
    ) async throws(Failure) {
        try await checked("marker function of \(release)") { () async throws(PostgresError) in
            try await connection.execute(
                """
                create schema if not exists perch;
                create or replace function \(function)() returns trigger language plpgsql as $perch$
                begin
                    perform pg_catalog.pg_logical_emit_message(true, \(quoteLiteral(prefix)),
                        case session_user when \(quoteLiteral(canaryRole)) then '' else \(quoteLiteral(Self.other)) end);
                    return null;
                end
                $perch$;
                """)
        }
        try await eachTable(tables, on: connection, deadline: deadline) { table in
            """
            create or replace trigger \(trigger) before insert or update or delete or truncate on \(table.quoted)
                for each statement when (\(isMarked)) execute function \(function)();
            alter table \(table.quoted) enable always trigger \(trigger);
            """
        }
    }

    /// Takes the markers away, also half-installed ones, and those of a release whose nonce is forgotten.
    static func remove(
        of release: ReleaseID, on connection: Connection, deadline: Duration
    ) async throws(Failure) {
        let attribution = Attribution(release: release, canaryRole: "", nonce: "")
        let marked = try await attribution.checked("markers of \(release)") {
            () async throws(PostgresError) -> QueryResult in
            try await connection.query(
                """
                select namespace.nspname, class.relname
                from pg_trigger mark
                join pg_class class on class.oid = mark.tgrelid
                join pg_namespace namespace on namespace.oid = class.relnamespace
                where mark.tgname = $1 order by 1, 2
                """, [triggerName(release)])
        }
        let tables = marked.rows.compactMap { row in
            row[0].flatMap { schema in row[1].map { TableName(schema: schema, table: $0) } }
        }
        try await attribution.eachTable(tables, on: connection, deadline: deadline) { table in
            "drop trigger if exists \(attribution.trigger) on \(table.quoted);"
        }
        try await attribution.checked("marker function of \(release)") { () async throws(PostgresError) in
            try await connection.execute("drop function if exists \(attribution.function)()")
            let left = try await connection.query(
                """
                select 1 from pg_namespace namespace where nspname = 'perch' and (
                    exists (select from pg_class where relnamespace = namespace.oid)
                    or exists (select from pg_proc where pronamespace = namespace.oid))
                """)
            if left.rows.isEmpty { try await connection.execute("drop schema if exists perch") }
        }
    }

    private func eachTable(
        _ tables: [TableName], on connection: Connection, deadline: Duration, _ script: (TableName) -> String
    ) async throws(Failure) {
        let end = ContinuousClock.now + deadline
        for table in tables {
            var wait = Duration.milliseconds(20)
            while true {
                do {
                    try await connection.execute("begin; set local lock_timeout = '200ms'; \(script(table)) commit;")
                    break
                } catch {
                    try? await connection.execute("rollback")
                    guard error.sqlState == "55P03", ContinuousClock.now + wait < end, !Task.isCancelled else {
                        throw failure(error, table)
                    }
                }
                try? await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(1))
            }
        }
    }

    private func failure(_ error: PostgresError, _ table: TableName) -> Failure {
        if error.sqlState == "55P03" {
            return Failure(
                "table \(table) stays locked: its marker cannot be changed",
                hint: "end the long transactions on it: select * from pg_locks where relation = '\(table)'::regclass",
                isTransient: true)
        }
        return Failure(
            "marker on \(table): \(error)", hint: "Perch's role needs the TRIGGER right on every table",
            isTransient: error.serverError == nil)
    }

    private func checked<Value>(
        _ what: String, _ body: () async throws(PostgresError) -> Value
    ) async throws(Failure) -> Value {
        do {
            return try await body()
        } catch {
            throw Failure("\(what): \(error)", isTransient: error.serverError == nil)
        }
    }
}
