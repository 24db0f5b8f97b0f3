"""What is meant is chosen in order, and nobody waits for all that is looked at meanwhile."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import UUID

from infra.eventlog import StoredEvent
from services.subscriptions.choosing import Chooser
from services.subscriptions.filters import RunFacts
from services.subscriptions.recent import Told

AT = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunFacts("r", "w")


def told(position: int) -> Told:
    event = StoredEvent(position, "run", UUID(int=1), position, "NodeStarted", 1, b"{}", None, None, None, None, AT)
    return Told(event, RUN)


EVENTS = [told(position) for position in range(1, 101)]


async def test_the_first_that_are_meant_are_chosen_in_their_order():
    chosen = await Chooser().first(EVENTS, lambda each: each.stored.position % 10 == 0, 3)
    assert [each.stored.position for each in chosen] == [10, 20, 30]


async def test_where_fewer_are_meant_all_are_looked_at():
    looked_at: list[int] = []

    def means(each: Told) -> bool:
        looked_at.append(each.stored.position)
        return each.stored.position == 7

    assert len(await Chooser().first(EVENTS, means, 5)) == 1
    assert looked_at == list(range(1, 101))


async def test_others_have_their_turn_again_and_again_while_many_choose():
    """A look takes a millisecond: together they are a second of work, in which others wait for some milliseconds at a time."""
    chooser, waited_s = Chooser(), [0.0]

    def means(_: Told) -> bool:
        time.sleep(0.001)
        return False

    async def somebody() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0)
            waited_s.append(time.monotonic() - before)

    other = asyncio.create_task(somebody())
    await asyncio.gather(*(chooser.first(EVENTS, means, 1) for _ in range(10)))
    other.cancel()
    assert sum(wait > 0.003 for wait in waited_s) > 50
    assert sorted(waited_s)[-3] < 0.1
