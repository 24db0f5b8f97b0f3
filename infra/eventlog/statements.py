"""What the log asks of Postgres besides `eventlog.append`: reading, and what is kept beside the log."""

# ruff: noqa: S608 - put together from constants

# An entry (schema.sql) is taken apart in the select list, which keeps the order of the entries: what is cut off by a limit
# is then never taken apart.
_APART = """stream_type, stream_id, version - eventlog.events_in(salts) as version_before, position as entry,
            position - eventlog.events_in(salts) as before, schema_versions,
            correlation_id, causation_id, actor, traceparent, recorded_at,
            generate_series(1, eventlog.events_in(salts)) as n, unnest(string_to_array(types, ' ')) as type,
            unnest(string_to_array(data, e'\\x1e')) as data"""
_COLUMNS = """before + n as position, stream_type, stream_id, version_before + n as version, type,
              coalesce(schema_versions[n], 1::smallint) as schema_version, convert_to(data, 'UTF8') as data,
              correlation_id, causation_id, actor, traceparent, recorded_at"""
READ_STREAM = f"""
    select {_COLUMNS} from (
        select {_APART} from eventlog.entries where stream_id = $1 and version > $2 order by version
    ) e
    where version_before + n > $2 order by version_before, n limit $3
"""
READ_STREAMS = f"""
    select {_COLUMNS} from (
        select {_APART} from eventlog.entries where stream_id = any ($1::uuid[])
    ) e
    order by stream_id, version
"""
READ_OF_MOMENT = f"""
    select {_COLUMNS} from (
        select {_APART} from eventlog.entries
        where stream_id between $1 and $2 and string_to_array(types, ' ') && $3::text[] order by stream_id, version
    ) e
    where type = any ($3) order by stream_id, version limit $4
"""
READ_POSITION = f"""
    select {_COLUMNS} from (
        select {_APART} from (select * from eventlog.entries where position >= $1 order by position limit 1) e
    ) e
    where before + n = $1
"""
READ = f"""
    select {_COLUMNS} from (
        select {_APART} from eventlog.entries where position > $1 order by position
    ) e
    where before + n > $1 order by entry, n limit $2
"""
READ_FILTERED = f"""
    select {_COLUMNS} from (
        select {_APART} from eventlog.entries
        where position > $1 and ($3::text[] is null or string_to_array(types, ' ') && $3)
            and ($4::text[] is null or stream_type = any ($4))
        order by position
    ) e
    where before + n > $1 and ($3::text[] is null or type = any ($3)) order by entry, n limit $2
"""
READ_NAMED = READ_FILTERED.replace("eventlog.entries", "eventlog.events_named")
HEAD = "select position, incarnation, definitions_position, hash from eventlog.head"
FIND_IDENTITIES = "select key, position from eventlog.identities where key = any ($1::bytea[])"
# Who puts or reads a blob may be about to refer to it: one that nothing referred to is looked at anew (archive.sql).
PUT_BLOB = """
    insert into eventlog.blobs (hash, size, data) values ($1, $2, $3)
    on conflict (hash) do update set unreferred_since = null where blobs.unreferred_since is not null
"""
GET_BLOB = "select data, unreferred_since is not null from eventlog.blobs where hash = $1"
WANT_BLOB = "update eventlog.blobs set unreferred_since = null where hash = $1 returning data"
GET_CURSOR = "select position from eventlog.cursors where name = $1"
# What can be had again need not be on disk before its writer goes on.
_WITHOUT_WAITING = "set_config('synchronous_commit', 'off', true)"
SET_CURSOR = f"""
    insert into eventlog.cursors (name, position) select $1, $2 from {_WITHOUT_WAITING}
    on conflict (name) do update set position = excluded.position, updated_at = now()
"""
GET_SNAPSHOT = "select stream_id, version, schema_version, data from eventlog.snapshots where stream_id = $1"
PUT_SNAPSHOT = f"""
    insert into eventlog.snapshots (stream_id, version, schema_version, data) select $1, $2, $3, $4
    from {_WITHOUT_WAITING}
    on conflict (stream_id) do update
    set version = excluded.version, schema_version = excluded.schema_version, data = excluded.data
"""
DROP_SNAPSHOTS = "delete from eventlog.snapshots"
ARCHIVED = """
    select s.stream_id, a.file from eventlog.archived_streams s join eventlog.archives a on a.number = s.archive
    where s.stream_id = any ($1::uuid[])
"""
