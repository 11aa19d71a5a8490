-- $1 service, $2 delivery id, $3 release.
insert into delivery (service, id, release, received_at) values ($1, $2, $3, now());
