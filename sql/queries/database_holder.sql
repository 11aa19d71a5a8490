-- $1 database key, $2 release that asks. The other release that is active on this database.
select id from release where active and database_key = $1 and id <> $2;
