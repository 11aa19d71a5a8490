-- $1 service or null for all, $2 limit. Newest first.
select id from release where $1::text is null or service = $1 order by accepted_at desc, number desc limit $2::bigint;
