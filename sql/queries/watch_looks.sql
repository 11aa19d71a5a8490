-- $1 release, $2 after this number, $3 at most so many. In order.
select body from watch_look where release = $1 and number > $2::bigint order by number limit $3::bigint;
