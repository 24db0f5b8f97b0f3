"""What the log asks of Postgres besides `eventlog.append`: reading, and what is kept beside the log."""

# ruff: noqa: S608 - put together from constants

# Entries as they are (schema.sql): `entries.events_of` takes them apart where that costs least.
_COLUMNS = """position, stream_type, stream_id, version, types, schema_versions, convert_to(data, 'UTF8') as data,
              correlation_id, causation_id, actor, traceparent, recorded_at"""
READ_STREAM = f"""
    select {_COLUMNS} from eventlog.entries where stream_id = $1 and version > $2 order by version
"""
# As many entries as have so many events above that version, and no more.
READ_STREAM_PAGE = f"""
    select {_COLUMNS} from (
        select e.*, sum(least(eventlog.events_in(salts), version - $2)) over (order by version)
                    - least(eventlog.events_in(salts), version - $2) as before
        from (select * from eventlog.entries where stream_id = $1 and version > $2 order by version limit $3) e
    ) e
    where before < $3 order by version
"""
READ_LAST = """
    select position, types from eventlog.entries
    where stream_id = $1 and ' ' || types || ' ' like any ($2::text[]) order by version desc limit 1
"""
READ_STREAMS = f"""
    select {_COLUMNS} from eventlog.entries where stream_id = any ($1::uuid[]) order by stream_id, version
"""
READ_OF_MOMENT = f"""
    select {_COLUMNS} from eventlog.entries
    where stream_id between $1 and $2 and ' ' || types || ' ' like any ($3::text[]) order by stream_id, version limit $4
"""
READ_POSITION = f"select {_COLUMNS} from eventlog.entries where position >= $1 order by position limit 1"
# As many entries as have so many events above that position, and no more.
READ = f"""
    select {_COLUMNS} from (
        select e.*, sum(least(eventlog.events_in(salts), position - $1)) over (order by position)
                    - least(eventlog.events_in(salts), position - $1) as before
        from (select * from eventlog.entries where position > $1 order by position limit $2) e
    ) e
    where before < $2 order by position
"""
READ_FILTERED = f"""
    select {_COLUMNS} from eventlog.entries
    where position > $1 and ($3::text[] is null or ' ' || types || ' ' like any ($3))
        and ($4::text[] is null or stream_type = any ($4))
    order by position limit $2 + 1 -- the first may have its events of these types below the position
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
