"""Causes that the log knows already: what became of them, for those who send them again."""

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from flowforge.events import EventReceived, RunRequested, WorkflowTriggered, decode

from infra.eventlog import EventLog, PartUnavailable
from services.triggers.settings import READS_AT_ONCE_MAX


class KnownCause(msgspec.Struct, frozen=True):
    """The logged cause, and for a run asked for by hand the run that it got."""

    fact: EventReceived | RunRequested
    event_id: UUID
    position: int
    recorded_at: datetime
    run: WorkflowTriggered | None = None
    run_position: int = 0


async def find_known(log: EventLog, identities: Collection[bytes]) -> dict[bytes, KnownCause]:
    """Those of the identities that are known, each with its cause. May raise `Unavailable`."""
    positions = await log.find_identities(identities)
    at_once = asyncio.Semaphore(READS_AT_ONCE_MAX)

    async def read(identity: bytes, position: int) -> tuple[bytes, KnownCause]:
        async with at_once:
            return identity, await _read(log, position)

    return dict(await asyncio.gather(*(read(identity, position) for identity, position in positions.items())))


async def _read(log: EventLog, position: int) -> KnownCause:
    first = await log.read_position(position)
    if first is None:
        raise PartUnavailable(f"position {position} holds an identity and is not in the log: see flowforge verify")
    fact = cast("EventReceived | RunRequested", decode(first.type, first.data))
    known = KnownCause(fact, first.event_id, first.position, first.recorded_at)
    if not isinstance(fact, RunRequested):
        return known
    # a request decides one run and nothing else, so its run's first event is the next in the log
    after = await log.read_position(position + 1)
    if after is None:
        return known
    run = decode(after.type, after.data)
    assert isinstance(run, WorkflowTriggered), f"position {position + 1} is no {WorkflowTriggered.__name__}"
    return msgspec.structs.replace(known, run=run, run_position=after.position)
