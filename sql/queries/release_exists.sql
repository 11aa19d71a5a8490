-- $1 id.
select 1 from release where id = $1;
