-- The roles of docs/postgresql.md, without a superuser for Perch.
create role shop login;
create role shop_canary login;
create role perch_admin login replication createdb createrole;
grant shop to perch_admin;
grant pg_signal_backend, pg_monitor to perch_admin;
grant set on parameter session_replication_role to perch_admin;
do $$
begin
    if current_setting('server_version_num')::int >= 160000 then
        grant shop_canary to perch_admin with admin option;
    end if;
end
$$;
create role perch_store login;
