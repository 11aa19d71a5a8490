-- $1 release, $2 after this sequence. In order.
select sequence, (extract(epoch from at) * 1000)::bigint as at, body
from fact where release = $1 and sequence > $2::bigint order by sequence;
