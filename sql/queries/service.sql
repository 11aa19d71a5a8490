-- $1 service. What serves everybody.
select stable_commit, stable_tag, stable_role from service where name = $1;
