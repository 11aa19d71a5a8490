-- $1 release.
select json, markdown from report where release = $1;
