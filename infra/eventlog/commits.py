"""Sharing commits: who comes while a commit is under way goes with the next one. A lone caller waits for nobody."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import msgspec

from infra.eventlog.types import Answer, Append

COMMIT_EVENTS_MAX = 2000
"""More callers are not added to a commit of so many events; a single call may be larger."""


class _Waiting(msgspec.Struct, eq=False):
    groups: Sequence[Append]
    stream_ids: set[UUID]
    events_count: int
    answers: "asyncio.Future[list[Answer]]"


class Commits:
    """Callers, and the one task that commits for them, in the order in which they came."""

    def __init__(self, commit: Callable[[Sequence[Append]], Awaitable[list[Answer]]]) -> None:
        self._commit = commit
        self._waiting: deque[_Waiting] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def append(self, groups: Sequence[Append], stream_ids: set[UUID]) -> list[Answer]:
        """The answers to these groups; whatever the commit raised. A caller who gives up spoils nothing for others."""
        events_count = sum([len(stream.events) for group in groups for stream in group.streams])
        answers: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(groups, stream_ids, events_count, answers))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all(), name="eventlog commits")
        return await answers

    async def finish(self) -> None:
        """Return when nobody waits for a commit any more."""
        if self._committing is not None:
            await asyncio.wait([self._committing])

    async def _commit_all(self) -> None:
        while self._waiting:
            callers = self._next()
            if callers:
                await self._commit_for(callers)

    def _next(self) -> list[_Waiting]:
        """The callers of the next commit. Nobody shares one with a caller who names the same stream: it comes after."""
        callers: list[_Waiting] = []
        stream_ids: set[UUID] = set()
        events_count = 0
        while self._waiting:
            caller = self._waiting[0]
            if not caller.answers.cancelled():
                is_over = events_count + caller.events_count > COMMIT_EVENTS_MAX
                if callers and (is_over or not stream_ids.isdisjoint(caller.stream_ids)):
                    break
                callers.append(caller)
                stream_ids |= caller.stream_ids
                events_count += caller.events_count
            self._waiting.popleft()
        return callers

    async def _commit_for(self, callers: list[_Waiting]) -> None:
        groups = callers[0].groups if len(callers) == 1 else [group for caller in callers for group in caller.groups]
        try:
            answers = await self._commit(groups)
        except ValueError as error:
            await self._find_the_mistaken(callers, error)
        except Exception as error:  # noqa: BLE001 - handed to those who wait for it
            _fail(callers, error)
        else:
            _answer(callers, answers)

    async def _find_the_mistaken(self, callers: list[_Waiting], error: ValueError) -> None:
        if len(callers) == 1:
            _fail(callers, error)
            return
        for caller in callers:
            await self._commit_for([caller])


def _answer(callers: list[_Waiting], answers: list[Answer]) -> None:
    first = 0
    for caller in callers:
        if not caller.answers.done():
            caller.answers.set_result(answers[first : first + len(caller.groups)])
        first += len(caller.groups)


def _fail(callers: list[_Waiting], error: Exception) -> None:
    for caller in callers:
        if not caller.answers.done():
            caller.answers.set_exception(error)
