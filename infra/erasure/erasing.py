"""Out of the log, and then out of all that keeps copies of it. Cut off anywhere, it is simply done again."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from flowforge.events import PayloadErased, encode
from flowforge.events.erasure import ERASURES_STREAM
from flowforge.identity import new_uuid
from flowforge.subjects import Subjects
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError, ObjectNotFoundError

from infra.erasure.finding import Piece, Preview

EVENTS_PER_STATEMENT = 5_000
PULL_TIMEOUT_S = 2.0
_BLOB = re.compile(rb'"\$blob"\s*:\s*"(?:sha256[:-])?([0-9a-f]{64})')
_ERASE = "select eventlog.erase($1, $2, $3, $4, $5, $6, $7)"
_STILL_REFERRED = """
    select h.hash from unnest($1::text[]) as h (hash)
    where exists (select from eventlog.events e where strpos(e.data::text, h.hash) > 0)
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


class Erased(msgspec.Struct, frozen=True):
    """What was done: events of the log, and by kind what else was removed."""

    erasure_id: UUID
    events: int
    runs: list[UUID]
    position: int | None
    blobs: list[str]
    copies: dict[str, int]


async def erase(connection: Any, found: Preview, *, actor: str | None = None, reason: str = "") -> Erased:
    """Erase what was found, as the log's owner. The read models must be built anew afterwards."""
    erasure_id, position = new_uuid(), None
    to_do = found.to_do
    for start in range(0, len(to_do), EVENTS_PER_STATEMENT):
        position = await _erase(
            connection, to_do[start : start + EVENTS_PER_STATEMENT], found, erasure_id, actor, reason
        )
    positions = [piece.position for piece in found.pieces]
    names = [str(run) for run in found.runs]
    copies = {
        what: _count(await connection.execute(statement, [*names, *found.texts])) for what, statement in _COPIES.items()
    }
    copies["outputs for other runs"] = _count(
        await connection.execute("delete from execution.outputs where position = any ($1::bigint[])", positions)
    )
    copies["snapshots"] = _count(await connection.execute("delete from eventlog.snapshots"))
    blobs = await _unreferred(connection, found.pieces)
    if blobs:
        hashes = [bytes.fromhex(blob) for blob in blobs]
        await connection.execute("delete from eventlog.blobs where hash = any ($1::bytea[])", hashes)
    return Erased(erasure_id, len(to_do), found.runs, position, blobs, copies)


async def _erase(
    connection: Any, portion: Iterable[Piece], found: Preview, erasure_id: UUID, actor: str | None, reason: str
) -> int:
    pieces = list(portion)
    event = PayloadErased(
        erasure_id=erasure_id,
        positions=[piece.position for piece in pieces],
        left=[hashlib.sha256(piece.left).hexdigest() for piece in pieces],
        runs=found.runs,
        reason=reason,
    )
    return await connection.fetchval(
        _ERASE, event.positions, [piece.left for piece in pieces], ERASURES_STREAM, encode(event), os.urandom(16),
        datetime.now(UTC), actor,
    )  # fmt: skip


async def _unreferred(connection: Any, pieces: Iterable[Piece]) -> list[str]:
    """Blobs that only these payloads referred to."""
    named = sorted({match[1].decode() for piece in pieces for match in _BLOB.finditer(piece.data)})
    kept = {row[0] for row in await connection.fetch(_STILL_REFERRED, named)}
    return [name for name in named if name not in kept]


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


def run_subjects(subjects: Subjects, runs: Iterable[UUID]) -> Iterator[str]:
    """What the bus says of these runs."""
    return (f"{subjects.namespace}.runs.*.{run}.>" for run in runs)


async def erase_messages(stream: JetStreamContext, subjects: Subjects, runs: Iterable[UUID]) -> int:
    """Remove what the stream of runs still has of them, overwriting it on disk. How many messages."""
    removed = 0
    for subject in run_subjects(subjects, runs):
        for sequence in await _sequences(stream, subjects.runs_stream, subject):
            removed += await stream.delete_msg(subjects.runs_stream, sequence)
    return removed


async def _sequences(stream: JetStreamContext, name: str, subject: str) -> list[int]:
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, headers_only=True, inactive_threshold=30
    )
    try:
        found = await stream.pull_subscribe(subject, stream=name, config=config)
    except NotFoundError:
        return []
    sequences: list[int] = []
    try:
        pending = (await found.consumer_info()).num_pending or 0
        while len(sequences) < pending:
            messages = await found.fetch(min(256, pending - len(sequences)), timeout=PULL_TIMEOUT_S)
            sequences += [message.metadata.sequence.stream for message in messages]
    finally:
        await found.unsubscribe()
    return sequences


async def erase_blobs(stream: JetStreamContext, subjects: Subjects, blobs: Iterable[str]) -> None:
    """Remove them from the object store as well."""
    store = await stream.object_store(subjects.blobs_bucket)
    for name in blobs:
        with contextlib.suppress(NotFoundError, ObjectNotFoundError):
            await store.delete(name)
