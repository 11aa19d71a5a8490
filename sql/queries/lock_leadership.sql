-- The lock of leadership: held by one session of this database at a time, let go when the session ends.
select pg_try_advisory_lock(7239845120035, 1) as locked;
