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
    update eventlog.events e
    set digest = case when e.salt is null then e.digest else sha256(e.salt || convert_to(e.data::text, 'UTF8')) end,
        data = convert_from(l.data, 'UTF8')::json, salt = null
    from unnest(positions, left_data) as l (position, data)
    where e.position = l.position;
    get diagnostics erased_count = row_count;
    perform set_config('eventlog.erasing', '', true);
    select erased_count + count(*) into erased_count from unnest(positions) as p (position) -- those are in files: archive.sql
    where not exists (select from eventlog.events e where e.position = p.position)
        and exists (select from eventlog.archives a
                    where a.restored_at is null and p.position between a.first_position and a.last_position);
    if erased_count <> cardinality(positions) then
        raise exception 'only % of these % events are in the log', erased_count, cardinality(positions)
            using errcode = 'no_data_found';
    end if;
    select coalesce(max(e.version), 0) into event_version from eventlog.events e where e.stream_id = event_stream;
    select a.first_position into strict event_position from eventlog.append_one(
        recorded_at, null, null, actor, null, 'erasure', event_stream, event_version,
        array['PayloadErased'], array[1::smallint], array[event_data], event_salt) a;
    if event_position is null then
        raise exception 'something else was erased meanwhile' using errcode = 'serialization_failure';
    end if;
    return event_position;
end $$;

revoke all on function eventlog.erase from public;
