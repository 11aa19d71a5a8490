-- The lock of leadership: held by one session of this database at a time, let go when the session ends.
select pg_try_advisory_lock(72398451200351) as locked;
