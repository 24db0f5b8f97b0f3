"""What is dealt with is acknowledged together, soon, and each message once."""

import asyncio
from collections.abc import Sequence

from flowforge.envelope import CloudEvent

from infra.bus import Message
from infra.bus.acknowledging import ACKNOWLEDGED_AFTER_S, ACKNOWLEDGED_TOGETHER_MAX, Acknowledgements


class Queue:
    def __init__(self) -> None:
        self.acknowledged: list[list[str]] = []
        self._more = asyncio.Event()

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged.append([message.reply_to for message in messages])
        self._more.set()

    async def hears(self, count: int) -> list[list[str]]:
        async with asyncio.timeout(50 * ACKNOWLEDGED_AFTER_S):
            while len(self.acknowledged) < count:
                self._more.clear()
                await self._more.wait()
        return self.acknowledged


def messages(*replies: str) -> list[Message]:
    event = CloudEvent(id="1", source="/test", type="Happened")
    return [Message("reports.1", b"", event, "stream", reply) for reply in replies]


async def test_what_is_dealt_with_within_a_moment_is_acknowledged_together():
    queue = Queue()
    acknowledgements = Acknowledgements(queue.acknowledge)
    await acknowledgements.due(messages("a"))
    await acknowledgements.due(messages("b", "c"))
    assert queue.acknowledged == []
    assert await queue.hears(1) == [["a", "b", "c"]]


async def test_after_an_acknowledgement_the_next_one_comes_as_soon():
    queue = Queue()
    acknowledgements = Acknowledgements(queue.acknowledge)
    await acknowledgements.due(messages("a"))
    await queue.hears(1)
    await acknowledgements.due(messages("b"))
    assert await queue.hears(2) == [["a"], ["b"]]


async def test_many_messages_wait_for_nothing():
    queue = Queue()
    replies = [str(number) for number in range(ACKNOWLEDGED_TOGETHER_MAX)]
    await Acknowledgements(queue.acknowledge).due(messages(*replies))
    assert queue.acknowledged == [replies]


async def test_the_rest_is_acknowledged_before_the_end_and_not_again():
    queue = Queue()
    acknowledgements = Acknowledgements(queue.acknowledge)
    await acknowledgements.due(messages("a"))
    await acknowledgements.tell_rest()
    await acknowledgements.tell_rest()
    assert queue.acknowledged == [["a"]]
