"""Server-sent events (HTML Living Standard, 9.2): one message per logged event, `event:` its type, `id:` its position.

A client that comes back with `Last-Event-ID` goes on where it was. A run's stream ends after the run's ending (of a
run that was retried, the last); to a client that has heard it the answer is 204: an EventSource need not come again.

Positions mean nothing in another log. Which log this is stands in the header `FlowForge-Incarnation` of every stream;
a client that sends it back is refused where it resumes in another one (restored from a backup, or one that lost its end).
After which position a stream begins stands in `FlowForge-Position`, so that who hears nothing at first can resume, too.
Where a stream goes on without an event for its listener, an `id:` alone is sent now and then, which moves that place.

Events that moved into an archive are told from there. Where it cannot be read the answer is 410, which names it.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated, Any
from uuid import UUID

from flowforge.events import EVENT_TYPES, RUN_ENDINGS
from flowforge.people import PEOPLE
from litestar import Request, Response, Router, get
from litestar.params import Parameter
from litestar.response import Stream

from infra.archive.catalogue import ArchiveUnreadable
from infra.eventlog import StoredEvent
from infra.http.authentication import VIEWER, Principal
from infra.http.described import STREAMED
from infra.http.problems import Problem, bad_request, not_found
from services.projections.api.reads import Reads
from services.projections.api.workflows import newest_version
from services.projections.batches import Batch
from services.projections.settings import STREAM_CHUNK_BYTES_MAX
from services.projections.streams import Told, TooManyListeners

MEDIA_TYPE = "text/event-stream"
INCARNATION, POSITION = "FlowForge-Incarnation", "FlowForge-Position"
RETRY_AFTER_S = 5
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_HELLO, KEEP_ALIVE = b": connected\n\n", b": still here\n\n"
_ID_DIGITS_MAX = 18
_TURNS = RUN_ENDINGS | {"RunRetryRequested", "WorkflowTriggered"}
_log = logging.getLogger(__name__)
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
    with _archives_readable(headers):
        last = await reads.log.read_last(run_id, _TURNS)
        if last is None:
            raise not_found("run", run_id)
        if last.type in RUN_ENDINGS and after is not None and after >= last.position:
            return Response(None, status_code=204, headers=headers)
        version = await reads.streams.version_at(run_id, after or 0)
        if await reads.log.archived([run_id]):
            await reads.log.read_stream(run_id, version, reads.limits.stream_page_count)
    teller = _Teller(wanted, after or 0, reads.limits.stream_keep_alive_s)
    told = _until_ended(reads.streams.of_run(run_id, after or 0, version), last.position, teller)
    return _streamed(reads, told, headers, after or 0)


async def stream_all(
    request: Request[Principal, Any, Any],
    reads: Reads,
    workflow_id: Annotated[str | None, Parameter(description="only events of this workflow and its runs")] = None,
    last_event_id: LastEventId = None,
    incarnation: Incarnation = None,
    types: Types = None,
) -> Stream:
    """Every event, or those of one workflow and its runs, from now on or from after `Last-Event-ID`. What happens to users
    and keys is told to administrators."""
    wanted = _types(types)
    if workflow_id is not None:
        await newest_version(reads, workflow_id)
    after, headers = await _resumed(reads, last_event_id, incarnation)
    if after is None:
        after = (await reads.log.head()).position
    elif after < await reads.log.archived_until():
        with _archives_readable(headers):
            await reads.log.read(after, reads.limits.stream_page_count)
    teller = _Teller(wanted, after, reads.limits.stream_keep_alive_s, tells_people=request.user.is_admin)
    return _streamed(reads, _for_ever(reads.streams.of_all(workflow_id, after), teller), headers, after)


@contextmanager
def _archives_readable(headers: dict[str, str]) -> Generator[None]:
    """What is told first is read once before the answer begins, where it is in archives: a stream that has begun could
    not say why it ends. Raises a 410 `Problem`."""
    try:
        yield
    except ArchiveUnreadable as fault:
        raise Problem(
            410,
            f"what comes next in this stream is in an archive: {fault}; or begin anew without Last-Event-ID, and hear what "
            "happens from now on",
            code="ARCHIVE_UNREADABLE",
            title="In an archive that cannot be read",
            headers=headers,
        ) from fault


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


class _Teller:
    """What is sent of a stream. Where that is nothing for long, a comment, and an `id:` alone if the stream went on without
    an event for this listener: who comes again then begins there, and what was in between is not read again."""

    def __init__(
        self, types: Collection[str] | None, after: int, keep_alive_s: float, *, tells_people: bool = False
    ) -> None:
        self._types = types
        self._tells_people = tells_people
        self._position = self._told_position = after
        self._silence_s = keep_alive_s / 2
        self._sent_at_s = time.monotonic()

    def of(self, told: Told) -> Iterator[bytes]:
        """As a rule all in one go."""
        if isinstance(told, Batch):
            self._position = told.events[-1].position
            is_whole = self._types is None and (self._tells_people or not told.has_people)
            batch = told if is_whole else told.where(self._is_wanted)
            if batch.events:
                self._told_position = batch.events[-1].position
                self._sent_at_s = time.monotonic()
                yield from _chunks(batch)
                return
        else:
            self._position = max(self._position, told)
        if time.monotonic() - self._sent_at_s >= self._silence_s:
            self._sent_at_s = time.monotonic()
            yield KEEP_ALIVE + self.moved()

    def moved(self) -> bytes:
        """An `id:` without an event, where the listener is behind the stream."""
        if self._position <= self._told_position:
            return b""
        self._told_position = self._position
        return b"id: %d\n\n" % self._position

    def _is_wanted(self, event: StoredEvent) -> bool:
        is_told = self._tells_people or event.stream_type != PEOPLE
        return is_told and (self._types is None or event.type in self._types)


async def _until_ended(stream: AsyncIterator[Told], since_position: int, teller: _Teller) -> AsyncIterator[bytes]:
    """An ending before `since_position` was not the last: the run was retried."""

    def until_ending(told: Told) -> tuple[Told, bool]:
        last = _ending(told, since_position)
        if last is None or not isinstance(told, Batch):
            return told, False
        return told.where(lambda event: event.position <= last), True

    async for chunk in _sent(stream, teller, until_ending):
        yield chunk


def _ending(told: Told, since_position: int) -> int | None:
    events = told.events if isinstance(told, Batch) else ()
    endings = (event.position for event in events if event.type in RUN_ENDINGS and event.position >= since_position)
    return next(endings, None)


async def _for_ever(stream: AsyncIterator[Told], teller: _Teller) -> AsyncIterator[bytes]:
    async for chunk in _sent(stream, teller, lambda told: (told, False)):
        yield chunk


async def _sent(
    stream: AsyncIterator[Told], teller: _Teller, cut: Callable[[Told], tuple[Told, bool]]
) -> AsyncIterator[bytes]:
    """`cut` gives what of it is told, and whether that was the last. A stream that ends names how far it has come: an
    ending that was not wanted has been told, too, and its id is answered with 204."""
    yield _HELLO
    try:
        async with aclosing(stream) as following:  # type: ignore[type-var]
            async for each in following:
                told, is_last = cut(each)
                for chunk in teller.of(told):
                    yield chunk
                if is_last:
                    break
    except TooManyListeners:
        return  # between the look and the beginning others came: the client comes again
    except ArchiveUnreadable as fault:
        _log.warning("a live stream ends: %s", fault)  # the client comes again, and is told
    if moved := teller.moved():
        yield moved


def _chunks(batch: Batch) -> Iterator[bytes]:
    if batch.size_bytes <= STREAM_CHUNK_BYTES_MAX:
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
