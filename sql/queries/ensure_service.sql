-- $1 service.
insert into service (name) values ($1) on conflict (name) do nothing;
