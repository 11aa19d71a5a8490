-- $1 service. Oldest first: the active one, then those that wait.
select id, active from release where service = $1 and not terminal order by active desc, number;
