"""An event that a node waits for reaches its run, also when the process ends between the two."""

from types import SimpleNamespace
from typing import cast
from uuid import UUID

import msgspec
import pytest
from flowforge.events import Event, EventReceived, EventWait, NodeCompleted, NodeWaiting, encode
from flowforge.identity import derived_uuid

from infra.eventlog import Append, MemoryEventLog, NewEvent, StreamAppend
from services.execution import waits
from services.execution.state import Run
from services.execution.waits import EventCame, Waits
from tests.unit.execution.given import NOW

RUN, OTHER = derived_uuid(NOW, "run", 1), derived_uuid(NOW, "run", 2)
INBOX = derived_uuid(NOW, "inbox", 1)
CURSOR = "waits:execution"


@pytest.fixture(autouse=True)
def kept_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "WAITS_KEPT_EVERY_S", 0)


class House:
    """A log, and one process after the other that reads it for the runs that are open."""

    def __init__(self) -> None:
        self.log = MemoryEventLog()
        self.came: list[EventCame] = []
        self.is_owner = True
        self.restart()

    def restart(self) -> None:
        self.came.clear()
        self.waits = Waits(self.log, lambda came, _: self.came.append(came), is_owner=lambda: self.is_owner)

    async def tell(self, stream: UUID, kind: str, event: Event) -> int:
        version = len(await self.log.read_stream(stream))
        new = [NewEvent(type(event).__name__, encode(event))]
        await self.log.append([Append([StreamAppend(kind, stream, version, new)], NOW)])
        return (await self.log.head()).position

    async def begins_to_wait(self, run: UUID, event_type: str = "order.paid") -> None:
        await self.tell(run, "run", NodeWaiting(node_id="w", attempt=1, wait=EventWait(event_type=event_type)))

    async def receives(self, event_id: str, event_type: str = "order.paid") -> int:
        event = EventReceived(id=event_id, source="/shop", type=event_type, data=msgspec.Raw(b"{}"))
        return await self.tell(INBOX, "inbox", event)

    async def looked(self, *open_runs: UUID) -> list[tuple[UUID, str]]:
        """What was offered since the last look."""
        self.came.clear()
        await self.waits.look(open_runs)
        return [(came.run_id, came.event["id"]) for came in self.came]


@pytest.fixture
def house() -> House:
    return House()


def of(run_id: UUID) -> Run:
    """The run as `Waits` knows it, with nothing in it that waits."""
    return cast("Run", SimpleNamespace(id=run_id, find=lambda *_: None))


async def test_an_event_is_offered_to_those_that_wait_for_its_type_since_before_it_came(house: House):
    await house.receives("early")
    await house.begins_to_wait(RUN)
    await house.begins_to_wait(OTHER, "order.*")
    await house.receives("a")
    await house.receives("b", "order.sent")
    assert await house.looked(RUN, OTHER) == [(RUN, "a"), (OTHER, "a"), (OTHER, "b")]
    assert await house.looked() == []


async def test_what_was_offered_and_not_answered_is_offered_again_after_a_restart(house: House):
    await house.begins_to_wait(RUN)
    await house.receives("a")
    await house.receives("b")
    assert await house.looked(RUN) == [(RUN, "a"), (RUN, "b")]
    await house.looked()
    house.restart()
    assert await house.looked(RUN) == [(RUN, "a"), (RUN, "b")]


async def test_what_all_runs_have_answered_is_not_read_again(house: House):
    await house.begins_to_wait(RUN)
    await house.begins_to_wait(OTHER)
    first = await house.receives("a")
    second = await house.receives("b")
    await house.looked(RUN, OTHER)
    offers = [came.offer for came in house.came]
    house.waits.answered(offers[:1])
    await house.looked()
    assert await house.log.get_cursor(CURSOR) == first - 1
    house.waits.answered(offers[1:3])
    await house.looked()
    assert await house.log.get_cursor(CURSOR) == second - 1
    house.waits.answered(offers[3:])
    await house.looked()
    assert await house.log.get_cursor(CURSOR) == second
    house.restart()
    assert await house.looked(RUN, OTHER) == []


async def test_nobody_is_offered_anything_once_its_node_has_ended(house: House):
    await house.begins_to_wait(RUN)
    await house.looked(RUN)
    ended = NodeCompleted(node_id="w", attempt=1)
    position = await house.tell(RUN, "run", ended)

    house.waits.note(of(RUN), [ended], position)
    await house.receives("late")
    assert await house.looked() == []


async def test_a_later_attempt_that_waits_for_another_type_is_offered_only_that_after_a_restart(house: House):
    await house.begins_to_wait(RUN, "order.paid")
    await house.begins_to_wait(RUN, "order.sent")
    await house.begins_to_wait(OTHER, "order.paid")
    assert await house.looked(RUN, OTHER) == []
    ended = NodeCompleted(node_id="w", attempt=1)
    position = await house.tell(RUN, "run", ended)
    house.waits.note(of(RUN), [ended], position)
    await house.receives("a")
    await house.receives("b", "order.sent")
    assert await house.looked() == [(OTHER, "a")]


async def test_one_that_is_the_owner_no_more_hides_no_event_from_the_next_owner(house: House):
    await house.begins_to_wait(OTHER, "order.sent")
    await house.looked(OTHER)
    house.is_owner = False  # and what the next owner logs is not noted here
    await house.begins_to_wait(RUN)
    await house.receives("a")
    await house.receives("b", "order.sent")
    assert await house.looked() == []
    house.is_owner = True
    house.restart()
    assert await house.looked(RUN, OTHER) == [(RUN, "a"), (OTHER, "b")]


async def test_a_node_that_has_ended_before_a_restart_is_offered_one_event_and_no_other(house: House):
    await house.begins_to_wait(RUN)
    await house.tell(RUN, "run", NodeCompleted(node_id="w", attempt=1))
    await house.begins_to_wait(OTHER)
    await house.receives("a")
    assert await house.looked(RUN, OTHER) == [(RUN, "a"), (OTHER, "a")]
    house.waits.answered([house.came[0].offer], of(RUN))
    await house.receives("b")
    assert await house.looked() == [(OTHER, "b")]
