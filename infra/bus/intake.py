"""What a turn takes from: standing pulls on durable consumers, commands, and what the log gives again.

A standing pull keeps a request open at the server, so that a lone message arrives at once and many arrive together;
nats-py's `fetch` would ask anew, one round trip each time. Heartbeats tell an idle consumer from a dead one.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from flowforge.envelope import CloudEvent, NotAnEvent
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from infra.bus.message import Decode, Message
from infra.bus.stranded import make_anew
from infra.bus.topology import Hearing, consumer_config

PULL_COUNT = 1_000
PULL_EXPIRES_S = 30
HEARTBEAT_S = 2
SILENCE_S = 3 * HEARTBEAT_S
WAITING_MAX = 4_000
"""Above so many messages waiting in memory no more are pulled."""
_log = logging.getLogger(__name__)
Unreadable = Callable[[Message, str], None]


class Intake:
    """The messages that have arrived and are not taken."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self.pulls: list[StandingPull] = []

    def put(self, message: Message) -> None:
        self._waiting.append(message)
        self._arrived.set()

    async def take(self, count_max: int) -> list[Message]:
        """What has arrived, at least one message, at most `count_max`."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        waiting = self._waiting
        batch = [waiting.popleft() for _ in range(min(count_max, len(waiting)))]
        for pull in self.pulls:
            pull.refill()
        return batch

    def give_up(self) -> list[Message]:
        """What somebody else may have instead; what nobody but this process can bring again stays."""
        given_up = [message for message in self._waiting if not message.is_ours_alone]
        self._waiting = deque(message for message in self._waiting if message.is_ours_alone)
        return given_up

    def __len__(self) -> int:
        return len(self._waiting)


class StandingPull:
    """One durable consumer, pulled from without end."""

    def __init__(
        self, client: Client, hearing: Hearing, intake: Intake, decode: Decode, unreadable: Unreadable
    ) -> None:
        self.hearing = hearing
        self.is_silent = False
        self._client = client
        self._intake = intake
        self._decode = decode
        self._unreadable = unreadable
        self._subscription: Subscription | None = None
        self._asked = 0
        self._heard_at = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Subscribe and ask for the first messages."""
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(self._inbox, cb=self._arrived)
        self._intake.pulls.append(self)
        await self._ask()

    async def stop(self) -> None:
        """Ask for no more; what was delivered and not settled is delivered again elsewhere."""
        if self in self._intake.pulls:
            self._intake.pulls.remove(self)
        if self._subscription is not None:
            try:
                await self._subscription.unsubscribe()
            except NatsError:
                return

    def refill(self) -> None:
        """Ask for more when less than half of what was asked for is still to come, and memory allows."""
        if self._asked < PULL_COUNT // 2 and len(self._intake) < WAITING_MAX:
            self._ask_soon()

    async def look(self) -> None:
        """Called each second: a consumer that was silent for three heartbeats is asked anew."""
        silence_s = time.monotonic() - self._heard_at
        if silence_s < SILENCE_S or not self._client.is_connected:
            return
        if not self.is_silent:
            _log.warning("consumer %s of %s is silent, asking again", self.hearing.durable, self.hearing.stream)
        self.is_silent = True
        try:
            await self._make_sure_it_exists()
        except (NatsError, TimeoutError) as fault:
            _log.warning("consumer %s of %s: %s", self.hearing.durable, self.hearing.stream, fault)
        await self._ask()

    async def _make_sure_it_exists(self) -> None:
        """A deleted consumer looks like an idle one; a new one begins at the start of its stream, and repeats are no harm."""
        jetstream = self._client.jetstream(timeout=2)
        try:
            await jetstream.consumer_info(self.hearing.stream, self.hearing.durable)
        except NotFoundError:
            _log.warning("consumer %s of %s was deleted, making it again", self.hearing.durable, self.hearing.stream)
            await jetstream.add_consumer(self.hearing.stream, consumer_config(self.hearing))

    async def ask_again(self) -> None:
        """After a reconnect: what was asked of the old connection is void."""
        await self._ask()

    async def begin_anew(self) -> None:
        """After a restart of the server: the consumer may stand ahead of what its stream has kept (see `stranded`)."""
        jetstream = self._client.jetstream(timeout=2)
        info = await jetstream.stream_info(self.hearing.stream)
        await make_anew(jetstream, info, self.hearing.durable, consumer_config(self.hearing))
        await self._ask()

    def _ask_soon(self) -> None:
        self._asked += PULL_COUNT
        task = asyncio.get_running_loop().create_task(self._publish_ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self) -> None:
        self._asked = PULL_COUNT
        await self._publish_ask()

    async def _publish_ask(self) -> None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.hearing.stream}.{self.hearing.durable}"
        nanoseconds = 1_000_000_000
        body = (
            f'{{"batch":{PULL_COUNT},"expires":{PULL_EXPIRES_S * nanoseconds},'
            f'"idle_heartbeat":{HEARTBEAT_S * nanoseconds}}}'
        )
        try:
            await self._client.publish(subject, body.encode(), reply=self._inbox)
        except NatsError as fault:
            _log.warning("cannot pull from %s: %s", self.hearing.stream, fault)

    async def _arrived(self, msg: Msg) -> None:
        if msg.subject == self._inbox:  # the server's word; a message of the stream has the subject it was published on
            headers = msg.headers or {}
            self._told(headers.get("Status", ""), int(headers.get("Nats-Pending-Messages", PULL_COUNT)))
            return
        self._heard_at = time.monotonic()
        self.is_silent = False
        self._asked -= 1
        try:
            event = self._decode(msg.data)
        except NotAnEvent as fault:
            self._unreadable(Message(msg.subject, msg.data, _NOTHING, "stream", msg.reply), str(fault))
            return
        self._intake.put(Message(msg.subject, msg.data, event, "stream", msg.reply))
        if self._asked <= 0:
            self.refill()

    def _told(self, status: str, unfilled: int) -> None:
        """100: alive and idle; 408: a request expired with so many unfilled; others: the consumer is not there."""
        if status in ("100", "408"):
            self._heard_at = time.monotonic()
            self.is_silent = False
        if status == "408":
            self._asked = max(0, self._asked - unfilled)
            self.refill()
        elif status != "100":
            # `look` asks again within a second or two; at once would spin while the consumer is missing
            self._heard_at = time.monotonic() - SILENCE_S + 1


_NOTHING = CloudEvent(id="", source="", type="")
