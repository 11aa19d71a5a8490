-- Gives leadership back before the session ends.
select pg_advisory_unlock(7239845120035, 1) as unlocked;
