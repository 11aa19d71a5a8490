-- $1 release, $2 body, $3 epoch. No row: a newer leader exists.
insert into watch_progress (release, body)
select $1, $2::jsonb where (select epoch from leadership) = $3::bigint
on conflict (release) do update set body = excluded.body
returning release;
