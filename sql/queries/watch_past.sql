-- $1 release.
select body from watch_past where release = $1;
