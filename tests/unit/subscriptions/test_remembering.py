"""What the service remembers of a subscription is bounded, and what was kept for nothing goes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flowforge.events import SubscriptionFilter, SubscriptionReplayed, SubscriptionSaved, encode

from infra.calls import Calls, Targets
from infra.eventlog import Append, MemoryEventLog, NewEvent, StreamAppend
from infra.secrets import MemorySecrets, Secret, SecretKey, owner_of_subscription
from services.subscriptions.handlers import Subscriptions
from services.subscriptions.loaded import Loaded, folded, stream_of
from services.subscriptions.posting import Poster
from services.subscriptions.recent import Recent
from services.subscriptions.settings import ANSWER_BYTES_MAX, COMMANDS_KNOWN_MAX, ORDERS_KNOWN_MAX, PAGE_COUNT
from services.subscriptions.store import Store

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def replayed(count: int) -> Loaded:
    """A subscription that was replayed so often."""
    log, stream = MemoryEventLog(), stream_of("s")
    saved = SubscriptionSaved(
        subscription_id="s",
        subscription_version=1,
        url="http://r",
        name="",
        filter=SubscriptionFilter(),
        secret_ref="k",
    )
    replay = SubscriptionReplayed(subscription_id="s", since_position=1)
    for version, event in enumerate([saved, *([replay] * count)]):
        told = [NewEvent(type(event).__name__, encode(event))]
        given = StreamAppend("subscription", stream, version, told)
        await log.append([Append([given], AT + timedelta(seconds=version), causation_id=UUID(int=version))])
    return folded(await log.read_stream(stream))


async def test_orders_that_were_carried_out_are_forgotten_but_for_the_last_and_none_that_was_not():
    loaded = await replayed(3 * ORDERS_KNOWN_MAX)
    loaded.carried_out(2)
    assert len(loaded.orders) == 3 * ORDERS_KNOWN_MAX + 1
    loaded.carried_out(loaded.position - 5)
    assert [order.position for order in loaded.orders_after(loaded.position - 5)] == [
        loaded.position - back for back in (4, 3, 2, 1, 0)
    ]
    assert len(loaded.orders) == ORDERS_KNOWN_MAX + 5


async def test_only_the_last_commands_are_remembered():
    loaded = await replayed(COMMANDS_KNOWN_MAX + 10)
    assert len(loaded.past) == COMMANDS_KNOWN_MAX
    assert UUID(int=COMMANDS_KNOWN_MAX + 10) in loaded.past


async def test_a_secret_of_a_subscription_that_is_none_goes():
    key = SecretKey(bytes(range(32)))
    secrets, log = MemorySecrets(key), MemoryEventLog()
    await secrets.put([Secret(owner_of_subscription("none"), "f", "value"), Secret("named/other", "g", "value")])
    targets = Targets([], [])
    poster = Poster(Calls(targets, ANSWER_BYTES_MAX), secrets, "flowforge", lambda: AT)
    service = Subscriptions(log, Store(""), poster, targets, secrets, [1.0], lambda: AT)
    await service.tick()
    service.forget_all()
    assert list(secrets.sealed) == [("named/other", "g")]


async def test_who_is_behind_looks_at_a_page_of_the_log_at_once_however_rare_what_it_looks_for_is():
    log = MemoryEventLog()
    run_id = UUID(int=0x019CA9452B5D764FBE2E79B6B73F5000)
    first = NewEvent("WorkflowTriggered", b'{"workflow_id": "daily"}')
    others = [NewEvent("RunStarted", b"{}")] * (2 * PAGE_COUNT)
    await log.append([Append([StreamAppend("run", run_id, 0, [first, *others, NewEvent("RunFailed", b"{}")])], AT)])
    recent = Recent(log)
    page = await recent.after(0, {"RunFailed"})
    assert (page.position, page.events) == (PAGE_COUNT, [])
    page = await recent.after(2 * PAGE_COUNT, {"RunFailed"})
    assert [told.stored.type for told in page.events] == ["RunFailed"]
    assert (await recent.after(page.position, {"RunFailed"})).position == page.position
