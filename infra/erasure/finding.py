"""Which events have a person's data: by runs, or by a text. Nothing is changed here."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from flowforge.events import RUN_ENDINGS

from infra.archive.erasing import find_in_archives
from infra.archive.record import Record
from infra.erasure.blanking import StaysInStructure, blanked, is_erasable

TEXT_CHARS_MIN = 3
"""A shorter text would be found everywhere."""
EVENTS_MAX = 200_000
"""So many events are erased at once."""
STANDING_MAX = 20
_WRITERS = (
    (re.compile(r"[^\x00-\x7e]"), "04x"),  # Python, PHP, Ruby
    (re.compile(r"[^\x00-\x7e]"), "04X"),  # Java's libraries
    (re.compile(r"[<>&\u2028\u2029]"), "04x"),  # Go
    (re.compile(r"""[^\x00-\x7e]|["&'+<>`]"""), "04X"),  # .NET
)
"""Which characters JSON writers write by their number where they are not told otherwise, and with which digits."""

_WITH_TEXT = """
    with streams as (
        select distinct c.stream_id from eventlog.entries c
        where exists (select from unnest($1::text[]) as t (text) where strpos(c.data, t.text) > 0)
    )
    select e.position, e.stream_id, e.stream_type, e.type from streams join eventlog.events e on e.stream_id = streams.stream_id
    where e.type <> 'PayloadErased'
        and exists (select from unnest($1::text[]) as t (text) where strpos(e.data::text, t.text) > 0)
    order by e.position limit $2
"""
_BLOBS_WITH_TEXT = """
    select encode(hash, 'hex') from eventlog.blobs b
    where exists (select from unnest($1::text[]) as t (text) where position(convert_to(t.text, 'UTF8') in b.data) > 0)
"""
_BEGINNINGS = """
    select stream_id, data from eventlog.events
    where type = 'WorkflowTriggered' and stream_id = any ($1::uuid[])
"""
_FAMILY = """
    with recursive family (id) as (
        select unnest($1::uuid[])
        union
        select (e.data ->> 'child_run_id')::uuid from family f
        join eventlog.events e on e.stream_id = f.id and e.type = 'ChildRunRequested'
    )
    select distinct id from family
"""
_OPEN = """
    select s.id from unnest($1::uuid[]) as s (id)
    cross join lateral (
        select e.type from eventlog.events e
        where e.stream_id = s.id and e.stream_type = 'run'
              and (e.type = any ($2) or e.type in ('WorkflowTriggered', 'RunRetried', 'RunRetryRequested', 'RunRetryRefused'))
        order by e.version desc limit 1
    ) l
    where l.type <> all ($2) and l.type <> 'RunRetryRefused'
"""
_EVENTS = """
    with others as (
        select distinct c.stream_id from unnest($2::bigint[]) as p (position)
        cross join lateral (
            select c.stream_id from eventlog.entries c where c.position >= p.position order by c.position limit 1
        ) c
        where c.stream_id <> all ($1::uuid[])
    )
    select position, stream_id, stream_type, type, data from (
        select e.position, e.stream_id, e.stream_type, e.type, e.data from eventlog.events e
        where e.stream_id = any ($1::uuid[])
        union all
        select e.position, e.stream_id, e.stream_type, e.type, e.data
        from others join eventlog.events e on e.stream_id = others.stream_id where e.position = any ($2::bigint[])
    ) found order by position limit $3
"""


class NotErasable(Exception):
    """Something stands against it; nothing was changed."""


class Piece(msgspec.Struct, frozen=True):
    """One event: its payload, and what is left of it."""

    position: int
    data: bytes
    left: bytes


class Preview(msgspec.Struct, frozen=True):
    """What would be erased. `standing` says where else the text is, where it cannot be erased, such as in definitions."""

    runs: list[UUID]
    pieces: list[Piece]
    texts: tuple[str, ...]
    standing: list[str]

    @property
    def to_do(self) -> list[Piece]:
        """Those that are not erased already."""
        return [piece for piece in self.pieces if piece.left != piece.data]


async def find(connection: Any, runs: Collection[UUID] = (), text: str = "", archives: Path | None = None) -> Preview:
    """The runs named, and those in which the text is, with their children and causes. Raises `NotErasable`.

    With the folder of `archives` they are looked for there as well; then it raises `ArchiveDamaged` and OSError too.
    """
    if text and len(text) < TEXT_CHARS_MIN:
        raise NotErasable(f"'{text}' is too short: give at least {TEXT_CHARS_MIN} characters that only that person has")
    texts = spellings(text) if text else ()
    found = await _with_text(connection, texts) if texts else []
    wanted = {*runs, *(row["stream_id"] for row in found if row["stream_type"] == "run")}
    family: set[UUID] = {row[0] for row in await connection.fetch(_FAMILY, list(wanted))}
    known = {row["stream_id"]: row["data"] for row in await connection.fetch(_BEGINNINGS, list(family))}
    records = [] if archives is None else await _archived(connection, archives, {*runs, *family}, texts)
    known |= {record.stream_id: record.data or "" for record in records if record.type == "WorkflowTriggered"}
    if missing := sorted(set(runs) - known.keys()):
        raise NotErasable(f"there is no run {missing[0]} in the log: give ids as `flowforge runs` lists them")
    await _refuse_open(connection, family)
    causes = {cause for data in known.values() for cause in _causes(data)}
    positions = [row["position"] for row in found if is_erasable(row["type"])]
    standing = [f"{row['type']} at position {row['position']}" for row in found if not is_erasable(row["type"])]
    rows = await connection.fetch(_EVENTS, [*known, *causes], positions, EVENTS_MAX + 1)
    if len(rows) > EVENTS_MAX:
        raise NotErasable(f"more than {EVENTS_MAX:,} events at once: name fewer runs, or a longer text")
    found_events = [(row["position"], row["type"], row["data"].encode()) for row in rows]
    found_events += [(record.position, record.type, (record.data or "null").encode()) for record in records]
    pieces: list[Piece] = []
    for position, kind, data in found_events:
        try:
            left = blanked(kind, data, texts) if is_erasable(kind) else data
        except StaysInStructure as reason:
            standing.append(f"{kind} at position {position}: {reason}")
            left = blanked(kind, data)
        pieces.append(Piece(position, data, left))
    return Preview(sorted(known), pieces, texts, standing[:STANDING_MAX])


def spellings(text: str) -> tuple[str, ...]:
    """The text, and as it may stand in JSON that others wrote, which is kept as it came: which characters are written by
    their number, with which digits, and whether a slash is escaped, is the writer's to choose (RFC 8259, section 7)."""
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    written = [plain, *(_by_number(text, which, digits) for which, digits in _WRITERS)]
    return tuple(dict.fromkeys((text, *written, *(each.replace("/", "\\/") for each in written))))


def _by_number(text: str, which: re.Pattern[str], digits: str) -> str:
    def numbers(found: re.Match[str]) -> str:
        units = found[0].encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{int.from_bytes(units[at : at + 2]):{digits}}" for at in range(0, len(units), 2))

    def escaped(part: str) -> str:
        return which.sub(numbers, part) if which.fullmatch(part) else json.dumps(part, ensure_ascii=False)[1:-1]

    return "".join(map(escaped, re.split(f"({which.pattern})", text)))


async def _archived(connection: Any, folder: Path, runs: Collection[UUID], texts: Collection[str]) -> list[Record]:
    """The events of these runs in archives, and of those that have one of the texts, with their children."""
    found = {
        record.position: record for record in await find_in_archives(connection, folder, streams=runs, texts=texts)
    }
    looked_for: set[UUID] = set(runs)
    while wanted := {stream for record in found.values() for stream in _streams(record)} - looked_for:
        looked_for |= wanted
        more = await find_in_archives(connection, folder, streams=wanted)
        found |= {record.position: record for record in more}
    return list(found.values())


def _streams(record: Record) -> list[UUID]:
    """The run that an event is of, and the one that it asks for as a child."""
    if record.type != "ChildRunRequested" or record.data is None:
        return [record.stream_id]
    return [record.stream_id, UUID(msgspec.json.decode(record.data)["child_run_id"])]


async def _with_text(connection: Any, texts: tuple[str, ...]) -> list[Any]:
    """Events that have it, and those that refer to a blob that has it."""
    blobs = [row[0] for row in await connection.fetch(_BLOBS_WITH_TEXT, list(texts))]
    found = await connection.fetch(_WITH_TEXT, [*texts, *blobs], EVENTS_MAX + 1)
    if len(found) > EVENTS_MAX:
        raise NotErasable(f"more than {EVENTS_MAX:,} events have this text: give one that only that person has")
    return found


async def _refuse_open(connection: Any, family: Collection[UUID]) -> None:
    still = [row[0] for row in await connection.fetch(_OPEN, list(family), sorted(RUN_ENDINGS))]
    if still:
        raise NotErasable(
            f"{len(still)} of these runs have not ended, {still[0]} among them: what a run under way was given cannot be "
            f"taken from it. End it first: flowforge cancel {still[0]}"
        )


def _causes(beginning: str) -> list[UUID]:
    """The streams of what a run was caused by, where these are causes of their own."""
    given = msgspec.json.decode(beginning)
    named = [given["cause"], *given.get("earlier", [])]
    return [UUID(cause["stream_id"]) for cause in named]
