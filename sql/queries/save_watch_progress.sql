-- $1 release, $2 progress, $3 epoch, $4 number of the look, $5 the look. One statement: counts and judge are never apart.
-- No row: a newer leader exists.
with saved as (
    insert into watch_progress (release, body)
    select $1, $2::jsonb where (select epoch from leadership) = $3::bigint
    on conflict (release) do update set body = excluded.body
    returning release
)
insert into watch_look (release, number, body)
select release, $4::bigint, $5::json from saved
on conflict (release, number) do update set body = excluded.body
returning release;
