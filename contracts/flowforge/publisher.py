"""Publishing to JetStream without waiting for each acknowledgement, and without ever giving up on one.

nats-py's `publish` waits a round trip per message and its `publish_async` pays a semaphore, a task and a decoded answer
each; here an acknowledgement is found by a number in its subject. A message that is not acknowledged in time, or is
refused because its stream is not there yet, is sent again under the same message id, which JetStream keeps once.
"""

import asyncio
import logging
import time

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

RESEND_AFTER_S = 2.0
_log = logging.getLogger("flowforge.worker")


class _Sent:
    __slots__ = ("body", "headers", "sent_at", "stored", "subject")

    def __init__(self, subject: str, body: bytes, headers: dict[str, str] | None, stored: asyncio.Future[None]) -> None:
        self.subject = subject
        self.body = body
        self.headers = headers
        self.stored = stored
        self.sent_at = 0.0


class Publisher:
    """One per connection. `tick` and `reconnected` are called by its owner."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = f"{client.new_inbox()}."
        self._count = 0
        self._open: dict[int, _Sent] = {}

    def __len__(self) -> int:
        """How many messages are not acknowledged."""
        return len(self._open)

    async def start(self) -> None:
        """Begin to hear acknowledgements."""
        await self._client.subscribe(f"{self._prefix}*", cb=self._answered, pending_msgs_limit=0, pending_bytes_limit=0)

    async def publish(self, subject: str, body: bytes, message_id: str = "") -> asyncio.Future[None]:
        """Send now; the future is done once the message is stored. Raises `MaxPayloadError`."""
        if len(body) > self._client.max_payload:
            raise MaxPayloadError
        self._count += 1
        number = self._count
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent = self._open[number] = _Sent(subject, body, {"Nats-Msg-Id": message_id} if message_id else None, stored)
        await self._send(number, sent)
        return stored

    async def reconnected(self) -> None:
        """Send again, in order, what the old connection may have swallowed."""
        for number, sent in list(self._open.items()):
            await self._send(number, sent)

    async def tick(self) -> None:
        """Send again what was not acknowledged in time; to be called about each second."""
        due = time.monotonic() - RESEND_AFTER_S
        for number, sent in list(self._open.items()):
            if sent.sent_at <= due:
                await self._send(number, sent)

    async def flushed(self, timeout_s: float) -> bool:
        """Wait until all is stored; False when the time is up first."""
        waiting = [sent.stored for sent in self._open.values()]
        if not waiting:
            return True
        _, late = await asyncio.wait(waiting, timeout=timeout_s)
        return not late

    async def _send(self, number: int, sent: _Sent) -> None:
        sent.sent_at = time.monotonic()
        if not self._client.is_connected:
            return
        try:
            await self._client.publish(sent.subject, sent.body, f"{self._prefix}{number}", sent.headers)
        except NatsError as fault:
            _log.debug("not sent yet: %r", fault)

    async def _answered(self, answer: Msg) -> None:
        number = int(answer.subject.rpartition(".")[2])
        if b'"seq"' in answer.data and b'"error"' not in answer.data:
            sent = self._open.pop(number, None)
            if sent is not None and not sent.stored.done():
                sent.stored.set_result(None)
            return
        sent = self._open.get(number)
        if sent is not None:
            why = answer.data.decode(errors="replace") or "no stream listens on its subject"
            _log.warning("message on %s not stored, sending again: %s", sent.subject, why)
