-- $1 service, $2 how many of its last releases keep their looks.
delete from watch_look where release in (
    select id from release where service = $1 order by number desc offset $2::bigint
);
