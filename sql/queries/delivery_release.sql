-- $1 service, $2 delivery id. The release this delivery made, if it was seen.
select release from delivery where service = $1 and id = $2;
