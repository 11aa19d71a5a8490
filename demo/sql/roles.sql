-- The roles of docs/postgresql.md, without a superuser for Perch.

CREATE ROLE shop LOGIN PASSWORD %(shop)s;
CREATE ROLE shop_canary LOGIN PASSWORD %(shop_canary)s;

CREATE ROLE perch_admin LOGIN REPLICATION CREATEDB CREATEROLE PASSWORD %(perch_admin)s;
GRANT shop TO perch_admin;
GRANT pg_signal_backend, pg_monitor TO perch_admin;
GRANT SET ON PARAMETER session_replication_role TO perch_admin;
-- From PostgreSQL 16 on, CREATEROLE alone changes no role that somebody else has made.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        GRANT shop_canary TO perch_admin WITH ADMIN OPTION;
    END IF;
END
$$;

CREATE ROLE perch_store LOGIN PASSWORD %(perch_store)s;
