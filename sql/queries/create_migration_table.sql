-- Which migrations were applied.
create table if not exists migration (number bigint primary key, name text not null, applied_at timestamptz not null);
