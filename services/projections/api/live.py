"""Server-sent events (HTML Living Standard, 9.2): one message per logged event, `event:` its type, `id:` its position.

A client that comes back with `Last-Event-ID` goes on where it was. A run's stream ends after the run's ending (of a
run that was retried, the last); to a client that has heard it the answer is 204: an EventSource need not come again.

Positions mean nothing in another log. Which log this is stands in the header `FlowForge-Incarnation` of every stream;
a client that sends it back is refused where it resumes in another one (restored from a backup, or one that lost its end).
After which position a stream begins stands in `FlowForge-Position`, so that who hears nothing at first can resume, too.
"""

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from flowforge.events import EVENT_TYPES, RUN_ENDINGS
from litestar import Response, Router, get
from litestar.params import Parameter
from litestar.response import Stream

from infra.http.authentication import VIEWER
from infra.http.described import STREAMED
from infra.http.problems import Problem, bad_request, not_found
from services.projections.api.reads import Reads
from services.projections.api.workflows import newest_version
from services.projections.settings import STREAM_CHUNK_BYTES_MAX
from services.projections.streams import Batch, TooManyListeners

MEDIA_TYPE = "text/event-stream"
INCARNATION, POSITION = "FlowForge-Incarnation", "FlowForge-Position"
RETRY_AFTER_S = 5
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_HELLO, KEEP_ALIVE = b": connected\n\n", b": still here\n\n"
_ID_DIGITS_MAX = 18
_TURNS = RUN_ENDINGS | {"RunRetryRequested"}
LastEventId = Annotated[
    str | None,
    Parameter(header="Last-Event-ID", description="go on after this position, the `id:` of what was heard last"),
]
Incarnation = Annotated[
    str | None,
    Parameter(header=INCARNATION, description="the log that Last-Event-ID is of, as an earlier answer named it"),
]
Types = Annotated[
    str | None, Parameter(query="types", description="only events of these types, separated by commas; without it, all")
]


@get("/{run_id:uuid}/stream", opt=VIEWER | STREAMED)
async def stream_run(
    reads: Reads,
    run_id: UUID,
    last_event_id: LastEventId = None,
    incarnation: Incarnation = None,
    types: Types = None,
) -> Response[None] | Stream:
    """A run's events from its first one, or from after `Last-Event-ID`, until it has ended."""
    wanted = _types(types)
    after, headers = await _resumed(reads, last_event_id, incarnation)
    events = await reads.log.read_stream(run_id)
    if not events:
        raise not_found("run", run_id)
    last = next((event for event in reversed(events) if event.type in _TURNS), events[0])
    if last.type in RUN_ENDINGS and after is not None and after >= last.position:
        return Response(None, status_code=204, headers=headers)
    told = _until_ended(reads.streams.of_run(run_id, after or 0), last.position, wanted)
    return _streamed(reads, told, headers, after or 0)


async def stream_all(
    reads: Reads,
    workflow_id: Annotated[str | None, Parameter(description="only events of this workflow and its runs")] = None,
    last_event_id: LastEventId = None,
    incarnation: Incarnation = None,
    types: Types = None,
) -> Stream:
    """Every event, or those of one workflow and its runs, from now on or from after `Last-Event-ID`."""
    wanted = _types(types)
    if workflow_id is not None:
        await newest_version(reads, workflow_id)
    after, headers = await _resumed(reads, last_event_id, incarnation)
    if after is None:
        after = (await reads.log.head()).position
    return _streamed(reads, _for_ever(reads.streams.of_all(workflow_id, after), wanted), headers, after)


def _streamed(reads: Reads, told: AsyncIterator[bytes], headers: dict[str, str], after: int) -> Stream:
    if reads.streams.is_full:
        raise Problem(
            503,
            f"{reads.limits.listeners_max:,} live streams are open, as many as one server has; close one, or come again",
            code="TOO_MANY_STREAMS",
            title="Too many live streams",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )
    return Stream(told, media_type=MEDIA_TYPE, headers={**_HEADERS, **headers, POSITION: str(after)})


def _types(given: str | None) -> Collection[str] | None:
    """None: all. Raises a 400 `Problem` for what is no type of event."""
    if given is None:
        return None
    names = frozenset(filter(None, (name.strip() for name in given.split(","))))
    unknown = sorted(names - EVENT_TYPES.keys())
    if unknown or not names:
        raise bad_request("query.types", f"'{(unknown or [given])[0][:60]}' is no type of event, such as RunCompleted")
    return names


async def _resumed(
    reads: Reads, last_event_id: str | None, incarnation: str | None
) -> tuple[int | None, dict[str, str]]:
    """Where to go on, and the header that names this log. Raises a 400 `Problem` for an id that this log never gave, and
    409 for one of another log."""
    head = await reads.log.head()
    headers = {INCARNATION: str(head.incarnation)}
    if last_event_id is None or last_event_id == "":
        return None, headers
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= _ID_DIGITS_MAX):
        raise bad_request("header.Last-Event-ID", f"'{last_event_id[:40]}' is no position")
    if incarnation is not None and incarnation != headers[INCARNATION]:
        raise Problem(
            409,
            f"position {last_event_id} is of another log ({incarnation[:40]}) than this one ({head.incarnation}), which "
            "was restored or has lost its end: begin anew, without Last-Event-ID",
            code="LOG_CHANGED",
            title="Another log",
            headers=headers,
        )
    position = int(last_event_id)
    if position > head.position:
        raise bad_request(
            "header.Last-Event-ID",
            f"{position} lies beyond the end of this log ({head.position}): it comes from another one",
        )
    return position, headers


async def _until_ended(
    batches: AsyncIterator[Batch | None], since_position: int, types: Collection[str] | None
) -> AsyncIterator[bytes]:
    """An ending before `since_position` was not the last: the run was retried."""
    yield _HELLO
    try:
        async with aclosing(batches) as following:  # type: ignore[type-var]
            async for batch in following:
                last = None if batch is None else _ending(batch, since_position)
                if last is not None and batch is not None:
                    batch = batch.where(lambda event: event.position <= last)  # noqa: B023, PLW2901
                for chunk in _chunks(batch, types):
                    yield chunk
                if last is not None:
                    if types is not None:  # the ending may not have been told: who comes again with its id hears 204
                        yield b"id: %d\n\n" % last
                    return
    except TooManyListeners:
        return  # between the look and the beginning others came: the client comes again


def _ending(batch: Batch, since_position: int) -> int | None:
    endings = (
        event.position for event in batch.events if event.type in RUN_ENDINGS and event.position >= since_position
    )
    return next(endings, None)


async def _for_ever(batches: AsyncIterator[Batch | None], types: Collection[str] | None) -> AsyncIterator[bytes]:
    yield _HELLO
    try:
        async with aclosing(batches) as following:  # type: ignore[type-var]
            async for batch in following:
                for chunk in _chunks(batch, types):
                    yield chunk
    except TooManyListeners:
        return


def _chunks(batch: Batch | None, types: Collection[str] | None) -> Iterator[bytes]:
    """What is sent of a batch: as a rule all in one go; a comment for silence."""
    if batch is None:
        yield KEEP_ALIVE
        return
    if types is not None:
        batch = batch.where(lambda event: event.type in types)
    if batch.size_bytes <= STREAM_CHUNK_BYTES_MAX:
        if batch.events:
            yield batch.text
        return
    rest: list[bytes] = []
    size = 0
    for text in batch.messages:
        if rest and size + len(text) > STREAM_CHUNK_BYTES_MAX:
            yield b"".join(rest)
            rest, size = [], 0
        rest.append(text)
        size += len(text)
    yield b"".join(rest)


def routers() -> list[Router]:
    """The wide stream; that of a run is among the runs."""
    return [Router("/api", route_handlers=[get("/stream", opt=VIEWER | STREAMED)(stream_all)], tags=["streams"])]
