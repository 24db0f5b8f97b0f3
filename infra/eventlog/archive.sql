-- Archives: events of runs that ended long ago, kept in files, out of the log and still of it.
--
-- A file (infra/archive) has whole streams, never parts of them. `archives` has a row for each file that was ever made:
-- its name and SHA-256, what is in it, and `content_hash`,
--     sha256(for each of its events in order of position: eventlog.event_header),
-- by which the database knows its own rows again, whatever the file looks like. `restored_at` is set once they are back.
-- `archived_streams` has a row for each stream that is in a file now, `archived_blobs` for each blob of such a stream.
--
-- `archive_runs` is the one way out of the log: it takes exactly the rows that the file was proven to have and says so in
-- the log, in one transaction. `restore_runs` is the way back, for the very same rows only. What `append` is asked to add
-- to a stream that is in a file conflicts, whatever version is expected: `head.archived_until` is the greatest id of such
-- a stream, so that new ones need not be looked up.

alter table eventlog.head
    add column if not exists archived_until uuid not null default '00000000-0000-0000-0000-000000000000';

create table if not exists eventlog.archives (
    number         int         primary key,
    file           text        not null unique,
    sha256         bytea       not null,
    size           bigint      not null,
    content_hash   bytea       not null,
    streams_count  int         not null,
    events_count   bigint      not null,
    first_position bigint      not null,
    last_position  bigint      not null,
    ended_before   timestamptz,
    archived_at    timestamptz not null default clock_timestamp(),
    restored_at    timestamptz
);

create table if not exists eventlog.archived_streams (
    stream_id      uuid   primary key,
    archive        int    not null references eventlog.archives,
    version        int    not null,
    first_position bigint not null,
    last_position  bigint not null
);
create index if not exists archived_streams_of_archive on eventlog.archived_streams (archive);

create table if not exists eventlog.archived_blobs (
    hash    bytea not null,
    archive int   not null references eventlog.archives,
    primary key (hash, archive)
);

-- Since when no event refers to it, as far as was looked: see `sweep_blobs`.
alter table eventlog.blobs add column if not exists unreferred_since timestamptz;

-- Moves whole streams out of the log: their rows go, `event` is logged. `content_hash` is what was computed from the
-- file, read back. Answers the position of the event. Raises 40001 where one of the streams has grown meanwhile, or goes
-- on after its end: whoever chose the runs knew them only as of a moment before.
create or replace function eventlog.archive_runs(
    number int, file text, sha256 bytea, size bigint, content_hash bytea, ended_before timestamptz,
    stream_id uuid[], stream_version int[], stream_first bigint[], stream_last bigint[], blob_hash bytea[],
    event_type text, event_data bytea, event_stream uuid, event_version int, salt bytea,
    recorded_at timestamptz, actor text
) returns bigint language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
    set enable_hashjoin = off
    set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
    found_count bigint;
    found_hash bytea;
    found_first bigint;
    found_last bigint;
    streams_ended bigint;
    streams_going_on bigint;
    event_position bigint;
begin
    perform set_config('eventlog.archiving', 'on', true);
    with gone as (
        delete from eventlog.entries e using unnest(stream_id) as s (id) where e.stream_id = s.id
        returning e.position, e.batch_hash
    ), hashes as (
        insert into eventlog.archived_batches (last_position, hash)
        select g.position, g.batch_hash from gone g where g.batch_hash is not null
    ), taken as (
        select e.* from eventlog.events e join unnest(stream_id) as s (id) on e.stream_id = s.id
    ), turned as (
        select g.stream_id,
               max(g.version) filter (where g.type in ('RunCompleted', 'RunFailed', 'RunCancelled',
                                                       'RunPartiallyCompleted', 'RunRetryRefused')) as ended_version,
               max(g.version) filter (where g.type in ('RunRetryRequested', 'RunRetried')) as retried_version
        from taken g where g.stream_type = 'run' group by 1
    )
    select count(*), min(g.position), max(g.position),
           pg_catalog.sha256(string_agg(eventlog.event_header(
               g.position, g.stream_id, g.version, g.stream_type, g.type, g.schema_version, g.recorded_at,
               g.correlation_id, g.causation_id, g.traceparent, g.actor,
               case when g.salt is null then g.digest
                    else pg_catalog.sha256(g.salt || convert_to(g.data::text, 'UTF8')) end),
               ''::bytea order by g.position)),
           (select count(t.ended_version) from turned t),
           (select count(*) from turned t where t.retried_version > t.ended_version)
    into found_count, found_first, found_last, found_hash, streams_ended, streams_going_on
    from taken g;
    perform set_config('eventlog.archiving', '', true);
    if streams_ended <> cardinality(stream_id) then
        raise exception 'only runs that have ended can be archived' using errcode = 'data_exception';
    end if;
    if streams_going_on > 0 then
        raise exception '% of these runs are retried', streams_going_on using errcode = 'serialization_failure';
    end if;
    if found_hash is distinct from content_hash then
        raise exception 'the file does not have exactly the events that the log has of these runs'
            using errcode = 'serialization_failure';
    end if;

    insert into eventlog.archives (number, file, sha256, size, content_hash, streams_count, events_count,
                                   first_position, last_position, ended_before)
    values (number, file, sha256, size, content_hash, cardinality(stream_id), found_count,
            found_first, found_last, ended_before);
    insert into eventlog.archived_streams (stream_id, archive, version, first_position, last_position)
    select s.id, number, s.version, s.first, s.last
    from unnest(stream_id, stream_version, stream_first, stream_last) as s (id, version, first, last);
    insert into eventlog.archived_blobs (hash, archive) select b.hash, number from unnest(blob_hash) as b (hash);

    -- from here on nothing is appended; what was, meanwhile, is seen by the next statement
    update eventlog.head h
    set archived_until = greatest(h.archived_until, (select s.id from unnest(stream_id) as s (id) order by s.id desc limit 1));
    if exists (select from unnest(stream_id) as s (id) join eventlog.entries e on e.stream_id = s.id) then
        raise exception 'one of these runs has gone on meanwhile' using errcode = 'serialization_failure';
    end if;
    select a.first_position into event_position from eventlog.append_one(
        recorded_at, null, null, actor, null, 'retention', event_stream, event_version,
        event_type, null, event_data, salt) a;
    if event_position is null then
        raise exception 'something else was archived meanwhile' using errcode = 'serialization_failure';
    end if;
    return event_position;
end $$;

-- Puts an archive's rows back where they were; `event` is logged. The rows come as parallel arrays in order of position;
-- their blobs were put before. Raises for rows that are not the ones that were taken.
drop function if exists eventlog.restore_runs; -- as it was with other arguments
create or replace function eventlog.restore_runs(
    number int,
    positions bigint[], stream_id uuid[], version int[], stream_type text[], type text[], schema_version smallint[],
    data bytea[], salt bytea[], digest bytea[], correlation_id uuid[], causation_id uuid[], actor text[],
    traceparent text[], recorded_at timestamptz[],
    event_type text, event_data bytea, event_stream uuid, event_version int, event_salt bytea,
    event_recorded_at timestamptz, event_actor text
) returns bigint language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
    kept eventlog.archives;
    given_hash bytea;
    event_position bigint;
begin
    select * into kept from eventlog.archives a where a.number = restore_runs.number for update;
    if kept.number is null then
        raise exception 'this log has no archive %', number using errcode = 'no_data_found';
    end if;
    if kept.restored_at is not null then
        raise exception 'archive % was restored at %', number, kept.restored_at using errcode = 'unique_violation';
    end if;
    with given as materialized (
        select * from unnest(positions, stream_id, version, stream_type, type, schema_version, data, salt, digest,
                             correlation_id, causation_id, actor, traceparent, recorded_at)
            as e (position, stream_id, version, stream_type, type, schema_version, data, salt, digest,
                  correlation_id, causation_id, actor, traceparent, recorded_at)
    ), beside as ( -- what was one entry, or could have been: neighbours in one batch that share all that an entry has once
        select g.*, g.position - row_number() over (
                   partition by g.stream_id, g.recorded_at, g.correlation_id, g.causation_id, g.actor, g.traceparent
                   order by g.position) as neighbours,
               count(b.last_position) over (partition by g.stream_id order by g.position) as batch,
               row_number() over (partition by g.stream_id order by g.position) / 100 as hundred
        from given g left join eventlog.archived_batches b on b.last_position = g.position - 1
    ), logged as (
        insert into eventlog.entries (position, recorded_at, stream_id, correlation_id, causation_id, version, stream_type,
                                      types, data, salts, schema_versions, digests, actor, traceparent)
        select max(b.position), b.recorded_at, b.stream_id, b.correlation_id, b.causation_id, max(b.version),
               min(b.stream_type), string_agg(b.type, ' ' order by b.position),
               string_agg(coalesce(convert_from(b.data, 'UTF8')::json::text, 'null'), e'\x1e' order by b.position),
               string_agg(coalesce(b.salt, decode(repeat('00', 16), 'hex')), ''::bytea order by b.position),
               case when bool_or(b.schema_version <> 1) then array_agg(b.schema_version order by b.position) end,
               case when count(b.digest) > 0 then array_agg(b.digest order by b.position) end, b.actor, b.traceparent
        from beside b
        group by b.stream_id, b.recorded_at, b.correlation_id, b.causation_id, b.actor, b.traceparent, b.neighbours,
                 b.batch, b.hundred
    )
    select pg_catalog.sha256(string_agg(eventlog.event_header(
               g.position, g.stream_id, g.version, g.stream_type, g.type, g.schema_version, g.recorded_at,
               g.correlation_id, g.causation_id, g.traceparent, g.actor,
               case when g.salt is null then g.digest else pg_catalog.sha256(g.salt || g.data) end),
               ''::bytea order by g.position))
    into given_hash from given g;
    if given_hash is distinct from kept.content_hash then
        raise exception 'these are not the events that were archived' using errcode = 'data_exception';
    end if;
    delete from eventlog.archived_streams s where s.archive = number;
    delete from eventlog.archived_blobs b where b.archive = number;
    update eventlog.archives a set restored_at = clock_timestamp() where a.number = restore_runs.number;
    select a.first_position into event_position from eventlog.append_one(
        event_recorded_at, null, null, event_actor, null, 'retention', event_stream, event_version,
        event_type, null, event_data, event_salt) a;
    if event_position is null then
        raise exception 'something else was archived or restored meanwhile' using errcode = 'serialization_failure';
    end if;
    return event_position;
end $$;

-- The file of an archive was written anew under another name, without some payloads: its events' digests are the same.
create or replace function eventlog.rewrite_archive(
    number int, old_sha256 bytea, new_file text, new_sha256 bytea, new_size bigint, kept_blobs bytea[]
) returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
    update eventlog.archives a set file = new_file, sha256 = new_sha256, size = new_size
    where a.number = rewrite_archive.number and a.sha256 = old_sha256 and a.restored_at is null;
    if not found then
        return false;
    end if;
    delete from eventlog.archived_blobs b where b.archive = number and not b.hash = any (kept_blobs);
    return true;
end $$;

-- Of all blobs, those that no event refers to (`referred` are the ones that some does) are noted; those that have been
-- so for as long as `grace`, and were not put or read again meanwhile, are removed. Answers how many, and their bytes.
create or replace function eventlog.sweep_blobs(
    referred bytea[], seen_until timestamptz, grace interval, out removed_count bigint, out removed_bytes bigint
) language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update eventlog.blobs b set unreferred_since = null
    where b.unreferred_since is not null and b.hash = any (referred);
    with gone as (
        delete from eventlog.blobs b
        where b.unreferred_since < clock_timestamp() - grace and b.created_at < seen_until returning b.size
    )
    select count(*), coalesce(sum(g.size), 0) into removed_count, removed_bytes from gone g;
    update eventlog.blobs b set unreferred_since = clock_timestamp()
    where b.unreferred_since is null and b.created_at < seen_until and not b.hash = any (referred);
end $$;

revoke all on function eventlog.archive_runs, eventlog.restore_runs, eventlog.rewrite_archive, eventlog.sweep_blobs
    from public;
