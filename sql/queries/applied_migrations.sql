-- Numbers applied so far.
select number from migration order by number;
