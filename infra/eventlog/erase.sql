-- The one way to take a payload out of the log: a person's data that must not be kept.
--
-- `erase` puts `left_data` in the place of what each event had, drops its salt and keeps the digest that the chain has of
-- both. So the chain still verifies, and without the salt nobody can try what the payload may have been. What was left
-- is in the chain by its hash, in the event `PayloadErased` that is logged with the deed; `verify` compares.
--
-- Only the owner of the log may call it; no service's role can.

create or replace function eventlog.erase(
    positions bigint[], left_data bytea[], event_stream uuid, event_data bytea, event_salt bytea,
    recorded_at timestamptz, actor text
) returns bigint language plpgsql
    set search_path = pg_catalog, pg_temp
    set enable_seqscan = off
as $$
#variable_conflict use_variable
declare
    erased_count bigint;
    event_version int;
    event_position bigint;
begin
    -- the head is locked at the end only: nobody who appends waits for the rows
    perform set_config('eventlog.erasing', 'on', true);
    with pieces as (
        select p.position, convert_from(p.data, 'UTF8')::json::text as data, c.stream_id, c.version,
               eventlog.events_in(c.salts) - (c.position - p.position)::int as n
        from unnest(positions, left_data) as p (position, data)
        cross join lateral (
            select c.* from eventlog.entries c where c.position >= p.position order by c.position limit 1
        ) c
        where p.position > c.position - eventlog.events_in(c.salts)
    ), left_over as (
        select c.stream_id, c.version, string_agg(coalesce(p.data, e.data), e'\x1e' order by e.n) as data,
               string_agg(case when p.n is null then substring(c.salts, 16 * e.n::int - 15, 16)
                               else decode(repeat('00', 16), 'hex') end, ''::bytea order by e.n) as salts,
               array_agg(case when p.n is null or c.digests[e.n] is not null then c.digests[e.n]
                              else sha256(substring(c.salts, 16 * e.n::int - 15, 16) || convert_to(e.data, 'UTF8')) end
                         order by e.n) as digests,
               count(p.n) as pieces_count
        from eventlog.entries c
        cross join lateral unnest(string_to_array(c.data, e'\x1e')) with ordinality as e (data, n)
        left join pieces p on p.stream_id = c.stream_id and p.version = c.version and p.n = e.n
        where (c.stream_id, c.version) in (select p.stream_id, p.version from pieces p)
        group by c.stream_id, c.version
    ), erased as (
        update eventlog.entries c set data = l.data, salts = l.salts, digests = l.digests
        from left_over l where c.stream_id = l.stream_id and c.version = l.version
        returning l.pieces_count
    )
    select coalesce(sum(e.pieces_count), 0) into erased_count from erased e;
    perform set_config('eventlog.erasing', '', true);
    select erased_count + count(*) into erased_count from unnest(positions) as p (position) -- those are in files: archive.sql
    where not exists (
            select from (select * from eventlog.entries c where c.position >= p.position order by c.position limit 1) c
            where p.position > c.position - eventlog.events_in(c.salts))
        and exists (select from eventlog.archives a
                    where a.restored_at is null and p.position between a.first_position and a.last_position);
    if erased_count <> cardinality(positions) then
        raise exception 'only % of these % events are in the log', erased_count, cardinality(positions)
            using errcode = 'no_data_found';
    end if;
    select coalesce(max(e.version), 0) into event_version from eventlog.entries e where e.stream_id = event_stream;
    select a.first_position into strict event_position from eventlog.append_one(
        recorded_at, null, null, actor, null, 'erasure', event_stream, event_version,
        'PayloadErased', null, event_data, event_salt) a;
    if event_position is null then
        raise exception 'something else was erased meanwhile' using errcode = 'serialization_failure';
    end if;
    return event_position;
end $$;

revoke all on function eventlog.erase from public;
