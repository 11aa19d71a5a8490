-- The epoch that may write.
select epoch, holder from leadership;
