-- $1 number, $2 name.
insert into migration values ($1, $2, now());
