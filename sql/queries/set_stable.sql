-- $1 service, $2 commit, $3 tag of its instances, $4 role, $5 epoch. No row: a newer leader exists.
update service set stable_commit = $2, stable_tag = $3, stable_role = $4
where name = $1 and (select epoch from leadership) = $5::bigint
returning name;
