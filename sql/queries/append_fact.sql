-- $1 release, $2 sequence, $3 epoch, $4 moment in ms, $5 body.
-- No row: a newer leader exists; none can come before this transaction ends.
-- A unique violation: somebody else appended this sequence.
with leader as (select epoch from leadership for share)
insert into fact (release, sequence, epoch, at, body)
select $1, $2::bigint, $3::bigint, to_timestamp($4::float8 / 1000), $5::jsonb
from leader where epoch = $3::bigint
returning sequence;
