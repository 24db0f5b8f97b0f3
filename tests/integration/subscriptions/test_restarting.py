"""What a subscription's next owner knows of it, and what was answered to the last one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flowforge.command import Command
from flowforge.events import SubscriptionFilter, SubscriptionSaved, encode

from infra.calls import Calls, Targets
from infra.eventlog import Append, EventLog, NewEvent, PostgresEventLog, StreamAppend
from infra.secrets import MemorySecrets, Secret, SecretKey, owner_of_subscription
from services.subscriptions.choosing import Chooser
from services.subscriptions.delivering import Deliverer, Tools
from services.subscriptions.lanes import Owed
from services.subscriptions.loaded import Loaded, folded, stream_of
from services.subscriptions.posting import Poster
from services.subscriptions.recent import Recent
from services.subscriptions.retries import Attempt
from services.subscriptions.settings import ANSWER_BYTES_MAX, IN_FLIGHT_MAX
from services.subscriptions.store import Counts, Cursor, Ended, Store

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECRET = "whsec_" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"
TOGETHER_WAIT_S = 0.3
"""So long a receiver waits for a second post before it answers the first."""


@pytest.fixture
async def log(service_dsn: str) -> AsyncIterator[PostgresEventLog]:
    async with await PostgresEventLog.connect(service_dsn) as opened:
        yield opened


@pytest.fixture
async def store(service_dsn: str) -> AsyncIterator[Store]:
    opened = Store(service_dsn)
    yield opened
    await opened.close()


class Receiver:
    """Refuses every post, and notes how many came together."""

    def __init__(self) -> None:
        self.count = self.open_count = self.together_max = self._together = 0
        self._more = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_count += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # who posts may be stopped at any time
                await reader.readuntil(b"\r\n\r\n")
                await self._refuse(writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self.open_count -= 1

    async def _refuse(self, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        self._together += 1
        self.together_max = max(self.together_max, self._together)
        if self._together > 1:
            self._more.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOGETHER_WAIT_S):
                await self._more.wait()
        self._together -= 1
        writer.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()


async def owing(log: EventLog, store: Store, url: str) -> tuple[Loaded, list[Owed]]:
    """A subscription that is owed an event of each of several runs."""
    runs = [UUID(int=0x019CA9452B5D764FBE2E79B6B73F5000 + number) for number in range(IN_FLIGHT_MAX)]
    first = NewEvent("WorkflowTriggered", b'{"workflow_id": "daily"}')
    saved = SubscriptionSaved(
        subscription_id="s", subscription_version=1, url=url, name="", filter=SubscriptionFilter(), secret_ref="f"
    )
    given = StreamAppend("subscription", stream_of("s"), 0, [NewEvent("SubscriptionSaved", encode(saved))])
    await log.append([Append([given], AT)])
    await log.append([Append([StreamAppend("run", run_id, 0, [first])], AT) for run_id in runs])
    loaded = folded(await log.read_stream(stream_of("s")))
    events = await log.read(loaded.position)
    owed = [Owed(event.position, event.event_id, event.type, event.stream_id, "daily") for event in events]
    await store.begin("s", Cursor(loaded.position, loaded.position))
    await store.owe("s", events[-1].position, owed)
    return loaded, owed


def tools_of(log: EventLog, store: Store, poster: Poster, told: list[Command]) -> Tools:
    return Tools(
        log,
        store,
        Recent(log),
        poster,
        asyncio.Semaphore(100),
        [600.0] * 5,
        told.append,
        lambda: datetime.now(UTC),
        Chooser(),
    )


async def test_after_a_restart_a_receiver_that_fails_is_asked_one_post_at_a_time(log: EventLog, store: Store):
    receiver, secrets = Receiver(), MemorySecrets(SecretKey(bytes(range(32))))
    await secrets.put([Secret(owner_of_subscription("s"), "f", SECRET)])
    poster = Poster(Calls(Targets(["127.0.0.0/8"]), ANSWER_BYTES_MAX), secrets, "flowforge", lambda: datetime.now(UTC))
    told: list[Command] = []
    async with await asyncio.start_server(receiver.answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        loaded, owed = await owing(log, store, url)
        owed[0].tried(Attempt(AT, 500, 5, "no"))
        await store.settle("s", [Ended(owed[0], "pending", None)], Counts(failing_since=AT))
        tools = tools_of(log, store, poster, told)
        delivering = asyncio.create_task(Deliverer(loaded, tools).run())
        async with asyncio.timeout(10):
            while receiver.count < 3:
                await asyncio.sleep(0.01)
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering
        async with asyncio.timeout(10):
            while receiver.open_count:
                await asyncio.sleep(0.01)
    assert receiver.together_max == 1


async def test_how_a_receiver_stands_outlives_the_process_until_an_order_begins_anew(log: EventLog, store: Store):
    _, owed = await owing(log, store, "http://127.0.0.1:9/")
    arrived = AT + timedelta(seconds=5)
    await store.settle("s", [Ended(owed[0], "delivered", arrived)], Counts(1, 0, arrived, None, None))
    await store.settle("s", [Ended(owed[1], "pending", None)], Counts(failing_since=AT))
    known = await store.cursor("s")
    assert known is not None
    assert (known.last_delivered_at, known.failing_since) == (arrived, AT)
    await store.begin("s", Cursor(known.position, known.position))
    begun = await store.cursor("s")
    assert begun is not None
    assert (begun.last_delivered_at, begun.failing_since) == (arrived, None)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\x00",
        b"HTTP/1.1 503 No\r\nRetry-After: Sat, 31 Jan 2026 12:00:00 +99999999999999999999\r\nConnection: close\r\n\r\n",
    ],
    ids=["a character zero", "a time that is none"],
)
async def test_whatever_a_receiver_answers_is_an_attempt_that_is_counted(log: EventLog, store: Store, answer: bytes):
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    secrets = MemorySecrets(SecretKey(bytes(range(32))))
    await secrets.put([Secret(owner_of_subscription("s"), "f", SECRET)])
    poster = Poster(Calls(Targets(["127.0.0.0/8"]), ANSWER_BYTES_MAX), secrets, "flowforge", lambda: datetime.now(UTC))
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        loaded, _ = await owing(log, store, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        delivering = asyncio.create_task(Deliverer(loaded, tools_of(log, store, poster, [])).run())
        async with asyncio.timeout(5):
            while not delivering.done() and not any(row["attempts"] for row in await store.page("s", None, 2**62, 50)):
                await asyncio.sleep(0.01)
        assert not delivering.done(), delivering.exception()
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering
