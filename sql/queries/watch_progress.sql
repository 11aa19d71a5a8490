-- $1 release.
select body from watch_progress where release = $1;
