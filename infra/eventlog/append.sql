-- The ways into the log: `append` for any call, `append_one` for the smallest, to which it gives the same answers.
--
-- A call carries groups; a group carries streams; a stream carries events. Groups and streams come as parallel arrays, and
-- a stream names its group by number, from 1; the events of a stream come as they are stored (schema.sql), in one entry or, where
-- they are many, several, and are taken apart only to be checked and hashed. The call is one transaction: it locks the head, finds each group
-- to fit or to be refused, numbers and inserts the events of those that fit, registers their identities, chains them,
-- and moves the head. Everything is done for whole sets; only when something does not fit, or groups of the same call
-- depend on one another, are groups weighed one by one (`eventlog.weigh`), since each then depends on those before it.
--
-- The settings fix one plan for all sizes of call: small and growing tables would tempt the planner to scan them, and
-- array parameters, whose length it cannot know, to nested loops over both.

-- What is hashed of an event besides the salt: the row as Postgres sends it, so that no part can pass for another.
create or replace function eventlog.event_header(
    "position" bigint, stream_id uuid, version int, stream_type text, type text, schema_version smallint,
    recorded_at timestamptz, correlation_id uuid, causation_id uuid, traceparent text, actor text, data_digest bytea
) returns bytea language sql stable parallel safe as $$
    select record_send(row(position, stream_id, version, stream_type, type, schema_version, recorded_at,
                           correlation_id, causation_id, traceparent, actor, data_digest))
$$;

-- Weighs groups in order, each on top of those before it that were accepted, and numbers what is accepted. A stream that
-- several groups name has grown by what was accepted of it (`grown_*`). Of several known identities of a group the one of
-- its first stream counts, whether the log knew it before the call or an earlier group of the call took it. Answers as
-- `eventlog.append` does.
create or replace function eventlog.weigh(
    old_position bigint, old_definitions_position bigint,
    group_definitions_position bigint[], group_changes_definitions boolean[],
    stream_group int[], stream_id uuid[], stream_version int[], stream_events int[], stream_identity bytea[],
    out positions bigint[], out refusals text, out refused_at bigint[], out refused_stream int[]
) language plpgsql stable as $$
declare
    weighed record;
    group_positions bigint[] := '{}';
    new_position bigint := old_position;
    definitions_position bigint := old_definitions_position;
    taken_keys bytea[] := '{}';
    taken_positions bigint[] := '{}';
    taken_before bigint;
    grown_ids uuid[] := '{}';
    grown_versions int[] := '{}';
    again record;
begin
    refusals := ''; refused_at := '{}'; refused_stream := '{}';
    for weighed in
        select s.group_number, sum(s.events) as events,
               (array_agg(s.known_position order by s.ordinal) filter (where s.known_position is not null))[1] as known,
               min(s.ordinal) filter (where s.known_position is not null) as known_ordinal,
               (array_agg(s.ordinal order by s.ordinal) filter (where s.actual <> s.expected and not s.is_named_again))[1]
                   as conflicting,
               (array_agg(s.actual order by s.ordinal) filter (where s.actual <> s.expected and not s.is_named_again))[1]
                   as conflicting_at,
               array_agg(s.id order by s.ordinal) filter (where s.is_named_again) as again_ids,
               array_agg(s.ordinal order by s.ordinal) filter (where s.is_named_again) as again_ordinals,
               array_agg(s.expected order by s.ordinal) filter (where s.is_named_again) as again_expected,
               array_agg(s.actual order by s.ordinal) filter (where s.is_named_again) as again_actual,
               array_agg(s.expected + s.events order by s.ordinal) filter (where s.is_named_again) as again_grown,
               array_agg(s.identity order by s.ordinal) filter (where s.is_repeated) as repeated_keys,
               array_agg(s.ordinal order by s.ordinal) filter (where s.is_repeated) as repeated_ordinals,
               array_agg(s.before_in_group order by s.ordinal) filter (where s.is_repeated) as repeated_offsets
        from (
            select s.*, coalesce(v.version, (
                       select -a.version from eventlog.archived_streams a where a.stream_id = s.id), 0) as actual,
                   i.position as known_position,
                   s.identity is not null and count(*) over (partition by s.identity) > 1 as is_repeated,
                   count(*) over (partition by s.id) > 1 as is_named_again,
                   sum(s.events) over (partition by s.group_number order by s.ordinal) - s.events as before_in_group
            from unnest(stream_group, stream_id, stream_version, stream_events, stream_identity)
                 with ordinality as s (group_number, id, expected, events, identity, ordinal)
            left join lateral (
                select e.version from eventlog.entries e where e.stream_id = s.id order by e.version desc limit 1
            ) v on true
            left join lateral (select i.position from eventlog.identities i where i.key = s.identity limit 1) i on true
        ) s
        group by s.group_number order by s.group_number
    loop
        if weighed.repeated_keys is not null then
            select t.position into taken_before
            from unnest(weighed.repeated_keys, weighed.repeated_ordinals) as r (key, ordinal)
            join unnest(taken_keys, taken_positions) as t (key, position) on t.key = r.key
            where weighed.known_ordinal is null or r.ordinal < weighed.known_ordinal
            order by r.ordinal limit 1;
            weighed.known := coalesce(taken_before, weighed.known);
        end if;
        if weighed.again_ids is not null then
            select r.ordinal, r.actual into again
            from (
                select s.ordinal, s.expected, coalesce((
                    select g.version from unnest(grown_ids, grown_versions) with ordinality as g (id, version, n)
                    where g.id = s.id order by g.n desc limit 1), s.actual) as actual
                from unnest(weighed.again_ids, weighed.again_ordinals, weighed.again_expected, weighed.again_actual)
                     as s (id, ordinal, expected, actual)
            ) r
            where r.actual <> r.expected order by r.ordinal limit 1;
            if found and again.ordinal < coalesce(weighed.conflicting, again.ordinal + 1) then
                weighed.conflicting := again.ordinal; weighed.conflicting_at := again.actual;
            end if;
        end if;
        if weighed.known is not null then
            refusals := refusals || 'd'; refused_at := refused_at || weighed.known;
        elsif weighed.conflicting is not null then
            refusals := refusals || 'c'; refused_at := refused_at || weighed.conflicting_at::bigint;
        elsif group_definitions_position[weighed.group_number] < definitions_position then
            refusals := refusals || 'o'; refused_at := refused_at || definitions_position;
        else
            refusals := refusals || '-'; refused_at := refused_at || 0::bigint;
            if weighed.repeated_keys is not null then
                taken_keys := taken_keys || weighed.repeated_keys;
                taken_positions := taken_positions || array(
                    select new_position + 1 + before from unnest(weighed.repeated_offsets) with ordinality as o (before, n)
                    order by n);
            end if;
            grown_ids := grown_ids || weighed.again_ids;
            grown_versions := grown_versions || weighed.again_grown;
            group_positions[weighed.group_number] := new_position + 1;
            new_position := new_position + weighed.events;
            if group_changes_definitions[weighed.group_number] then
                definitions_position := new_position;
            end if;
        end if;
        refused_stream := refused_stream || coalesce(weighed.conflicting, 0)::int;
    end loop;
    positions := array(
        select group_positions[s.group_number]
               + sum(s.events) over (partition by s.group_number order by s.ordinal) - s.events
        from unnest(stream_group, stream_events) with ordinality as s (group_number, events, ordinal)
        order by s.ordinal);
end $$;

-- Answers per stream its first position, null where its group was refused. `refusals` is null when every group fitted;
-- else it has one letter per group: - appended, d duplicate, c conflict, o older than the definitions; `refused_at` the
-- position or version that goes with it, and `refused_stream` the number of the stream in conflict. A stream that is in an
-- archive conflicts with whatever is expected of it; the version that it has there is given as a negative number.
create or replace function eventlog.append(
    group_recorded_at timestamptz[], group_correlation_id uuid[], group_causation_id uuid[], group_actor text[],
    group_traceparent text[], group_definitions_position bigint[], group_changes_definitions boolean[],
    stream_group int[], stream_type text[], stream_id uuid[], stream_version int[], stream_events int[],
    stream_identity bytea[],
    entry_stream int[], entry_events int[], entry_types text[], entry_data bytea[], entry_schema_versions text[],
    salts bytea,
    out positions bigint[], out refusals text, out refused_at bigint[], out refused_stream int[]
) language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set plan_cache_mode = force_generic_plan
    set enable_seqscan = off
    set enable_nestloop = off
    set enable_mergejoin = off
as $$
declare
    old eventlog.head;
    new eventlog.head;
    fits boolean;
    events_count bigint;
    inserted_count bigint;
begin
    select * into strict old from eventlog.head for update;
    new := old;

    select bool_and(s.expected = coalesce(v.version, 0) + s.before_in_stream and i.position is null
                    and (s.id > old.archived_until or not exists (
                        select from eventlog.archived_streams a where a.stream_id = s.id)))
               and count(s.identity) = count(distinct s.identity),
           array_agg(old.position + 1 + s.before order by s.ordinal), sum(s.events)
    into fits, positions, events_count
    from (
        select s.*, sum(s.events) over (order by s.ordinal) - s.events as before,
               sum(s.events) over (partition by s.id order by s.ordinal) - s.events as before_in_stream
        from unnest(append.stream_id, stream_version, stream_events, stream_identity)
             with ordinality as s (id, expected, events, identity, ordinal)
    ) s
    left join lateral (
        select e.version from eventlog.entries e where e.stream_id = s.id order by e.version desc limit 1
    ) v on true
    left join lateral (select i.position from eventlog.identities i where i.key = s.identity limit 1) i on true;

    if fits and coalesce((
        select min(d) >= old.definitions_position and not true = any (group_changes_definitions)
        from unnest(group_definitions_position) as d
    ), true) then
        new.position := old.position + events_count;
    else
        fits := false;
        select w.positions, w.refusals, w.refused_at, w.refused_stream
        into positions, refusals, refused_at, refused_stream
        from eventlog.weigh(old.position, old.definitions_position,
                            group_definitions_position, group_changes_definitions, stream_group,
                            append.stream_id, stream_version, stream_events, stream_identity) w;
        select coalesce(max(s.first_position + s.events - 1), old.position) into new.position
        from unnest(positions, stream_events) as s (first_position, events);
        if new.position = old.position then
            return;
        end if;
    end if;

    with numbered as materialized (
        select s.first_position - 1 + e.before as before, s.id as stream_id, s.expected + e.before as version_before,
               s.type as stream_type, e.types, convert_from(e.data, 'UTF8') as data, e.events,
               substring(append.salts, e.salts_from, 16 * e.events) as salts,
               string_to_array(e.schema_versions, ' ')::smallint[] as schema_versions,
               g.correlation_id, g.causation_id, g.actor, g.traceparent, g.recorded_at
        from (
            select e.*, (16 * (sum(e.events) over (order by e.ordinal) - e.events) + 1)::int as salts_from,
                   (sum(e.events) over (partition by e.stream order by e.ordinal) - e.events)::int as before
            from unnest(entry_stream, entry_events, entry_types, entry_data, entry_schema_versions)
                 with ordinality as e (stream, events, types, data, schema_versions, ordinal)
        ) e
        join unnest(stream_group, append.stream_type, append.stream_id, stream_version, positions)
             with ordinality as s (group_number, type, id, expected, first_position, ordinal)
          on s.ordinal = e.stream
        join unnest(group_recorded_at, group_correlation_id, group_causation_id, group_actor, group_traceparent)
             with ordinality as g (recorded_at, correlation_id, causation_id, actor, traceparent, ordinal)
          on g.ordinal = s.group_number
        where s.first_position is not null
    ), hashed as materialized (
        select case when count(e.type) = count(*) and count(e.data) = count(*) then count(*) end as events_count,
               sha256(old.hash || string_agg(
                   eventlog.event_header(e.before + e.n, e.stream_id, e.version_before + e.n, e.stream_type, e.type,
                                         coalesce(e.schema_version, 1::smallint), e.recorded_at,
                                         e.correlation_id, e.causation_id, e.traceparent, e.actor,
                                         sha256(e.salt || convert_to(e.data::json::text, 'UTF8'))),
                   ''::bytea order by e.before + e.n)) as hash
        from ( -- nothing of a whole entry is left in it, since it is sorted
            select n.before, n.stream_id, n.version_before, n.stream_type, n.recorded_at, n.correlation_id, n.causation_id,
                   n.traceparent, n.actor, generate_series(1, n.events) as n,
                   n.schema_versions[generate_series(1, n.events)] as schema_version,
                   substring(n.salts, 16 * generate_series(1, n.events) - 15, 16) as salt,
                   unnest(string_to_array(n.types, ' ')) as type, unnest(string_to_array(n.data, e'\x1e')) as data
            from numbered n
        ) e
    ), logged as (
        insert into eventlog.entries (position, recorded_at, stream_id, correlation_id, causation_id, version, stream_type,
                                      types, data, salts, schema_versions, actor, traceparent, batch_hash)
        select n.before + n.events, n.recorded_at, n.stream_id, n.correlation_id, n.causation_id, n.version_before + n.events,
               n.stream_type, n.types, n.data, n.salts, n.schema_versions, n.actor, n.traceparent,
               case when n.before + n.events = new.position then h.hash end
        from numbered n cross join hashed h
    )
    select h.events_count, h.hash into inserted_count, new.hash from hashed h;
    if inserted_count is distinct from new.position - old.position then
        raise exception 'the arrays of this call do not belong together' using errcode = 'data_exception';
    end if;

    insert into eventlog.identities (key, position)
    select s.key, s.first_position from unnest(stream_identity, positions) as s (key, first_position)
    where s.key is not null and s.first_position is not null;

    if true = any (group_changes_definitions) then
        select coalesce(max(s.first_position + s.events - 1), old.definitions_position) into new.definitions_position
        from unnest(stream_group, stream_events, positions) as s (group_number, events, first_position)
        where group_changes_definitions[s.group_number];
    end if;

    update eventlog.head h
    set position = new.position, hash = new.hash, definitions_position = new.definitions_position;
end $$;

-- A call of one group of few events for one stream, without an identity and whatever the definitions: what execution
-- appends at each step. Answers the first position; or null, and the version that the stream is at instead.
create or replace function eventlog.append_one(
    recorded_at timestamptz, correlation_id uuid, causation_id uuid, actor text, traceparent text,
    stream_type text, stream_id uuid, expected_version int,
    types text, schema_versions smallint[], event_data bytea, salts bytea,
    out first_position bigint, out actual_version int
) language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
    old eventlog.head;
    events_count int := octet_length(salts) / 16;
    last_position bigint;
    each_type text[] := string_to_array(types, ' ');
    data text := convert_from(event_data, 'UTF8');
    each_data text[] := string_to_array(data, e'\x1e');
    new_hash bytea;
begin
    select * into strict old from eventlog.head for update;

    -- a statement of its own: it sees what was committed while the one before waited for the head
    select e.version into actual_version
    from eventlog.entries e where e.stream_id = append_one.stream_id order by e.version desc limit 1;
    if actual_version is null and append_one.stream_id <= old.archived_until then
        select -a.version into actual_version from eventlog.archived_streams a where a.stream_id = append_one.stream_id;
    end if;
    actual_version := coalesce(actual_version, 0);
    if actual_version <> expected_version then
        return;
    end if;

    if cardinality(each_type) <> events_count or cardinality(each_data) <> events_count then
        raise exception 'the events of this call do not belong together' using errcode = 'data_exception';
    end if;

    last_position := old.position + events_count;
    new_hash := old.hash;
    for n in 1 .. events_count loop
        new_hash := new_hash || eventlog.event_header(
            old.position + n, stream_id, expected_version + n, stream_type, each_type[n],
            coalesce(schema_versions[n], 1::smallint), recorded_at, correlation_id, causation_id, traceparent, actor,
            sha256(substring(salts, 16 * n - 15, 16) || convert_to(each_data[n]::json::text, 'UTF8')));
    end loop;
    new_hash := sha256(new_hash);

    insert into eventlog.entries (position, recorded_at, stream_id, correlation_id, causation_id, version, stream_type,
                                  types, data, salts, schema_versions, actor, traceparent, batch_hash)
    values (last_position, recorded_at, stream_id, correlation_id, causation_id, expected_version + events_count,
            stream_type, types, data, salts, schema_versions, actor, traceparent, new_hash);
    update eventlog.head h set position = last_position, hash = new_hash;
    first_position := old.position + 1;
end $$;

revoke all on function eventlog.append, eventlog.append_one, eventlog.weigh from public;
