-- The event log: what happened, in one order, for ever.
--
-- An event has a place in the whole log, its `position` (1, 2, 3 … without gaps, in the order of commits), and a place in
-- its stream, `stream_id` and `version` (1, 2, 3 … without gaps). `events` shows every event of FlowForge, one row each.
--
-- What is stored is `entries`, and nothing in it is ever changed: one row for all that one group added to one stream (many: several rows), since
-- such events share all but their type and payload, and a row costs more than many a payload. `position` and `version` are
-- those of its last event; `types` has their types, set apart by blanks; `data` their JSON texts as they came, byte for
-- byte, set apart by U+001E, which JSON cannot have (RFC 7464 chose it for that); `salts` 16 random bytes for each, with
-- which its payload is hashed into the chain; `schema_versions` is null where all are 1. Of an erased payload `digests` has
-- the digest of what was there, its salt is gone (zeros), and its data is what was left; `digests` is null where none is.
--
-- Streams with a name, such as workflows, have ids below 00000001-0000-0000-0000-000000000000 and live in the partition
-- `events_named`, which stays small, so that reading all definitions never looks at runs; all others have time-ordered
-- ids, and live in one partition per month in which a stream began (`events_2026_11`), where inserts therefore fall on hot
-- pages. `events_timed` has those that no month's has.
--
-- `head` is one row: the last position, the hash of the chain up to there, the position of the last change of a
-- definition, and the `incarnation` of this log. `eventlog.append` (append.sql) locks this row first and holds it until
-- its transaction ends. That makes positions gapless and in the order of commits: a reader needs
-- `where position > $1 order by position` and can never overlook a late commit. It also makes commits serial, which is
-- why callers share them.
--
-- The last entry of a commit has the commit's `batch_hash`,
--     sha256(hash of the batch before ‖ for each of its events in order: header with sha256(salt ‖ data)),
-- `eventlog.event_header` (append.sql) being the header's one definition. Who changes an event, or leaves one out, breaks
-- the chain at the batch it was in, and `verify` names that batch. `log_batches` shows the commits: first and last position,
-- and hash. `archived_batches` keeps the hashes of entries that moved into files.
--
-- `identities` registers what may be logged once only, causes from outside and commands: a key of 16 bytes, and the
-- position of the event that holds it.
--
-- Beside the log, under the same roof:
-- `blobs`       payloads too large for an event, by their SHA-256; written before the event that refers to them.
-- `cursors`     positions that a service keeps for itself (up to where it has published). Disposable: said again if lost.
-- `snapshots`   states of streams at a version. Disposable: folded anew if lost.
-- `migrations`  which .sql files were applied, their checksums, and the schema version of the code that applied them.
--
-- A service's role may execute `append`, read everything here, and write blobs, cursors and snapshots. Changing or
-- emptying `entries`, `archived_batches` and `identities` is refused to everybody, their owner included, by triggers. The one
-- exceptions are payloads of a person that must go (erase.sql), and runs that ended long ago, whose events move into files
-- and back (archive.sql).

create schema if not exists eventlog;

create table if not exists eventlog.migrations (
    file           text        primary key,
    checksum       bytea       not null,
    schema_version int         not null,
    applied_at     timestamptz not null default now()
);

do $$
begin
    if exists (select from pg_class where oid = to_regclass('eventlog.events') and relkind <> 'v') then
        raise exception 'this log was written by an older FlowForge, one row an event: begin with an empty database'
            using errcode = 'feature_not_supported';
    end if;
end $$;

create table if not exists eventlog.entries (
    position        bigint      not null,
    recorded_at     timestamptz not null,
    stream_id       uuid        not null,
    correlation_id  uuid,
    causation_id    uuid,
    version         int         not null,
    stream_type     text        not null,
    types           text        not null,
    data            text        not null,
    salts           bytea       not null,
    schema_versions smallint[],
    digests         bytea[],
    actor           text,
    traceparent     text,
    batch_hash      bytea,
    primary key (stream_id, version)
) partition by range (stream_id);

create table if not exists eventlog.events_named partition of eventlog.entries
    for values from (minvalue) to ('00000001-0000-0000-0000-000000000000');
create table if not exists eventlog.events_timed partition of eventlog.entries default;
create unique index if not exists events_named_position on eventlog.events_named (position);
create unique index if not exists events_timed_position on eventlog.events_timed (position);

create or replace function eventlog.events_in(salts bytea) returns int language sql immutable parallel safe as $$
    select octet_length(salts) / 16
$$;

create or replace view eventlog.events as
select c.before + e.n as position, c.stream_id, (c.version_before + e.n)::int as version, c.stream_type, e.type,
       coalesce(c.schema_versions[e.n], 1::smallint) as schema_version, e.data::json as data,
       case when c.digests[e.n] is null then substring(c.salts, 16 * e.n::int - 15, 16) end as salt,
       c.digests[e.n] as digest, c.correlation_id, c.causation_id, c.actor, c.traceparent, c.recorded_at
from (
    select *, position - eventlog.events_in(salts) as before, version - eventlog.events_in(salts) as version_before
    from eventlog.entries
) c
cross join lateral unnest(string_to_array(c.types, ' '), string_to_array(c.data, e'\x1e'))
     with ordinality as e (type, data, n);

create table if not exists eventlog.head (
    is_only_row          boolean primary key default true check (is_only_row),
    position             bigint  not null,
    hash                 bytea   not null,
    incarnation          uuid    not null,
    definitions_position bigint  not null
) with (fillfactor = 10);

insert into eventlog.head (position, hash, incarnation, definitions_position)
values (0, sha256(''), gen_random_uuid(), 0)
on conflict do nothing;

create table if not exists eventlog.archived_batches (
    last_position bigint primary key,
    hash          bytea  not null
);

create or replace view eventlog.log_batches as
select lag(b.last_position, 1, 0) over (order by b.last_position) + 1 as first_position, b.last_position, b.hash
from (
    select e.position as last_position, e.batch_hash as hash from eventlog.entries e where e.batch_hash is not null
    union all
    select a.last_position, a.hash from eventlog.archived_batches a
) b;

create table if not exists eventlog.identities (
    key      bytea  primary key,
    position bigint not null
);

create table if not exists eventlog.blobs (
    hash       bytea       primary key,
    size       bigint      not null,
    data       bytea       not null,
    created_at timestamptz not null default now()
);

create table if not exists eventlog.cursors (
    name       text        primary key,
    position   bigint      not null,
    updated_at timestamptz not null default now()
) with (fillfactor = 50);

create table if not exists eventlog.snapshots (
    stream_id      uuid     primary key,
    version        int      not null,
    schema_version smallint not null,
    data           bytea    not null
);

create or replace function eventlog.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and current_setting('eventlog.archiving', true) = 'on' then
        return null; -- into a file that was proven to have them: see archive.sql
    end if;
    if tg_op = 'UPDATE' and (tg_table_name = 'entries' or tg_table_name like 'events\_%') and current_setting('eventlog.erasing', true) = 'on' then
        return null; -- by the one function that says so in the log: see erase.sql
    end if;
    raise exception '% of %.% refused: the event log is append-only', tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

create or replace trigger append_only instead of insert or update or delete on eventlog.log_batches
    for each row execute function eventlog.refuse_change();
create or replace trigger append_only instead of insert or update or delete on eventlog.events
    for each row execute function eventlog.refuse_change();

do $$
declare kept regclass;
begin
    foreach kept in array array['eventlog.entries', 'eventlog.events_named', 'eventlog.events_timed',
                                'eventlog.archived_batches', 'eventlog.identities']::regclass[] loop
        execute format('create or replace trigger append_only before update or delete or truncate on %s '
                       'for each statement execute function eventlog.refuse_change()', kept);
    end loop;
end $$;
