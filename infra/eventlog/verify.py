"""Proof that the log is what it was: positions and versions without gaps, and the chain of hashes recomputed.

The rules are in schema.sql. Reading is enough: any login that may SELECT the log can verify it. Appends may go on; what
came after the start is left for the next time.
"""

# ruff: noqa: S608 - put together from constants

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import asyncpg
import msgspec
from flowforge.events.erasure import ERASURES_STREAM

BATCHES_PER_STATEMENT = 500
PROBLEMS_MAX = 100
"""So many are named; more say nothing more."""
MOVED_TRIES_MAX = 3
"""Events that are neither here nor elsewhere may have been on their way back: they are looked for again."""

Kind = Literal[
    "chain", "missing_events", "missing_batch", "stray_events", "version_gap", "identity", "head", "archive", "erasure"
]
Headers = Mapping[int, bytes]
"""By position, what the chain has of an event (`eventlog.event_header`)."""


class Elsewhere(Protocol):
    """Events of this log that are not in the database: see infra/archive."""

    async def headers(self, first_position: int, last_position: int, problems: list["Problem"]) -> Headers:
        """Those at these positions that are there now. What cannot be read is a problem, once."""
        ...

    def is_lost(self, first_position: int, last_position: int) -> bool:
        """Whether events at these positions may be where nothing could be read: that is told already."""
        ...

    def erased(self) -> Mapping[int, str]:
        """Of the erased payloads that were read, by position: the SHA-256 (hex) of what was left."""
        ...


class Problem(msgspec.Struct, frozen=True):
    """Something is not as it was logged, somewhere from `first_position` to `last_position`."""

    kind: Kind
    first_position: int
    last_position: int
    message: str


class Report(msgspec.Struct, frozen=True):
    """What was looked at, and what is wrong with it, in order of position."""

    events: int
    batches: int
    problems: list[Problem]

    @property
    def ok(self) -> bool:
        return not self.problems


_END = """
    select h.position, h.hash, coalesce(b.last_position, 0), coalesce(b.hash, sha256(''))
    from eventlog.head h
    left join lateral (
        select l.last_position, l.hash from (
            (select e.position as last_position, e.batch_hash as hash from eventlog.entries e
             where e.batch_hash is not null order by e.position desc limit 1)
            union all
            (select * from eventlog.archived_batches order by last_position desc limit 1)
        ) l
        order by l.last_position desc limit 1
    ) b on true
"""
_APART = """(
    select c.position - eventlog.events_in(c.salts) + c.n as position, c.stream_id,
           (c.version - eventlog.events_in(c.salts) + c.n)::int as version, c.stream_type, c.type,
           coalesce(c.schema_versions[c.n], 1::smallint) as schema_version, c.one as data,
           case when c.digests[c.n] is null then substring(c.salts, 16 * c.n - 15, 16) end as salt,
           c.digests[c.n] as digest, c.correlation_id, c.causation_id, c.actor, c.traceparent, c.recorded_at
    from (
        select c.*, generate_series(1, eventlog.events_in(c.salts)) as n, unnest(string_to_array(c.types, ' ')) as type,
               unnest(string_to_array(c.data, e'\\x1e')) as one
        from eventlog.entries c where c.position between {first} and {last}
    ) c
)"""
"""The events of the entries that end at these positions: an entry is in one batch, whole."""
_BATCHES = f"""
    select b.first_position, b.last_position, b.hash, c.events_count,
           sha256(lag(b.hash, 1, $3) over (order by b.first_position) || coalesce(c.chained, '')) as recomputed
    from (
        select lag(l.last_position, 1, $1) over (order by l.last_position) + 1 as first_position, l.last_position, l.hash
        from (
            (select e.position as last_position, e.batch_hash as hash from eventlog.entries e
             where e.position > $1 and e.position <= $2 and e.batch_hash is not null order by e.position limit $4)
            union all
            (select * from eventlog.archived_batches a
             where a.last_position > $1 and a.last_position <= $2 order by a.last_position limit $4)
        ) l
        order by l.last_position limit $4
    ) b
    cross join lateral (
        select count(*) as events_count, string_agg(eventlog.event_header(
                   e.position, e.stream_id, e.version, e.stream_type, e.type, e.schema_version, e.recorded_at,
                   e.correlation_id, e.causation_id, e.traceparent, e.actor,
                   case when e.salt is null then e.digest
                        else sha256(e.salt || convert_to(e.data, 'UTF8')) end),
               ''::bytea order by e.position) as chained
        from {_APART.format(first="b.first_position", last="b.last_position")} e
    ) c
    order by b.first_position
"""
_HEADERS = f"""
    select e.position, eventlog.event_header(
               e.position, e.stream_id, e.version, e.stream_type, e.type, e.schema_version, e.recorded_at,
               e.correlation_id, e.causation_id, e.traceparent, e.actor,
               case when e.salt is null then e.digest else sha256(e.salt || convert_to(e.data, 'UTF8')) end)
    from {_APART.format(first="$1", last="$2")} e
"""
_VERSION_GAPS = """
    select stream_id, min(version - eventlog.events_in(salts) + 1), max(version), sum(eventlog.events_in(salts)),
           min(position - eventlog.events_in(salts) + 1), max(position)
    from eventlog.entries group by stream_id
    having min(version - eventlog.events_in(salts)) <> 0 or max(version) <> sum(eventlog.events_in(salts))
    order by 5 limit $1
"""
_STRAYS = """
    select sum(eventlog.events_in(salts)), min(position - eventlog.events_in(salts) + 1), max(position)
    from eventlog.entries
    where position - eventlog.events_in(salts) < 0 or position > (select position from eventlog.head)
"""
_IDENTITIES = """
    select i.position from eventlog.identities i
    where not exists (
            select from (select * from eventlog.entries c where c.position >= i.position order by c.position limit 1) c
            where i.position > c.position - eventlog.events_in(c.salts))
        and not exists (select from eventlog.archives a
                        where a.restored_at is null and i.position between a.first_position and a.last_position)
    order by i.position limit $1
"""

_TOLD = """
    select distinct on (p.position) p.position::bigint as position, k.hash
    from eventlog.events e
    cross join lateral json_array_elements_text(e.data -> 'positions') with ordinality as p (position, n)
    join lateral json_array_elements_text(e.data -> 'left') with ordinality as k (hash, n) on k.n = p.n
    where e.stream_id = $1 and e.type = 'PayloadErased' and p.position::bigint = any ($2)
    order by p.position, e.position desc
"""
_ERASURES = """
    with told as (
        select distinct on (p.position) p.position::bigint as position, k.hash
        from eventlog.events e
        cross join lateral json_array_elements_text(e.data -> 'positions') with ordinality as p (position, n)
        join lateral json_array_elements_text(e.data -> 'left') with ordinality as k (hash, n) on k.n = p.n
        where e.stream_id = $2 and e.type = 'PayloadErased'
        order by p.position, e.position desc
    )
    select e.position from eventlog.events e left join told t using (position)
    where e.digest is not null and e.position <= (select position from eventlog.head)
        and (t.hash is null or t.hash is distinct from encode(sha256(convert_to(e.data::text, 'UTF8')), 'hex'))
    order by e.position limit $1
"""


async def verify(dsn: str, elsewhere: Elsewhere | None = None) -> Report:
    """Look at everything that was logged when the call began. About 400,000 events a second, a third of that where they are
    `elsewhere`."""
    connection = await asyncpg.connect(
        dsn, server_settings={"application_name": "flowforge verify", "jit": "off", "statement_timeout": "0"}
    )
    try:
        head_position, head_hash, last_position, last_hash = await connection.fetchrow(_END)
        problems: list[Problem] = []
        batches = await _verify_batches(connection, head_position, problems, elsewhere)
        if (head_position, head_hash) != (last_position, last_hash):
            message = f"the head is at {head_position}, the last batch ends at {last_position}, or their hashes differ"
            problems.append(Problem("head", last_position, head_position, message))
        await _verify_versions(connection, problems)
        await _verify_identities(connection, problems)
        await _verify_erasures(connection, problems, {} if elsewhere is None else elsewhere.erased())
    finally:
        await connection.close()
    problems.sort(key=lambda problem: problem.first_position)
    return Report(head_position, batches, problems[:PROBLEMS_MAX])


async def _verify_batches(
    connection: Any, head_position: int, problems: list[Problem], elsewhere: Elsewhere | None
) -> int:
    previous_hash = await connection.fetchval("select sha256('')")
    previous_position = 0
    batches_count = 0
    while rows := await connection.fetch(
        _BATCHES, previous_position, head_position, previous_hash, BATCHES_PER_STATEMENT
    ):
        if elsewhere is not None and any(count != last - first + 1 for first, last, _, count, _ in rows):
            rows = await _completed(connection, rows, previous_hash, elsewhere, problems)
        for first_position, last_position, batch_hash, events_count, recomputed in rows:
            if events_count != last_position - first_position + 1:
                message = f"{events_count} events where {last_position - first_position + 1} were logged"
                problems.append(Problem("missing_events", first_position, last_position, message))
            elif recomputed != batch_hash:
                message = "an event of this batch, its hash, or the hash of the batch before was changed"
                problems.append(Problem("chain", first_position, last_position, message))
            previous_position, previous_hash = last_position, batch_hash
        batches_count += len(rows)
    if previous_position < head_position:
        problems.append(_missing_batch(previous_position + 1, head_position))
    return batches_count


async def _completed(
    connection: Any, rows: list[Any], previous_hash: bytes, elsewhere: Elsewhere, problems: list[Problem]
) -> list[Any]:
    """The same batches, counted and hashed with the events that are elsewhere."""
    first, last = rows[0][0], rows[-1][1]
    expected_count = sum(batch_last - batch_first + 1 for batch_first, batch_last, *_ in rows)
    headers: Headers = {}
    for _ in range(MOVED_TRIES_MAX):
        kept = await connection.fetch(_HEADERS, first, last)  # first: what moves away meanwhile is in both
        headers = {**await elsewhere.headers(first, last, problems), **dict(kept)}
        if len(headers) >= expected_count or elsewhere.is_lost(first, last):
            break
    completed: list[Any] = []
    for first_position, last_position, batch_hash, *_ in rows:
        found = [headers[at] for at in range(first_position, last_position + 1) if at in headers]
        recomputed = hashlib.sha256(previous_hash + b"".join(found)).digest()
        count = last_position - first_position + 1
        if len(found) != count and elsewhere.is_lost(first_position, last_position):
            found_count, recomputed = count, batch_hash
        else:
            found_count = len(found)
        completed.append((first_position, last_position, batch_hash, found_count, recomputed))
        previous_hash = batch_hash
    return completed


def _missing_batch(first_position: int, last_position: int) -> Problem:
    message = f"no batch covers the positions {first_position} to {last_position}"
    return Problem("missing_batch", first_position, last_position, message)


async def _verify_versions(connection: Any, problems: list[Problem]) -> None:
    for stream_id, lowest, highest, count, first, last in await connection.fetch(_VERSION_GAPS, PROBLEMS_MAX):
        message = f"stream {stream_id} has {count} events with versions from {lowest} to {highest}"
        problems.append(Problem("version_gap", first, last, message))
    strays_count, first, last = await connection.fetchrow(_STRAYS)
    if strays_count:
        message = f"{strays_count} events outside the positions that were given out"
        problems.append(Problem("stray_events", first, last, message))


async def _verify_identities(connection: Any, problems: list[Problem]) -> None:
    for (position,) in await connection.fetch(_IDENTITIES, PROBLEMS_MAX):
        problems.append(Problem("identity", position, position, "an identity is held by an event that is not there"))


async def _verify_erasures(connection: Any, problems: list[Problem], elsewhere: Mapping[int, str]) -> None:
    """The chain has the digest of what was erased; what was left in its place is in the event that tells of it."""
    wrong = [row[0] for row in await connection.fetch(_ERASURES, PROBLEMS_MAX, ERASURES_STREAM)]
    if elsewhere:
        told = dict(await connection.fetch(_TOLD, ERASURES_STREAM, list(elsewhere)))
        wrong += [position for position, left in elsewhere.items() if told.get(position) != left]
    for position in sorted(wrong)[:PROBLEMS_MAX]:
        message = "this payload was erased, or changed after that, and no PayloadErased in the log says so"
        problems.append(Problem("erasure", position, position, message))
