"""Appending what a turn decided, and what is put aside: a log that does not answer is waited for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from infra.eventlog import Answer, Append, Appended, EventLog, StoredEvent, Unavailable
from infra.telemetry.measures import MEASURES

UNAVAILABLE_WAIT_S = (0.05, 0.1, 0.2, 0.5, 1.0)
_log = logging.getLogger(__name__)


class Appending:
    """For one service. `on_doubt` is called where an earlier try was carried out after it was reported as failed."""

    def __init__(self, log: EventLog, service: str, on_doubt: Callable[[], Awaitable[None]]) -> None:
        self._event_log = log
        self._service = service
        self._on_doubt = on_doubt

    async def append(self, groups: list[Append]) -> list[Answer]:
        """An unknown outcome meets its own past at the next decision. Raises Unavailable after some tries, ValueError for
        what no log could take."""
        try:
            return await self._event_log.append(groups)
        except Unavailable as fault:
            answers = await self._again(groups, fault)
        if not all(isinstance(answer, Appended) for answer in answers):
            await self._on_doubt()
        return answers

    async def _again(self, groups: list[Append], fault: Unavailable) -> list[Answer]:
        for wait_s in UNAVAILABLE_WAIT_S:
            MEASURES.add("appends_failed_total")
            _log.warning("%s: append failed, trying again: %s", self._service, fault)
            await asyncio.sleep(wait_s)
            try:
                return await self._event_log.append(groups)
            except Unavailable as again:
                fault = again
        raise fault


def stored_events(append: Append, answer: Appended) -> list[StoredEvent]:
    """What the log has of a group now."""
    events: list[StoredEvent] = []
    for stream, first in zip(append.streams, answer.positions, strict=True):
        version = stream.expected_version
        for offset, event in enumerate(stream.events):
            events.append(
                StoredEvent(
                    first + offset,
                    stream.stream_type,
                    stream.stream_id,
                    version + offset + 1,
                    event.type,
                    event.schema_version,
                    event.data,
                    append.correlation_id,
                    append.causation_id,
                    append.actor,
                    append.traceparent,
                    append.recorded_at,
                )
            )
    return events
