"""Server-sent events (HTML Living Standard, 9.2): one message per logged event, `event:` its type, `id:` its position.

A client that comes back with `Last-Event-ID` goes on where it was. A run's stream ends after the run's ending (of a
run that was retried, the last); to a client that has heard it the answer is 204: an EventSource need not come again.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

import msgspec
from flowforge.events import RUN_ENDINGS
from litestar import Response, Router, get
from litestar.params import Parameter
from litestar.response import Stream

from infra.eventlog import StoredEvent
from infra.http.authentication import VIEWER
from infra.http.described import STREAMED
from infra.http.problems import bad_request, not_found
from services.projections.api.reads import Reads
from services.projections.api.workflows import newest_version
from services.projections.streams import logged_event

MEDIA_TYPE = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_HELLO, _KEEP_ALIVE = b": connected\n\n", b": still here\n\n"
_ID_DIGITS_MAX = 18
_TURNS = RUN_ENDINGS | {"RunRetryRequested"}
_NO_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
LastEventId = Annotated[str | None, Parameter(header="Last-Event-ID")]


@get("/{run_id:uuid}/stream", opt=VIEWER | STREAMED)
async def stream_run(reads: Reads, run_id: UUID, last_event_id: LastEventId = None) -> Response[None] | Stream:
    """A run's events from its first one, or from after `Last-Event-ID`, until it has ended."""
    after = await _position(reads, last_event_id)
    events = await reads.log.read_stream(run_id)
    if not events:
        raise not_found("run", run_id)
    last = next((event for event in reversed(events) if event.type in _TURNS), events[0])
    if last.type in RUN_ENDINGS and after is not None and after >= last.position:
        return Response(None, status_code=204)
    told = _until_ended(reads.streams.of_run(run_id, after or 0), last.position)
    return Stream(told, media_type=MEDIA_TYPE, headers=_HEADERS)


async def stream_all(reads: Reads, workflow_id: str | None = None, last_event_id: LastEventId = None) -> Stream:
    """Every event, or those of one workflow and its runs, from now on or from after `Last-Event-ID`."""
    if workflow_id is not None:
        await newest_version(reads, workflow_id)
    after = await _position(reads, last_event_id)
    if after is None:
        after = (await reads.log.head()).position
    return Stream(_for_ever(reads.streams.of_all(workflow_id, after)), media_type=MEDIA_TYPE, headers=_HEADERS)


async def _position(reads: Reads, last_event_id: str | None) -> int | None:
    """Raises a 400 `Problem` for an id that this log never gave."""
    if last_event_id is None or last_event_id == "":
        return None
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= _ID_DIGITS_MAX):
        raise bad_request("header.Last-Event-ID", f"'{last_event_id[:40]}' is no position")
    position, head = int(last_event_id), (await reads.log.head()).position
    if position > head:
        raise bad_request(
            "header.Last-Event-ID", f"{position} lies beyond the end of this log ({head}): it comes from another one"
        )
    return position


async def _until_ended(events: AsyncIterator[StoredEvent | None], since_position: int) -> AsyncIterator[bytes]:
    """An ending before `since_position` was not the last: the run was retried."""
    yield _HELLO
    async with aclosing(events) as following:  # type: ignore[type-var]
        async for event in following:
            yield message(event)
            if event is not None and event.type in RUN_ENDINGS and event.position >= since_position:
                return


async def _for_ever(events: AsyncIterator[StoredEvent | None]) -> AsyncIterator[bytes]:
    yield _HELLO
    async with aclosing(events) as following:  # type: ignore[type-var]
        async for event in following:
            yield message(event)


def message(event: StoredEvent | None) -> bytes:
    """The event as one message; a comment for None. JSON has line ends only where it may have blanks."""
    if event is None:
        return _KEEP_ALIVE
    data = msgspec.json.encode(logged_event(event)).translate(_NO_LINE_ENDS)
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.type.encode(), event.position, data)


def routers() -> list[Router]:
    """The wide stream; that of a run is among the runs."""
    return [Router("/api", route_handlers=[get("/stream", opt=VIEWER | STREAMED)(stream_all)], tags=["streams"])]
