"""Sharing commits: who waits with whom, and whose mistake is whose."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from infra.eventlog import Answer, Append, Appended, NewEvent, StreamAppend, Unavailable
from infra.eventlog.checks import checked_streams
from infra.eventlog.commits import COMMIT_EVENTS_MAX, Commits

AT = datetime(2026, 11, 21, tzinfo=UTC)


def group(stream_id: UUID | None = None, events_count: int = 1, data: bytes = b"{}") -> Append:
    events = [NewEvent("Happened", data)] * events_count
    return Append([StreamAppend("thing", stream_id or uuid4(), 0, events)], AT)


class Disk:
    """Where commits go: each takes until it is let through, and answers with the number of the commit."""

    def __init__(self) -> None:
        self.commits: list[Sequence[Append]] = []
        self.let_through = asyncio.Semaphore(0)
        self.arrived = asyncio.Semaphore(0)

    async def commit(self, groups: Sequence[Append]) -> list[Answer]:
        self.commits.append(groups)
        number = len(self.commits)
        self.arrived.release()
        await self.let_through.acquire()
        if any(event.data == b"unavailable" for group in groups for event in group.streams[0].events):
            raise Unavailable("the disk is gone")
        if any(event.data == b"mistake" for group in groups for event in group.streams[0].events):
            raise ValueError("not JSON")
        return [Appended([number]) for _ in groups]


class Callers:
    def __init__(self) -> None:
        self.disk = Disk()
        self.commits = Commits(self.disk.commit)

    def call(self, *groups: Append) -> "asyncio.Task[list[Answer]]":
        return asyncio.create_task(self.commits.append(groups, checked_streams(groups)))

    async def while_a_commit_is_under_way(self) -> "asyncio.Task[list[Answer]]":
        first = self.call(group())
        await self.disk.arrived.acquire()
        return first

    def let_all_through(self) -> None:
        for _ in range(100):
            self.disk.let_through.release()


async def test_a_lone_caller_is_committed_at_once_and_alone():
    callers = Callers()
    callers.let_all_through()
    assert await callers.call(group()) == [Appended([1])]
    assert [len(groups) for groups in callers.disk.commits] == [1]


async def test_who_comes_while_a_commit_is_under_way_shares_the_next_one():
    callers = Callers()
    first = await callers.while_a_commit_is_under_way()
    others = [callers.call(group()), callers.call(group(), group()), callers.call(group())]
    callers.let_all_through()
    assert await first == [Appended([1])]
    assert [await other for other in others] == [[Appended([2])], [Appended([2])] * 2, [Appended([2])]]
    assert [len(groups) for groups in callers.disk.commits] == [1, 4]


async def test_callers_of_one_stream_do_not_share_a_commit_and_keep_their_order():
    callers = Callers()
    first = await callers.while_a_commit_is_under_way()
    contested = uuid4()
    others = [callers.call(group(contested)), callers.call(group(contested)), callers.call(group())]
    callers.let_all_through()
    assert [await other for other in (first, *others)] == [
        [Appended([1])],
        [Appended([2])],
        [Appended([3])],
        [Appended([3])],
    ]


async def test_a_commit_takes_no_more_callers_once_it_is_full_but_a_large_call_goes_whole():
    callers = Callers()
    first = await callers.while_a_commit_is_under_way()
    others = [callers.call(group(events_count=COMMIT_EVENTS_MAX + 1)), callers.call(group()), callers.call(group())]
    callers.let_all_through()
    await asyncio.gather(first, *others)
    assert [len(groups) for groups in callers.disk.commits] == [1, 1, 2]


async def test_the_mistake_of_one_caller_is_his_alone():
    callers = Callers()
    first = await callers.while_a_commit_is_under_way()
    right, mistaken = callers.call(group()), callers.call(group(data=b"mistake"))
    callers.let_all_through()
    assert await first == [Appended([1])]
    assert await right == [Appended([3])]
    with pytest.raises(ValueError, match="not JSON"):
        await mistaken


async def test_a_lost_disk_is_told_to_everybody_who_shared_the_commit_and_the_next_one_is_tried():
    callers = Callers()
    first = await callers.while_a_commit_is_under_way()
    sharing = [callers.call(group(data=b"unavailable")), callers.call(group())]
    callers.let_all_through()
    assert await first == [Appended([1])]
    for lost in await asyncio.gather(*sharing, return_exceptions=True):
        assert isinstance(lost, Unavailable)
    assert await callers.call(group()) == [Appended([3])]


async def test_a_caller_who_gives_up_spoils_nothing_for_the_others():
    callers = Callers()
    first = await callers.while_a_commit_is_under_way()
    gone, stays = callers.call(group()), callers.call(group())
    await asyncio.wait([gone], timeout=0)
    gone.cancel()
    await asyncio.wait([gone])
    first.cancel()
    callers.let_all_through()
    assert await stays == [Appended([2])]
    assert [len(groups) for groups in callers.disk.commits] == [1, 1]


async def test_finishing_waits_for_whoever_is_still_waiting():
    callers = Callers()
    first = await callers.while_a_commit_is_under_way()
    second = callers.call(group())
    await asyncio.wait([second], timeout=0)
    callers.let_all_through()
    await callers.commits.finish()
    assert first.done()
    assert second.done()
