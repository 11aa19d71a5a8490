-- A new leader: the next epoch. Run only by the session that holds the advisory lock.
-- $1 holder (host:pid). Returns the epoch.
update leadership set epoch = epoch + 1, holder = $1, since = now() returning epoch;
