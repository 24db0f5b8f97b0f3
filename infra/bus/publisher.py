"""Publishing to JetStream, pipelined: a turn's messages leave in one write, their acknowledgements are counted.

nats-py's own `publish_async` pays a future, a semaphore and a validation per message; here a turn pays for one write.
The lines of the wire protocol are written here and nowhere else (source: the NATS client protocol, PUB and HPUB).
"""

import asyncio
import logging
from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from infra.bus.message import Outgoing
from infra.telemetry.measures import MEASURES

ACKS_WAIT_S = 5.0
RETRY_WAIT_S = 0.1
_HEADER = "NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n"
_HEADER_BYTES = len(_HEADER.format(""))
_log = logging.getLogger(__name__)


class Publication:
    """Messages on their way; `arrived` is set once each is acknowledged."""

    __slots__ = ("arrived", "missing", "numbers", "refused")

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        self.missing: dict[int, Outgoing] = {
            index: message for index, message in enumerate(messages) if message.is_kept
        }
        self.refused = ""
        self.numbers: list[str] = []
        """Of the writes whose acknowledgements are heard."""
        self.arrived = asyncio.Event()
        if not self.missing:
            self.arrived.set()

    def acknowledged(self, index: int) -> None:
        """The message arrived, and with a covered one all covered ones before it."""
        message = self.missing.pop(index, None)
        if message is not None and message.is_covered:
            for other in [other for other, covered in self.missing.items() if covered.is_covered and other < index]:
                del self.missing[other]


class Publisher:
    """One per connection."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = client.new_inbox()
        self._count = 0
        self._open: dict[str, Publication] = {}

    async def start(self) -> None:
        """Begin to hear acknowledgements."""
        await self._client.subscribe(f"{self._prefix}.*.*", cb=self._acknowledged)

    async def send(self, messages: Sequence[Outgoing]) -> Publication:
        """Write the messages, in order, and return at once."""
        publication = Publication(messages)
        await self._write(list(enumerate(messages)), publication)
        return publication

    async def arrive(self, publication: Publication) -> None:
        """Wait until each message is acknowledged; what is not in time, or refused, is sent again, for ever."""
        while publication.missing:  # not `arrived`: a refusal sets it too
            try:
                await asyncio.wait_for(publication.arrived.wait(), ACKS_WAIT_S)
            except TimeoutError:
                if not self._client.is_connected:
                    continue  # it would lie in memory beside what was written already, once more at each wait
                MEASURES.add("publishes_repeated_total", len(publication.missing))
                _log.warning("%d messages not acknowledged, sending again", len(publication.missing))
            if publication.refused:
                MEASURES.add("publishes_refused_total")
                _log.warning("publishing refused, trying again: %s", publication.refused)
                publication.refused = ""
                publication.arrived.clear()
                await asyncio.sleep(RETRY_WAIT_S)
            if publication.missing:
                publication.arrived.clear()
                await self._write(list(publication.missing.items()), publication)

    def send_again(self) -> None:
        """After a reconnect: what is not acknowledged was sent to a server that is no more."""
        for publication in self._open.values():
            publication.refused = "the connection was lost"
            publication.arrived.set()
        self._open.clear()

    async def tell(self, subject: str, body: bytes) -> None:
        """A message that nobody need hear; lost when the connection is down."""
        try:
            await self._client.publish(subject, body)
        except NatsError:
            return

    async def _write(self, messages: list[tuple[int, Outgoing]], publication: Publication) -> None:
        messages = self._carried(messages, publication)
        last_covered = max((index for index, message in messages if message.is_covered), default=-1)
        prefix = f"{self._prefix}.{self._opened(publication)}."
        lines: list[bytes] = []
        for index, message in messages:
            is_asked = message.is_kept and (not message.is_covered or index == last_covered)
            body, reply = message.body, f"{prefix}{index} " if is_asked else ""
            if message.message_id:
                header = _HEADER.format(message.message_id)
                sizes = f"{len(header)} {len(header) + len(body)}"
                lines.append(f"HPUB {message.subject} {reply}{sizes}\r\n{header}".encode() + body + b"\r\n")
            else:
                lines.append(f"PUB {message.subject} {reply}{len(body)}\r\n".encode() + body + b"\r\n")
        if lines:
            await self._client._send_command(b"".join(lines))  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
            await self._client._flush_pending()  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        if not publication.missing:
            publication.arrived.set()

    def _carried(self, messages: list[tuple[int, Outgoing]], publication: Publication) -> list[tuple[int, Outgoing]]:
        """Those that are not too large for the bus, whose server closes the connection for one that is."""
        limit, carried = self._client.max_payload or 1024 * 1024, list[tuple[int, Outgoing]]()
        for index, message in messages:
            size = len(message.body) + (_HEADER_BYTES + len(message.message_id) if message.message_id else 0)
            if size > limit:
                _log.error("message on %s has %d bytes, the limit is %d", message.subject, size, limit)
                publication.missing.pop(index, None)
            else:
                carried.append((index, message))
        return carried

    def _opened(self, publication: Publication) -> str:
        """The number of a new write of it."""
        self._count += 1
        number = str(self._count)
        if publication.missing:
            self._open[number] = publication
            publication.numbers.append(number)
        return number

    async def _acknowledged(self, answer: Msg) -> None:
        _, number, index = answer.subject.rsplit(".", 2)
        publication = self._open.get(number)
        if publication is None:
            return
        if b'"seq":' in answer.data and b'"error"' not in answer.data:
            publication.acknowledged(int(index))
        else:
            publication.refused = answer.data.decode(errors="replace") or "no stream listens on its subject"
        if not publication.missing or publication.refused:
            for written in publication.numbers:
                self._open.pop(written, None)
            publication.numbers.clear()
            publication.arrived.set()
