-- Every look at the counts of a release, so that it can be judged again: what was new since the look before.
create table watch_look (
    release text not null references release,
    number bigint not null check (number > 0),
    body json not null,
    primary key (release, number)
);

-- What stable answered before a release's canary got traffic: where its latencies and failures lie.
create table watch_past (
    release text primary key references release,
    body json not null
);
