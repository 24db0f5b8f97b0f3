"""The service as the shell runs it: commands are decided in turns, deliveries run beside them."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from flowforge.command import Command
from flowforge.commands import COMMANDS
from flowforge.envelope import CloudEvent, now
from flowforge.events import encode
from flowforge.identity import named_stream
from flowforge.refusals import Accepted, Refusal, Rejected, not_found
from flowforge.subjects import Subjects
from flowforge.subscribing import (
    ChangeSubscription,
    CreateSubscription,
    DeleteSubscription,
    ReadDeliveries,
    ReadSubscriptions,
    ReplaySubscription,
    SubscriptionView,
    TestSubscription,
)
from msgspec.structs import asdict
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from infra.bus import Message, Outgoing, Shell, Work
from infra.bus.message import Decode
from infra.calls import TargetRefused, Targets
from infra.eventlog import Answer, Append, EventLog, NewEvent, StoredEvent, StreamAppend, Unavailable
from infra.secrets import Secrets, WrongKey, owner_of_subscription
from services.subscriptions.choosing import Chooser
from services.subscriptions.decide import Beside, decide, url_fault
from services.subscriptions.delivering import Tools
from services.subscriptions.engine import Engine
from services.subscriptions.loaded import STREAM_TYPE, Loaded, stream_of
from services.subscriptions.posting import Poster
from services.subscriptions.recent import Recent
from services.subscriptions.settings import DELIVERIES_PAGE_MAX, PAGE_COUNT, POSTS_MAX, SECRETS_SWEPT_EVERY_S
from services.subscriptions.store import Store
from services.subscriptions.views import delivery_view, subscription_view

_MINE = {name: kind for name, (service, kind) in COMMANDS.items() if service == "subscriptions"}
_READS = (ReadSubscriptions, ReadDeliveries, TestSubscription)
_log = logging.getLogger(__name__)


class Subscriptions:
    """The service that the shell turns."""

    name = "subscriptions"
    _recent: Recent
    says: frozenset[str] = frozenset()
    hears: frozenset[str] = frozenset()

    def __init__(
        self,
        log: EventLog,
        store: Store,
        poster: Poster,
        targets: Targets,
        secrets: Secrets | None,
        waits_s: Sequence[float],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.inbound: dict[str, Decode] = {}
        self._log = log
        self._store = store
        self._poster = poster
        self._targets = targets
        self._secrets = secrets
        self._waits_s = waits_s
        self._clock = clock
        self._subjects = Subjects(poster.namespace)
        self._shell: Shell | None = None
        self._engine = self._made_engine()
        self._known: dict[str, Loaded] | None = None
        self._is_stale = False
        """Whether the log may say more than is known: what was known stays until it is read anew."""
        self._reading = asyncio.Lock()
        self._beside: dict[str, Beside] = {}
        self._answers: dict[str, bytes] = {}
        self._pending: dict[str, Message] = {}
        self._tests: dict[str, asyncio.Task[bytes]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._forgets: set[str] = set()
        """Subscriptions of which secrets may be kept that sign no more, or never did: a command was refused."""
        self._secrets_swept_at_s = -math.inf

    def attached(self, shell: Shell) -> None:
        """Where messages of its own go, and where it hears that the log grew."""
        self._shell = shell

        async def grew(_message: Msg) -> None:
            self._recent.nudge()

        async def listen() -> None:
            await shell.client.subscribe(self._subjects.appended, cb=grew)

        self._listening = asyncio.create_task(listen())

    def _made_engine(self) -> Engine:
        posts = asyncio.Semaphore(POSTS_MAX)
        self._recent = Recent(self._log)
        return Engine(
            Tools(
                self._log,
                self._store,
                self._recent,
                self._poster,
                posts,
                self._waits_s,
                self._tell,
                self._clock,
                Chooser(),
            )
        )

    def _tell(self, command: Command) -> None:
        """What a deliverer found out becomes a message of a later turn."""
        assert self._shell is not None
        kind = type(command).__name__
        data = msgspec.Raw(msgspec.json.encode(command))
        event = CloudEvent(
            id=command.command_id, source=f"/{self._subjects.namespace}/{self.name}", type=kind, data=data
        )
        self._shell.intake.put(Message(f"{self._subjects.namespace}.{self.name}.{kind}", b"", event, "log", ""))

    # --- load ---------------------------------------------------------------------------------------------------------

    def key(self, message: Message) -> Hashable:
        """The id of the subscription that is to change; questions stand alone."""
        command = _command_of(message)
        if isinstance(command, (Refusal, *_READS)):
            return (message.reply_to, message.event.id)
        return cast("Any", command).subscription_id

    async def load(self, keys: Collection[Hashable], messages: Sequence[Message]) -> None:  # noqa: ARG002  few are all
        """All subscriptions, and what these messages need besides."""
        known = await self._subscriptions()
        self._beside.clear()
        self._answers.clear()
        for message in messages:
            command = _command_of(message)
            if isinstance(command, Refusal):
                self._answers[_place(message)] = _rejected(command)
            elif isinstance(command, TestSubscription):
                self._test(message, command, known)
            elif isinstance(command, (ReadSubscriptions, ReadDeliveries)):
                self._answers[_place(message)] = await self._read(command, known)
            else:
                self._beside[command.command_id] = await self._needed(command, known)

    async def _subscriptions(self) -> dict[str, Loaded]:
        """Read by one at a time: a turn and a look around ask at once."""
        async with self._reading:
            if self._known is None or self._is_stale:
                self._is_stale = False
                try:
                    self._known = await self._read_all()
                except BaseException:
                    self._is_stale = True
                    raise
                self._engine.renewed(self._known)
            return self._known

    async def _read_all(self) -> dict[str, Loaded]:
        known: dict[str, Loaded] = {}
        position = 0
        while True:
            page = await self._log.read(position, PAGE_COUNT, stream_types=(STREAM_TYPE,), named_only=True)
            for stored in page:
                known.setdefault(_id_of(stored), Loaded(orders=[], past={})).take(stored)
            if len(page) < PAGE_COUNT:
                return known
            position = page[-1].position

    async def _needed(self, command: Command, known: dict[str, Loaded]) -> Beside:
        count = sum(loaded.state.subscription is not None for loaded in known.values())
        fault, since, head = "", None, 0
        if isinstance(command, (CreateSubscription, ChangeSubscription)) and command.url is not None:
            fault = await self._where(command.url)
        if isinstance(command, ReplaySubscription):
            head = (await self._log.head()).position
            since = command.since_position
            if since is None and command.since_at is not None:
                since = await self._position_before(command.since_at, head)
        return Beside(
            now=self._clock(), subscriptions_count=count, url_fault=fault, since_position=since, head_position=head
        )

    async def _where(self, url: str) -> str:
        """Why no call may go there; a name that means nothing now may mean something later."""
        if url_fault(url):
            return ""  # told by the decision
        parts = urlsplit(url)
        try:
            await self._targets.addresses(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        except TargetRefused as refused:
            return str(refused)
        except OSError:
            return ""
        return ""

    async def _position_before(self, at: datetime, head: int) -> int:
        """The last position that was logged before that time; a time without an offset is UTC."""
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        low, high = 0, head  # logged before `at`: `low`, not `high + 1`
        while low < high:
            middle = (low + high + 1) // 2
            event = await self._log.read_position(middle)
            low, high = (middle, high) if event is None or event.recorded_at < at else (low, middle - 1)
        return low

    # --- questions ----------------------------------------------------------------------------------------------------

    async def _read(self, command: ReadSubscriptions | ReadDeliveries, known: dict[str, Loaded]) -> bytes:
        wanted = command.subscription_id
        if wanted is not None and _alive(known, wanted) is None:
            return _rejected(not_found("subscription", wanted))
        if isinstance(command, ReadDeliveries):
            rows = await self._store.page(
                command.subscription_id, command.status, command.before_position or 2**62,
                max(1, min(command.limit, DELIVERIES_PAGE_MAX)),
            )  # fmt: skip
            return _accepted({"items": [delivery_view(row) for row in rows]})
        names = [name for name in known if _alive(known, name) is not None and wanted in (None, name)]
        health = await self._store.health(names)
        views = [self._view(name, known[name], health.get(name)) for name in names]
        views.sort(key=lambda view: view.created_at, reverse=True)
        return _accepted({"items": views} if wanted is None else asdict(views[0]))

    def _view(self, name: str, loaded: Loaded, health: Any = None) -> SubscriptionView:
        return subscription_view(loaded, health, self._engine.seen(name))

    def _test(self, message: Message, command: TestSubscription, known: dict[str, Loaded]) -> None:
        """Posted beside the turn, once however often it is asked for; answered when it ends."""
        loaded = _alive(known, command.subscription_id)
        if loaded is None:
            self._answers[_place(message)] = _rejected(not_found("subscription", command.subscription_id))
            return
        if command.command_id not in self._tests:
            self._tests[command.command_id] = asyncio.create_task(self._tested(loaded, command.command_id))
        telling = asyncio.create_task(self._answer_test(message, command.command_id))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tested(self, loaded: Loaded, event_id: str) -> bytes:
        subscription = loaded.state.subscription
        assert subscription is not None
        attempt = await self._poster.test(subscription, event_id)
        return _accepted(
            {
                "delivered": attempt.arrived,
                "event_id": event_id,
                "status": attempt.status,
                "duration_ms": attempt.duration_ms,
                "error": attempt.error or None,
            }
        )

    async def _answer_test(self, message: Message, command_id: str) -> None:
        try:
            body = await asyncio.shield(self._tests[command_id])
        except Unavailable as fault:
            body = _rejected(
                Refusal(code="UNAVAILABLE", status=503, title="Temporarily unavailable", detail=str(fault))
            )
        assert self._shell is not None
        with contextlib.suppress(NatsError, OSError):  # asked again, it answers again
            await self._shell.client.publish(message.reply_to, body)
        self._tests.pop(command_id, None)

    # --- decide -------------------------------------------------------------------------------------------------------

    def decide(self, key: Hashable, messages: Sequence[Message]) -> Work:
        """Commands are taken until one changes something; the others are decided after that is logged."""
        work = Work()
        for at, message in enumerate(messages):
            if not isinstance(key, str):
                work.answers += [(message, self._answers[_place(message)])] if _place(message) in self._answers else []
            elif self._decide_one(key, message, work):
                work.later = list(messages[at + 1 :])
                break
        return work

    def _decide_one(self, name: str, message: Message, work: Work) -> bool:
        assert self._known is not None
        command = cast("Command", _command_of(message))
        loaded = self._known.get(name) or Loaded(orders=[], past={})
        position = loaded.past.get(_cause(command))
        decided = [] if position is not None else decide(loaded.state, command, self._beside[command.command_id])
        if isinstance(decided, Refusal):
            self._answer(work, message, _rejected(decided))
            return False
        if not decided:
            self._answer(work, message, self._done(name, command, loaded, position or loaded.position))
            return False
        events = [NewEvent(type(event).__name__, encode(event)) for event in decided]
        work.append = Append(
            [StreamAppend(STREAM_TYPE, stream_of(name), loaded.stream_version, events)],
            recorded_at=self._clock(),
            correlation_id=_cause(command),
            causation_id=_cause(command),
            actor=command.actor or None,
            traceparent=message.event.traceparent,
        )
        self._pending[name] = message
        return True

    def logged(self, key: Hashable, work: Work, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """Answer the command, and have it done."""
        assert self._known is not None
        assert isinstance(key, str)
        loaded = self._known.setdefault(key, Loaded(orders=[], past={}))
        for stored in events:
            if stored.version > loaded.stream_version:  # else it was read meanwhile
                loaded.take(stored)
        self._engine.changed(key, loaded)
        self._forgets.add(key)
        message = self._pending.pop(key)
        command = cast("Command", _command_of(message))
        self._answer(work, message, self._done(key, command, loaded, events[0].position))
        return []

    def _answer(self, work: Work, message: Message, body: bytes) -> None:
        if message.origin == "command":
            work.answers.append((message, body))

    def _done(self, name: str, command: Command, loaded: Loaded, position: int) -> bytes:
        if isinstance(command, DeleteSubscription) or loaded.state.subscription is None:
            return _accepted({"id": name, "position": position})
        if isinstance(command, ReplaySubscription):
            known = (order.since_position for order in loaded.orders if order.position == position)
            since = max(known, default=command.since_position or 0)
            return _accepted({"id": name, "since_position": since, "position": position})
        secret_ref = loaded.state.subscription.secret_ref
        return _accepted({**asdict(self._view(name, loaded)), "position": position, "secret_ref": secret_ref})

    def refused(self, key: Hashable, answer: Answer) -> None:  # noqa: ARG002
        """Somebody else appended, or we did and were not told: all is read anew."""
        self._is_stale = True
        self._pending.pop(cast("str", key), None)

    # --- the shell's other questions ----------------------------------------------------------------------------------

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:  # noqa: ARG002
        """Nothing is said."""
        return []

    def forget_all(self) -> None:
        """Deliveries are the next owner's."""
        self._engine.stop()
        self._engine = self._made_engine()
        self._known = None
        self._pending.clear()

    async def nats_was_away(self) -> None:
        """Nothing of it is on NATS."""

    async def tick(self) -> None:
        """Deliveries begin with the first; secrets that sign no more are removed."""
        try:
            known = await self._subscriptions()
            if not self._engine.is_running:
                self._engine.start(known)
                self._forgets |= known.keys()
            await self._engine.tick()
            await self._forget_secrets(known)
        except (Unavailable, WrongKey) as fault:
            _log.warning("subscriptions: %s", fault)

    async def _forget_secrets(self, known: dict[str, Loaded]) -> None:
        if self._secrets is None:
            return
        if time.monotonic() > self._secrets_swept_at_s + SECRETS_SWEPT_EVERY_S:
            owners = await self._secrets.owners(owner_of_subscription(""))
            self._forgets |= {owner.removeprefix(owner_of_subscription("")) for owner in owners}
            self._secrets_swept_at_s = time.monotonic()
        for name in list(self._forgets):
            subscription = known[name].state.subscription if name in known else None
            if subscription is not None and len(subscription.secret_refs(self._clock())) > 1:
                continue
            await self._secrets.forget_others(
                owner_of_subscription(name), "" if subscription is None else subscription.secret_ref
            )
            self._forgets.discard(name)


class _Named(msgspec.Struct):
    subscription_id: str


def _id_of(stored: StoredEvent) -> str:
    return msgspec.json.decode(stored.data, type=_Named).subscription_id


def _alive(known: dict[str, Loaded], name: str) -> Loaded | None:
    loaded = known.get(name)
    return loaded if loaded is not None and loaded.state.subscription is not None else None


def _command_of(message: Message) -> Command | Refusal:
    kind = _MINE.get(message.event.type)
    try:
        if kind is not None:
            return msgspec.json.decode(message.event.data, type=kind)
        detail = f"subscriptions knows no command '{message.event.type}'"
    except (msgspec.DecodeError, ValueError) as fault:
        detail = str(fault)
    return Refusal(code="MALFORMED", status=400, title="Malformed command", detail=detail)


def _place(message: Message) -> str:
    return f"{message.reply_to} {message.event.id}"


def _cause(command: Command) -> UUID:
    try:
        return UUID(command.command_id)
    except ValueError:
        return named_stream("command", command.command_id)


def _accepted(ok: dict[str, Any]) -> bytes:
    return msgspec.json.encode(Accepted(ok))


def _rejected(refusal: Refusal) -> bytes:
    return msgspec.json.encode(Rejected(refusal))
