-- $1 service, $2 epoch. The number of the next release; locks the service, so that acceptances are one after the other.
update service set last_number = last_number + 1
where name = $1 and (select epoch from leadership) = $2::bigint
returning last_number;
