"""Out of all that keeps copies, and then out of the log, by which they are found: cut off anywhere, it is done again."""

import hashlib
import os
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from flowforge.events import PayloadErased, encode
from flowforge.events.erasure import ERASURES_STREAM
from flowforge.identity import new_uuid

from infra.archive.record import blobs_in
from infra.erasure.finding import Piece, Preview
from infra.failpoints import failpoint

EVENTS_PER_STATEMENT = 5_000
_ERASE = "select eventlog.erase($1, $2, $3, $4, $5, $6, $7)"
_STILL_REFERRED = """
    select h.hash from unnest($1::text[]) as h (hash)
    where exists (
        select from (select distinct stream_id from eventlog.entries where strpos(data, h.hash) > 0) s
        join eventlog.events e on e.stream_id = s.stream_id
        where strpos(e.data::text, h.hash) > 0 and e.position <> all ($2::bigint[])
    )
"""
_JOB_LOGS = """
    delete from projections_kept.job_log_lines
    where run_id::text = any ($1)
        or exists (select from unnest($1::text[]) as t (text) where strpos(array_to_string(lines, E'\\n'), t.text) > 0)
"""
_ANSWERS = """
    delete from gateway.idempotency
    where exists (select from unnest($1::text[]) as t (text) where position(convert_to(t.text, 'UTF8') in answer) > 0)
"""
_COPIES = {
    "job log lines": _JOB_LOGS,
    "answers kept for Idempotency-Key": _ANSWERS,
    "attempts of deliveries": "update subscriptions.deliveries set tries = '[]' where run_id::text = any ($1)",
}


class Copies(msgspec.Struct, frozen=True):
    """What was removed beside the log, how much by kind; and the blobs that only these payloads refer to, which go with
    them."""

    blobs: list[str]
    counts: dict[str, int]


class Erased(msgspec.Struct, frozen=True):
    """What was done in the log."""

    erasure_id: UUID
    events: int
    position: int | None


async def erase_copies(connection: Any, found: Preview) -> Copies:
    """Remove what the database has of it beside the log, but for blobs and the read models."""
    positions = [piece.position for piece in found.pieces]
    names = [str(run) for run in found.runs]
    counts = {
        what: _count(await connection.execute(statement, [*names, *found.texts])) for what, statement in _COPIES.items()
    }
    counts["outputs for other runs"] = _count(
        await connection.execute("delete from execution.outputs where position = any ($1::bigint[])", positions)
    )
    return Copies(await _unreferred(connection, found.to_do), counts)


async def erase(
    connection: Any, found: Preview, blobs: Collection[str], *, actor: str | None = None, reason: str = ""
) -> Erased:
    """Erase what was found from the log, as its owner, while nobody archives; the last payload that refers to one of `blobs`
    takes it with it. The read models must be built anew afterwards.

    What copies are found by goes here: `erase_copies`, `erase_blobs` and `erase_messages` come before.
    """
    erasure_id, position = new_uuid(), None
    to_do = found.to_do
    portions = [to_do[start : start + EVENTS_PER_STATEMENT] for start in range(0, len(to_do), EVENTS_PER_STATEMENT)]
    last = {
        name: number for number, portion in enumerate(portions) for piece in portion for name in blobs_in(piece.data)
    }
    for number, portion in enumerate(portions):
        gone = [bytes.fromhex(name) for name in blobs if last.get(name) == number]
        async with connection.transaction():
            await connection.execute("delete from eventlog.blobs where hash = any ($1::bytea[])", gone)
            position = await _erase(connection, portion, found, erasure_id, actor, reason)
        failpoint("erasure.after_statement")
    await connection.execute("delete from eventlog.snapshots")
    return Erased(erasure_id, len(to_do), position)


async def _erase(
    connection: Any, portion: Sequence[Piece], found: Preview, erasure_id: UUID, actor: str | None, reason: str
) -> int:
    event = PayloadErased(
        erasure_id=erasure_id,
        positions=[piece.position for piece in portion],
        left=[hashlib.sha256(piece.left).hexdigest() for piece in portion],
        runs=found.runs,
        reason=reason,
    )
    return await connection.fetchval(
        _ERASE, event.positions, [piece.left for piece in portion], ERASURES_STREAM, encode(event), os.urandom(16),
        datetime.now(UTC), actor,
    )  # fmt: skip


async def _unreferred(connection: Any, pieces: Sequence[Piece]) -> list[str]:
    """Blobs that only these payloads refer to."""
    named = sorted({name for piece in pieces for name in blobs_in(piece.data)})
    if not named:
        return []
    positions = [piece.position for piece in pieces]
    kept = {row[0] for row in await connection.fetch(_STILL_REFERRED, named, positions)}
    return [name for name in named if name not in kept]


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
