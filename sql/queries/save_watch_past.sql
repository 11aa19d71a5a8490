-- $1 release, $2 counts, $3 epoch. The first one stays.
insert into watch_past (release, body)
select $1, $2::json where (select epoch from leadership) = $3::bigint
on conflict (release) do nothing;
