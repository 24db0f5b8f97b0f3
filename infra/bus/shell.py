"""The shell around one service: owns, hears, turns, says again, and notices when something has gone quiet.

What it adds to the turn: waiting for ownership; catching up from the log at start and after NATS was away (what was said
while nobody listened, or was lost with NATS's store); saying again what was logged and not said; cursors; a look each
second at consumers that are silent; a graceful stop.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Protocol, runtime_checkable

import msgspec
from flowforge import envelope as envelopes
from flowforge.commands import RetryDeadLetter
from flowforge.envelope import NotAnEvent
from flowforge.events import DeadLetterRetried
from flowforge.refusals import Refusal, Rejected, unavailable
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from infra.bus.dead_letters import DeadLetters, matches
from infra.bus.ending import end
from infra.bus.health import Health, answer_health
from infra.bus.intake import Intake, StandingPull
from infra.bus.message import Decode, Message, Outgoing, envelope, logged_event
from infra.bus.ownership import Ownership
from infra.bus.publisher import Publisher
from infra.bus.spans import GroupSpans
from infra.bus.topology import Hearing, hearings
from infra.bus.turn import Service, Turn
from infra.eventlog import EventLog, StoredEvent, Unavailable
from infra.failpoints import failpoint
from infra.telemetry import Tracing
from infra.telemetry.measures import MEASURES

PAGE_COUNT = 1_000
TICK_S = 1.0
HEARD_LAG_S = 5.0
"""The heard cursor stays so far behind, so that a message that overtook another never hides it."""
STOP_S = 4.0
_log = logging.getLogger(__name__)
_retry_dead_letter = msgspec.json.Decoder(RetryDeadLetter)


class ShellService(Service, Protocol):
    """A service as the shell runs it."""

    says: frozenset[str]
    """Event types that this service writes and publishes."""
    hears: frozenset[str]
    """Event types of the log that it acts on; read from the log where NATS cannot give them."""
    inbound: dict[str, Decode]
    """Stream name → how its messages are decoded, where it is not FlowForge's own envelope."""

    async def resay(self, events: Sequence[StoredEvent]) -> list[Outgoing]:
        """What to publish for events that were logged and perhaps not said."""
        ...

    def forget_all(self) -> None:
        """Ownership was lost: nothing in memory counts any more."""
        ...

    async def nats_was_away(self) -> None:
        """NATS was restarted or its store lost; called after the reconnect, before anything is heard again."""
        ...

    async def tick(self) -> None:
        """Each second."""
        ...


@runtime_checkable
class Attached(Protocol):
    """A service that also acts by itself: it is given its shell, to put messages into later turns or publish outside one."""

    def attached(self, shell: "Shell") -> None:
        """Called once, before anything else."""
        ...


@runtime_checkable
class HearsDefinitions(Protocol):
    """A service that needs to know of a change of definitions before anything that follows from it."""

    def defined(self, position: int) -> None:
        """A definition changed at that position. Told on its own connection before the save is answered, so that it is
        here before a message that somebody sends because of the answer."""
        ...


@runtime_checkable
class RecordsSpans(Protocol):
    """A service that knows better than the shell what is a span; the shell records none of its groups."""

    def traced_by(self, tracing: Tracing) -> None:
        """Called once, before anything else, where traces are recorded."""
        ...


class Shell:
    """Runs one service on one connection to NATS and one event log."""

    def __init__(
        self,
        service: ShellService,
        log: EventLog,
        client: Client,
        namespace: str,
        dsn: str | None,
        tracing: Tracing | None = None,
    ) -> None:
        self.service = service
        self.log = log
        self.client = client
        self.subjects = Subjects(namespace)
        self.intake = Intake()
        self.publisher = Publisher(client)
        self.turn = Turn(service, log, client, self.publisher, self.intake, self.subjects)
        self.turn.on_unknown_outcome = self._resay_soon
        self._ownership = None if dsn is None else Ownership(dsn, namespace, service.name, self._ownership_lost)
        self._pulls: list[StandingPull] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._heard: deque[tuple[float, int]] = deque()
        self._wakes = asyncio.Event()
        self._needs_resay = False
        self._was_away = False
        self._known_server_id = self._server_id()
        self._is_lost = False
        self._is_stopped = False
        self._background: set[asyncio.Task[None]] = set()
        self._kept = {"said": 0, "heard": 0}
        self._dead_letters = DeadLetters(service.name, log, self._decode_for, self.intake.put, self._unreadable)
        self.is_ready = asyncio.Event()
        if isinstance(service, Attached):
            service.attached(self)
        if tracing is not None:
            self._trace(tracing)

    def _trace(self, tracing: Tracing) -> None:
        if isinstance(self.service, RecordsSpans):
            self.service.traced_by(tracing)
        else:
            self.turn.spans = GroupSpans(tracing, self.service.name)

    async def say(self, messages: Sequence[Outgoing]) -> None:
        """Publish outside a turn, until each message is acknowledged."""
        await self.publisher.arrive(await self.publisher.send(messages))

    @property
    def heard_position(self) -> int:
        """What the log held up to here has been handled (kept some seconds behind)."""
        return self._kept["heard"]

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin; returns at once. `is_ready` is set once this process owns its part and turns."""
        self._tasks.append(asyncio.create_task(self._live()))

    async def stop(self) -> None:
        """Take nothing more, finish what is under way, tell where we stand. A second time it does nothing."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._wakes.set()
        self.is_ready.clear()
        self.turn.stop()
        for pull in self._pulls:
            await pull.stop()
        try:
            async with asyncio.timeout(STOP_S):
                while len(self.intake) or self.turn.is_busy:  # noqa: ASYNC110 - a stop, once
                    await asyncio.sleep(0.01)
                await self.turn.settled()
                await self._keep_cursors()
        except (TimeoutError, Unavailable, NatsError) as fault:
            _log.warning("%s stopped with work under way, it will be taken up again: %s", self.service.name, fault)
        await end((*self._tasks, *self._background))
        if self._ownership is not None:
            await self._ownership.release()

    async def _live(self) -> None:
        await self.publisher.start()
        await self.client.subscribe(self.subjects.health(self.service.name), cb=self._health)
        if isinstance(self.service, HearsDefinitions):
            await self.client.subscribe(self.subjects.defined, cb=self._defined)
        while True:
            if self._ownership is not None:
                await self._ownership.acquire()
            self._is_lost = False
            self.is_ready.clear()
            self.service.forget_all()
            await self._persist(self._take_over)
            turning = asyncio.create_task(self.turn.run())
            self._tasks.append(turning)
            self.is_ready.set()
            while not self._is_lost:
                await self._look_around()
                if self._is_stopped:  # nothing more is asked for: it would be taken and not handled
                    return
            await end([turning])
            self._tasks.remove(turning)
            await self._let_go()

    async def _take_over(self) -> None:
        self._kept["said"] = await self.log.get_cursor(f"said:{self.service.name}")
        self._kept["heard"] = await self.log.get_cursor(f"heard:{self.service.name}")
        await self._resay()
        await self._catch_up()
        for hearing in hearings(self.subjects).get(self.service.name, [])[len(self._pulls) :]:
            await self._pull(hearing)

    async def _let_go(self) -> None:
        """Somebody else may be the owner now: what was pulled is theirs, and they are asked in our place. What the service
        does by itself ends, too, and not only when its turn comes again."""
        self.service.forget_all()
        while self._pulls:
            await self._pulls.pop().stop()
        await self.turn.give_back(self.intake.give_up(), f"{self.service.name} is not the owner any more")

    async def _pull(self, hearing: Hearing) -> None:
        decode = self.service.inbound.get(hearing.stream, envelopes.decode)
        pull = StandingPull(self.client, hearing, self.intake, decode, self._unreadable)
        await pull.start()
        self._pulls.append(pull)

    async def _persist(self, deed: Callable[[], "asyncio.Future[None]"] | Callable[[], object]) -> None:
        """Do it until the log and NATS let it be done; a bug is told, and tried again all the same."""
        while True:
            try:
                await deed()  # type: ignore[misc]
            except (Unavailable, NatsError, OSError) as fault:
                _log.warning("%s: %s; trying again", self.service.name, fault)
                await asyncio.sleep(0.2)
            except Exception:  # noqa: BLE001 - of the pull loop: it would fail unseen
                _log.exception("%s: %s failed, trying again", self.service.name, deed)
                await asyncio.sleep(TICK_S)
            else:
                return

    async def _look_around(self) -> None:
        try:
            await self._tick()
        except Exception:  # noqa: BLE001 - of the pull loop: a shell that no longer looks around would fail unseen
            _log.exception("%s: a look around failed", self.service.name)
            self._needs_resay = True

    async def _tick(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._wakes.wait()
        except TimeoutError:
            pass
        self._wakes.clear()
        if self._is_lost or self._is_stopped:
            return
        if self._ownership is not None:
            await self._ownership.look()
        if self._was_away:
            self._was_away = False
            await self._persist(self._after_nats_was_away)
        if self._needs_resay:
            self._needs_resay = False
            await self._persist(self._resay)
        for pull in self._pulls:
            await pull.look()
        await self.service.tick()
        try:
            await self._keep_cursors()
        except Unavailable as fault:
            _log.warning("%s: cursors not kept: %s", self.service.name, fault)

    # --- NATS comes and goes ---------------------------------------------------------------------------------------

    def reconnected(self) -> None:
        """Called by the connection. What was asked of the old server is void, and its store may be empty."""
        self._was_away = True
        self._wakes.set()

    async def _after_nats_was_away(self) -> None:
        await self.service.nats_was_away()  # it may know less than it thinks, before the first message comes
        server_id = self._server_id()
        for pull in self._pulls:
            if server_id == self._known_server_id:
                await pull.ask_again()
            else:
                await pull.begin_anew()
        self._known_server_id = server_id
        self.publisher.send_again()
        await self._resay()
        await self._catch_up()

    def _server_id(self) -> str:
        """Another one after each start of nats-server."""
        return str(self.client._server_info.get("server_id"))  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001

    def _ownership_lost(self) -> None:
        self.is_ready.clear()
        self._is_lost = True
        self._wakes.set()

    async def _resay_soon(self) -> None:
        self._needs_resay = True
        self._wakes.set()

    async def _resay(self) -> None:
        """Say what is logged above the said position; those who heard it already know its id."""
        await self.turn.settled()
        position = max(self._kept["said"], 0)
        while self.service.says:
            page = await self.log.read(position, PAGE_COUNT, types=self.service.says, archived=True)
            if not page:
                break
            messages = await self.service.resay(page)
            await self.publisher.arrive(await self.publisher.send(messages))
            failpoint(f"{self.service.name}.after_resay")
            position = page[-1].position
            _log.info("%s: said again %d messages up to position %d", self.service.name, len(messages), position)
            if len(page) < PAGE_COUNT:
                break
        self.turn.said_position = max(self.turn.said_position, position)

    async def _catch_up(self) -> None:
        """Take from the log what NATS may have lost before we heard it."""
        position = self._kept["heard"]
        self._heard.clear()  # what was handled out of order before is no proof for what comes now
        self.turn.handled_position = 0
        while self.service.hears:
            types = self.service.hears | {DeadLetterRetried.__name__}
            page = await self.log.read(position, PAGE_COUNT, types=types, archived=True)
            for stored in page:
                if stored.type == DeadLetterRetried.__name__:
                    await self._dead_letters.take_up_again(stored)
                    continue
                body = envelope(stored, self.subjects.namespace)
                event = logged_event(stored, self.subjects.namespace)
                self.intake.put(Message(f"{self.subjects.namespace}.log.{stored.type}", body, event, "log", ""))
            if len(page) < PAGE_COUNT:
                return
            position = page[-1].position

    async def _keep_cursors(self) -> None:
        said, now_s = self.turn.said_position, time.monotonic()
        if said > self._kept["said"] and not self._needs_resay:  # below it, something may be unsaid
            await self.log.set_cursor(f"said:{self.service.name}", said)
            self._kept["said"] = said
        if not self.service.hears or not self.client.is_connected or self._was_away:
            return  # what was handled last may stand above something that is lost
        if self.turn.handled_position and (not self._heard or self._heard[-1][1] != self.turn.handled_position):
            self._heard.append((now_s, self.turn.handled_position))
        heard = 0
        while self._heard and self._heard[0][0] < now_s - HEARD_LAG_S:
            heard = self._heard.popleft()[1]
        if heard > self._kept["heard"]:
            await self.log.set_cursor(f"heard:{self.service.name}", heard)
            self._kept["heard"] = heard

    # --- what is not a stream's message ----------------------------------------------------------------------------

    async def command(self, subject: str, body: bytes, reply_to: str) -> None:
        """A command came by request and reply."""
        try:
            event = envelopes.decode(body)
        except NotAnEvent as fault:
            refusal = Refusal(code="MALFORMED", status=400, title="Malformed command", detail=str(fault))
            await self.client.publish(reply_to, msgspec.json.encode(Rejected(refusal)))
            return
        if not self.is_ready.is_set():  # a stand-by, or not yet up: the owner, asked again, will do it
            refusal = unavailable(f"{self.service.name} is not ready")
            await self.client.publish(reply_to, msgspec.json.encode(Rejected(refusal)))
            return
        if event.type == RetryDeadLetter.__name__:
            self._soon(self._retry(_retry_dead_letter.decode(event.data), reply_to))
            return
        self.intake.put(Message(subject, body, event, "command", reply_to))

    async def _retry(self, command: RetryDeadLetter, reply_to: str) -> None:
        try:
            answer = await self._dead_letters.retry(command)
        except Unavailable as fault:
            answer = Rejected(unavailable(str(fault)))
        await self.client.publish(reply_to, msgspec.json.encode(answer))
        await self.turn.tell_growth()

    def _decode_for(self, subject: str) -> Decode:
        """How messages on this subject are decoded."""
        for hearing in hearings(self.subjects).get(self.service.name, []):
            if any(matches(pattern, subject) for pattern in hearing.subjects):
                return self.service.inbound.get(hearing.stream, envelopes.decode)
        return envelopes.decode

    def _unreadable(self, message: Message, reason: str) -> None:
        self._soon(self._quarantine(message, reason))

    def _soon(self, deed: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(deed)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _quarantine(self, message: Message, reason: str) -> None:
        await self._persist(lambda: self.turn.aside.quarantine(message, reason))

    async def _defined(self, message: Msg) -> None:
        assert isinstance(self.service, HearsDefinitions)
        self.service.defined(int(message.data))

    async def _health(self, request: Msg) -> None:
        health = Health(
            service=self.service.name,
            measured=MEASURES.now(),
            is_owner=self._ownership is None or self._ownership.is_held,
            is_ready=self.is_ready.is_set(),
            waiting=len(self.intake),
            said_position=self.turn.said_position,
            last_turn_at_s=self.turn.last_turn_at.timestamp(),
            silent_consumers=[pull.hearing.durable for pull in self._pulls if pull.is_silent],
        )
        await answer_health(request, health)


def run_types(types: Collection[type]) -> frozenset[str]:
    """The names of event structs."""
    return frozenset(kind.__name__ for kind in types)
