-- Partitions of the log by time, made before they are needed.
--
-- `make_partitions` makes those of the months to come; it is called by every migration, and daily while the system runs.
-- A month of which `events_timed` has streams already gets none: they stay where they are, and are read as before. That is
-- so in a log older than this file, for its newest month, and where nobody made partitions for months on end. It takes no
-- argument, so that a service, which may call it, can do nothing else with it. While it waits for a long reader to end, all
-- others wait for it: so it waits briefly, and is called again long before the month comes.

create or replace function eventlog.first_id(month date) returns uuid language sql immutable parallel safe
    set search_path = pg_catalog, pg_temp
as $$
    select (lpad(to_hex((extract(epoch from month::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

create or replace function eventlog.make_partitions() returns int language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '500ms'
as $$
declare
    -- so many months beyond this one have their partition
    months_ahead constant int := 3;
    made int := 0;
    month date;
    name text;
begin
    perform pg_advisory_xact_lock(hashtext('eventlog.make_partitions'));
    for month in
        select (date_trunc('month', now() at time zone 'utc') + make_interval(months => n))::date
        from generate_series(0, months_ahead) as n
    loop
        name := 'events_' || to_char(month, 'YYYY_MM');
        continue when to_regclass('eventlog.' || name) is not null or exists (
            select from eventlog.events_timed e
            where e.stream_id >= eventlog.first_id(month)
              and e.stream_id < eventlog.first_id((month + interval '1 month')::date));
        execute format('create table eventlog.%I partition of eventlog.entries for values from (%L) to (%L)', name,
                       eventlog.first_id(month), eventlog.first_id((month + interval '1 month')::date));
        execute format('create unique index %I on eventlog.%I (position)', name || '_position', name);
        execute format('create trigger append_only before update or delete or truncate on eventlog.%I '
                       'for each statement execute function eventlog.refuse_change()', name);
        made := made + 1;
    end loop;
    return made;
end $$;

revoke all on function eventlog.make_partitions from public;
