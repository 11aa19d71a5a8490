-- Perch's own store: releases as append-only facts, deliveries, leadership, reports.
-- Lives in a database of its own, never in a service's database. Applied once, in one transaction, under a lock.

-- Whoever leads writes; every write carries its epoch and is refused when a newer leader exists.
create table leadership (
    singleton boolean primary key default true check (singleton),
    epoch bigint not null,
    holder text not null,
    since timestamptz not null
);
insert into leadership values (true, 0, '', now());

create table service (
    name text primary key,
    -- Number of the last release; the next one is one more. Never goes back.
    last_number bigint not null default 0,
    -- What serves everybody, and the tag of the instances that do; null before the first release.
    stable_commit text,
    stable_tag text,
    -- Which database role the stable instances connect with: stable, or canary while a promotion can be undone.
    stable_role text not null default 'stable' check (stable_role in ('stable', 'canary'))
);

create table release (
    id text primary key,
    service text not null references service,
    number bigint not null,
    commit text not null,
    -- Identifies the database the release records and may rewind; null when it touches no data.
    database_key text,
    -- Between accepted and the end; the two unique indexes below allow one a service and one a database.
    active boolean not null default false,
    terminal boolean not null default false,
    phase text not null,
    accepted_at timestamptz not null,
    updated_at timestamptz not null,
    unique (service, number)
);
create unique index one_active_release_a_service on release (service) where active;
create unique index one_active_release_a_database on release (database_key) where active and database_key is not null;
create index releases_by_time on release (accepted_at desc);
create index releases_unfinished on release (service, number) where not terminal;

create table fact (
    release text not null references release,
    sequence bigint not null check (sequence > 0),
    epoch bigint not null,
    at timestamptz not null,
    body jsonb not null,
    primary key (release, sequence)
);

-- A webhook delivery is one release, however often it arrives.
create table delivery (
    service text not null,
    id text not null,
    release text not null references release,
    received_at timestamptz not null,
    primary key (service, id)
);

-- Counts the judging of the current phase goes on from after a restart of the router or the daemon.
create table watch_progress (
    release text primary key references release,
    body jsonb not null
);

create table report (
    release text primary key references release,
    json text not null,
    markdown text not null
);

create function facts_are_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'facts are append-only: % of % is refused', tg_op, old.release;
end
$$;
create trigger append_only before update or delete on fact
    for each row execute function facts_are_append_only();
