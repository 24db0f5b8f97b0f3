"""What the log has of a subscription counts, whoever read it when and whatever was answered."""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from flowforge.command import Command
from flowforge.envelope import CloudEvent
from flowforge.events import SubscriptionDeleted, SubscriptionFilter, SubscriptionSaved, encode
from flowforge.subscribing import CreateSubscription, DeleteSubscription, ReadSubscriptions

from infra.bus import Message, Work
from infra.calls import Calls, Targets
from infra.eventlog import (
    Append,
    Appended,
    Duplicate,
    EventLog,
    MemoryEventLog,
    NewEvent,
    PostgresEventLog,
    StoredEvent,
    StreamAppend,
)
from infra.secrets import MemorySecrets, Secret, SecretKey, owner_of_subscription
from services.subscriptions.handlers import Subscriptions
from services.subscriptions.loaded import stream_of
from services.subscriptions.posting import Poster
from services.subscriptions.settings import ANSWER_BYTES_MAX
from services.subscriptions.store import Store

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECRET = "whsec_" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"
RUN = UUID(int=0x019CA9452B5D764FBE2E79B6B73F5000)


@pytest.fixture
async def store(service_dsn: str) -> AsyncIterator[Store]:
    opened = Store(service_dsn)
    yield opened
    await opened.close()


async def service_of(log: EventLog, store: Store) -> Subscriptions:
    secrets, targets = MemorySecrets(SecretKey(bytes(range(32)))), Targets(["127.0.0.0/8"])
    await secrets.put([Secret(owner_of_subscription("s"), "f", SECRET)])
    poster = Poster(Calls(targets, ANSWER_BYTES_MAX), secrets, "flowforge", lambda: datetime.now(UTC))
    return Subscriptions(log, store, poster, targets, None, [600.0])


def saved(url: str, name: str = "s") -> Append:
    event = SubscriptionSaved(
        subscription_id=name, subscription_version=1, url=url, name="", filter=SubscriptionFilter(), secret_ref="f"
    )
    return Append(
        [StreamAppend("subscription", stream_of(name), 0, [NewEvent("SubscriptionSaved", encode(event))])], AT
    )


def message(command: Command) -> Message:
    kind = type(command).__name__
    event = CloudEvent(id=command.command_id, source="/test", type=kind, data=msgspec.Raw(msgspec.json.encode(command)))
    return Message(f"flowforge.subscriptions.{kind}", b"", event, "command", f"inbox.{command.command_id}")


def creation(name: str) -> Message:
    return message(
        CreateSubscription(command_id=f"create {name}", subscription_id=name, url="http://127.0.0.1:9/", secret_ref="f")
    )


async def decided(service: Subscriptions, *messages: Message) -> list[Work]:
    await service.load([service.key(each) for each in messages], messages)
    return [service.decide(service.key(each), [each]) for each in messages]


async def logged(log: EventLog, work: Work) -> list[StoredEvent]:
    assert work.append is not None
    [answer] = await log.append([work.append])
    assert isinstance(answer, Appended)
    return await log.read_stream(work.append.streams[0].stream_id)


async def test_a_subscription_that_was_logged_though_its_answer_was_lost_is_delivered_to(
    service_dsn: str, store: Store
):
    came = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        writer.write(b"HTTP/1.1 204 Yes\r\nConnection: close\r\n\r\n")
        writer.close()

    async with (
        await PostgresEventLog.connect(service_dsn) as log,
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
    ):
        service = await service_of(log, store)
        await service.tick()
        await log.append([saved(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")])
        service.refused("s", Duplicate(0))
        await service.tick()
        first = NewEvent("WorkflowTriggered", b'{"workflow_id": "daily"}')
        await log.append([Append([StreamAppend("run", RUN, 0, [first])], AT)])
        async with asyncio.timeout(10):
            await came.wait()
        service.forget_all()


async def test_a_subscription_that_was_deleted_though_the_answer_was_lost_is_no_more(service_dsn: str, store: Store):
    async with await PostgresEventLog.connect(service_dsn) as log:
        service = await service_of(log, store)
        await log.append([saved("http://127.0.0.1:9/")])
        await service.tick()
        async with asyncio.timeout(10):
            while await store.cursor("s") is None:
                await asyncio.sleep(0.01)
        gone = NewEvent("SubscriptionDeleted", encode(SubscriptionDeleted(subscription_id="s")))
        await log.append([Append([StreamAppend("subscription", stream_of("s"), 1, [gone])], AT)])
        service.refused("s", Duplicate(0))
        await service.tick()
        assert await store.cursor("s") is None
        service.forget_all()


class Slow(MemoryEventLog):
    """The first who reads subscriptions gets what there was then, and gets it late."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()
        self._reads = 0

    async def read(
        self,
        after_position: int,
        limit: int = 1_000,
        *,
        types: Collection[str] | None = None,
        stream_types: Collection[str] | None = None,
        named_only: bool = False,
        archived: bool = False,
    ) -> list[StoredEvent]:
        page = await super().read(
            after_position, limit, types=types, stream_types=stream_types, named_only=named_only, archived=archived
        )
        if stream_types is not None:
            self._reads += 1
            if self._reads == 1:
                await self.goes_on.wait()
        return page


async def test_what_was_read_before_a_save_does_not_take_the_place_of_what_was_known_after_it(store: Store):
    log = Slow()
    service = await service_of(log, store)
    looking = asyncio.create_task(service.tick())
    await asyncio.sleep(0)
    deciding = asyncio.create_task(decided(service, creation("s")))
    await asyncio.wait({deciding}, timeout=0.2)
    if not deciding.done():
        log.goes_on.set()
    [work] = await deciding
    service.logged("s", work, await logged(log, work))
    log.goes_on.set()
    await looking
    [work] = await decided(service, message(ReadSubscriptions(command_id="read", subscription_id="s")))
    assert b'"ok"' in work.answers[0][1]
    service.forget_all()


async def test_one_that_lost_a_race_does_not_keep_another_of_its_turn_from_being_known(store: Store):
    log = MemoryEventLog()
    service = await service_of(log, store)
    _, second = await decided(service, creation("one"), creation("two"))
    await log.append([saved("http://127.0.0.1:9/", "one")])
    events = await logged(log, second)
    service.refused("one", Duplicate(0))
    service.logged("two", second, events)
    assert b'"ok"' in second.answers[0][1]
    refused, known = await decided(service, creation("one"), creation("two"))
    assert b"already" in refused.answers[0][1]
    assert b'"ok"' in known.answers[0][1]
    service.forget_all()


class SlowToForget(Store):
    """Forgets when it is let."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.goes_on = asyncio.Event()
        self.is_asked = asyncio.Event()

    async def forget(self, subscription_id: str) -> None:
        self.is_asked.set()
        await self.goes_on.wait()
        await super().forget(subscription_id)


async def test_one_made_anew_is_not_forgotten_with_the_one_of_its_id_that_was_deleted(service_dsn: str):
    store = SlowToForget(service_dsn)
    async with await PostgresEventLog.connect(service_dsn) as log:
        service = await service_of(log, store)
        await log.append([saved("http://127.0.0.1:9/")])
        await service.tick()

        async def has_begun(position: int) -> None:
            async with asyncio.timeout(5):
                while (found := await store.cursor("s")) is None or found.ordered_position < position:
                    await asyncio.sleep(0.01)

        await has_begun(1)
        [work] = await decided(service, message(DeleteSubscription(command_id="delete", subscription_id="s")))
        service.logged("s", work, (await logged(log, work))[1:])
        looking = asyncio.create_task(service.tick())
        await store.is_asked.wait()
        [work] = await decided(service, creation("s"))
        events = await logged(log, work)
        service.logged("s", work, events[2:])
        beginning = asyncio.create_task(has_begun(events[-1].position))
        await asyncio.wait({beginning}, timeout=0.5)
        store.goes_on.set()
        await looking
        await beginning
        await has_begun(events[-1].position)
        service.forget_all()
    await store.close()
