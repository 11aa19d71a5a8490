-- Gives leadership back before the session ends.
select pg_advisory_unlock(72398451200351) as unlocked;
