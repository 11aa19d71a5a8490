-- $1 id, $2 service, $3 number, $4 commit, $5 database key or null, $6 moment in ms.
insert into release (id, service, number, commit, database_key, phase, accepted_at, updated_at)
values ($1, $2, $3::bigint, $4, $5, 'accepted', to_timestamp($6::float8 / 1000), to_timestamp($6::float8 / 1000));
