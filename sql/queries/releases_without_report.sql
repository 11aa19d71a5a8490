-- $1 service. Ended badly and not reported yet: the daemon stopped in between.
select release.id from release left join report on report.release = release.id
where release.service = $1 and release.terminal and release.phase in ('rolled-back', 'halted') and report.release is null
order by release.number;
