// Generated from sql/ by scripts/embed-sql.sh; do not edit.

enum SQL {
    static let appendFact = #"""
        -- $1 release, $2 sequence, $3 epoch, $4 moment in ms, $5 body.
        -- No row: a newer leader exists; none can come before this transaction ends.
        -- A unique violation: somebody else appended this sequence.
        with leader as (select epoch from leadership for share)
        insert into fact (release, sequence, epoch, at, body)
        select $1, $2::bigint, $3::bigint, to_timestamp($4::float8 / 1000), $5::jsonb
        from leader where epoch = $3::bigint
        returning sequence;
        """#

    static let appliedMigrations = #"""
        -- Numbers applied so far.
        select number from migration order by number;
        """#

    static let createMigrationTable = #"""
        -- Which migrations were applied.
        create table if not exists migration (number bigint primary key, name text not null, applied_at timestamptz not null);
        """#

    static let deliveryRelease = #"""
        -- $1 service, $2 delivery id. The release this delivery made, if it was seen.
        select release from delivery where service = $1 and id = $2;
        """#

    static let ensureService = #"""
        -- $1 service.
        insert into service (name) values ($1) on conflict (name) do nothing;
        """#

    static let facts = #"""
        -- $1 release, $2 after this sequence. In order.
        select sequence, (extract(epoch from at) * 1000)::bigint as at, body
        from fact where release = $1 and sequence > $2::bigint order by sequence;
        """#

    static let forgetWatchLooks = #"""
        -- $1 service, $2 how many of its last releases keep their looks.
        delete from watch_look where release in (
            select id from release where service = $1 order by number desc offset $2::bigint
        );
        """#

    static let insertDelivery = #"""
        -- $1 service, $2 delivery id, $3 release.
        insert into delivery (service, id, release, received_at) values ($1, $2, $3, now());
        """#

    static let insertRelease = #"""
        -- $1 id, $2 service, $3 number, $4 commit, $5 database key or null, $6 moment in ms.
        insert into release (id, service, number, commit, database_key, phase, accepted_at, updated_at)
        values ($1, $2, $3::bigint, $4, $5, 'accepted', to_timestamp($6::float8 / 1000), to_timestamp($6::float8 / 1000));
        """#

    static let lockLeadership = #"""
        -- The lock of leadership: held by one session of this database at a time, let go when the session ends.
        select pg_try_advisory_lock(72398451200351) as locked;
        """#

    static let lockMigrations = #"""
        -- One daemon migrates at a time; let go at the end of the transaction.
        select pg_advisory_xact_lock(72398451200352);
        """#

    static let nextNumber = #"""
        -- $1 service, $2 epoch. The number of the next release; locks the service, so that acceptances are one after the other.
        update service set last_number = last_number + 1
        where name = $1 and (select epoch from leadership) = $2::bigint
        returning last_number;
        """#

    static let recordMigration = #"""
        -- $1 number, $2 name.
        insert into migration values ($1, $2, now());
        """#

    static let releases = #"""
        -- $1 service or null for all, $2 limit. Newest first.
        select id from release where $1::text is null or service = $1 order by accepted_at desc, number desc limit $2::bigint;
        """#

    static let releasesWithoutReport = #"""
        -- $1 service. Ended badly and not reported yet: the daemon stopped in between.
        select release.id from release left join report on report.release = release.id
        where release.service = $1 and release.terminal and release.phase in ('rolled-back', 'halted') and report.release is null
        order by release.number;
        """#

    static let report = #"""
        -- $1 release.
        select json, markdown from report where release = $1;
        """#

    static let saveReport = #"""
        -- $1 release, $2 json, $3 markdown.
        insert into report (release, json, markdown) values ($1, $2, $3)
        on conflict (release) do update set json = excluded.json, markdown = excluded.markdown;
        """#

    static let saveWatchPast = #"""
        -- $1 release, $2 counts, $3 epoch. The first one stays.
        insert into watch_past (release, body)
        select $1, $2::json where (select epoch from leadership) = $3::bigint
        on conflict (release) do nothing;
        """#

    static let saveWatchProgress = #"""
        -- $1 release, $2 progress, $3 epoch, $4 number of the look, $5 the look. One statement: counts and judge are never apart.
        -- No row: a newer leader exists.
        with saved as (
            insert into watch_progress (release, body)
            select $1, $2::jsonb where (select epoch from leadership) = $3::bigint
            on conflict (release) do update set body = excluded.body
            returning release
        )
        insert into watch_look (release, number, body)
        select release, $4::bigint, $5::json from saved
        on conflict (release, number) do update set body = excluded.body
        returning release;
        """#

    static let service = #"""
        -- $1 service. What serves everybody.
        select stable_commit, stable_tag, stable_role from service where name = $1;
        """#

    static let setStable = #"""
        -- $1 service, $2 commit, $3 tag of its instances, $4 role, $5 epoch. No row: a newer leader exists.
        update service set stable_commit = $2, stable_tag = $3, stable_role = $4
        where name = $1 and (select epoch from leadership) = $5::bigint
        returning name;
        """#

    static let takeLeadership = #"""
        -- A new leader: the next epoch. Run only by the session that holds the advisory lock.
        -- $1 holder (host:pid). Returns the epoch.
        update leadership set epoch = epoch + 1, holder = $1, since = now() returning epoch;
        """#

    static let unfinishedReleases = #"""
        -- $1 service. Oldest first: the active one, then those that wait.
        select id, active from release where service = $1 and not terminal order by active desc, number;
        """#

    static let updateRelease = #"""
        -- $1 id, $2 phase, $3 active, $4 terminal, $5 moment in ms. A unique violation of one_active_...: another is active.
        update release set phase = $2, active = $3::boolean, terminal = $4::boolean, updated_at = to_timestamp($5::float8 / 1000)
        where id = $1;
        """#

    static let watchLooks = #"""
        -- $1 release, $2 after this number, $3 at most so many. In order.
        select body from watch_look where release = $1 and number > $2::bigint order by number limit $3::bigint;
        """#

    static let watchPast = #"""
        -- $1 release.
        select body from watch_past where release = $1;
        """#

    static let watchProgress = #"""
        -- $1 release.
        select body from watch_progress where release = $1;
        """#

    private static let migration1 = #"""
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
        """#

    private static let migration2 = #"""
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
        """#

    /// In the order in which they are applied; a number is never reused.
    static let migrations: [(number: Int, name: String, text: String)] = [
        (number: 1, name: "0001_store", text: migration1),
        (number: 2, name: "0002_watch_look", text: migration2),
    ]
}
