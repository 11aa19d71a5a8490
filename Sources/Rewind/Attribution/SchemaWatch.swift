// Changes of the schema, which the stream does not carry: an event trigger writes the canary's commands into it as messages
// and refuses everybody else's, because what they do could not be told from the canary's and not be replayed.
//
// Only superusers may make event triggers. Without one, a change of a table's columns still shows in the stream, with the
// table's first change after it.

import Ports
import Postgres
import Releases

struct SchemaWatch: Hashable, Sendable {
    /// Behind the prefix of the canary's marks.
    static let suffix = "/schema"

    let attribution: Attribution

    private static func name(_ release: ReleaseID) -> String { "perch_schema_\(release.sqlName)" }

    /// - Returns: false when Perch's role may not make event triggers.
    func install(on connection: Connection) async throws(Failure) -> Bool {
        let name = Self.name(attribution.release)
        let function = "perch.\(quoteIdentifier(name))"
        do {
            guard try await connection.isTrue("select rolsuper from pg_roles where rolname = current_user") else {
                return false
            }
            let installer = try await connection.query("select session_user").scalar ?? ""
            // Nothing to write for temporary objects and for what changes no definition; one message a command, however
            // many objects it names. A statement's text may be long: its start tells enough.
            try await connection.execute(
                """
                create schema if not exists perch;
                create or replace function \(function)() returns event_trigger language plpgsql
                  set search_path = pg_catalog as $perch$
                declare relevant boolean;
                begin
                  if tg_event = 'sql_drop' then
                    select bool_or(not is_temporary and original and coalesce(schema_name, '') <> 'perch'
                        and object_name is distinct from '\(name)')
                      into relevant from pg_event_trigger_dropped_objects()
                      where object_type not in ('event trigger', 'publication') and object_identity !~ 'perch_mark_';
                  else
                    select bool_or(coalesce(schema_name, '') not in ('pg_temp', 'perch')
                        and object_identity !~ '(^|[ ."])perch_mark_')
                      into relevant from pg_event_trigger_ddl_commands()
                      where command_tag not in ('REFRESH MATERIALIZED VIEW', 'CREATE PUBLICATION', 'ALTER PUBLICATION',
                        'CREATE SUBSCRIPTION', 'ALTER SUBSCRIPTION');
                  end if;
                  if relevant then
                    if session_user not in (\(quoteLiteral(attribution.canaryRole)), \(quoteLiteral(installer))) then
                      raise exception 'the schema must not change while \(attribution.release) can be rolled back'
                        using errcode = 'object_not_in_prerequisite_state',
                          hint = 'Perch records what is written: migrate when the release is over, or end it: '
                            'perch abort \(attribution.release)';
                    end if;
                    -- A transaction of DDL alone fires no table's trigger: the canary's is marked here.
                    if session_user = \(quoteLiteral(attribution.canaryRole)) then
                      perform pg_logical_emit_message(true, \(quoteLiteral(attribution.prefix)), '');
                    end if;
                    perform pg_logical_emit_message(true, \(quoteLiteral(attribution.prefix + Self.suffix)),
                      left(current_query(), 8000));
                  end if;
                end
                $perch$;
                """)
            for (event, ending) in [("ddl_command_end", ""), ("sql_drop", "_drop")] {
                let trigger = quoteIdentifier(name + ending)
                // Two triggers: one serves one event. A DROP runs into both; the second message does no harm.
                try await connection.execute(
                    """
                    drop event trigger if exists \(trigger);
                    create event trigger \(trigger) on \(event) execute function \(function)();
                    alter event trigger \(trigger) enable always;
                    """)
            }
            return true
        } catch {
            throw Failure("schema watch of \(attribution.release): \(error)", isTransient: error.serverError == nil)
        }
    }

    /// Also half-made ones.
    static func remove(of release: ReleaseID, on connection: Connection) async throws(Failure) {
        let name = name(release)
        do {
            for trigger in [name, name + "_drop"] {
                let isThere = try await connection.isTrue(
                    "select exists (select from pg_event_trigger where evtname = $1)", [trigger])
                if isThere { try await connection.execute("drop event trigger if exists \(quoteIdentifier(trigger))") }
            }
            try await connection.execute("drop function if exists perch.\(quoteIdentifier(name))()")
        } catch {
            throw Failure("schema watch of \(release): \(error)", isTransient: error.serverError == nil)
        }
    }
}
