-- One daemon migrates at a time; let go at the end of the transaction.
select pg_advisory_xact_lock(72398451200352);
