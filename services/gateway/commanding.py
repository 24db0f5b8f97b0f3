"""Commands on their way to the services, and their answers back: NATS request and reply.

A command keeps its id however often it is sent, and a service that has carried it out answers it as the first time; so
silence is answered by asking again, until the caller has waited long enough. All tries of a command share one reply
subject, unlike `request` of nats-py: whoever is slow is heard all the same.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncGenerator
from itertools import chain, count, repeat
from typing import Any

import msgspec
import nats
from flowforge.commands import COMMANDS, Command, RetryDeadLetter
from flowforge.envelope import CloudEvent, encode
from flowforge.refusals import Accepted, Refusal, Rejected
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from infra.bus.health import answer_health, healthy
from infra.failpoints import failpoint
from infra.http.problems import Problem, of_refusal, unavailable
from infra.settings import Settings
from services.gateway.settings import (
    answer_wait_s,
    answers_wait_s,
    connect_wait_s,
    ping_interval_s,
    reconnect_wait_s,
    retry_waits_s,
)

_log = logging.getLogger(__name__)
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_HEADROOM_BYTES = 1024
_NOBODY_LISTENS = "503"
_NOT_NOW = 503


async def _tell_health(request: Msg) -> None:
    await answer_health(request, healthy("gateway"))


class _Answer(msgspec.Struct):
    ok: dict[str, Any] | None = None
    refused: Refusal | None = None


_decoder = msgspec.json.Decoder(_Answer)


async def connect(settings: Settings) -> Client:
    """A connection that waits for a server that is not there yet, and never gives up afterwards."""
    assert settings.nats_url

    async def on_error(fault: Exception) -> None:
        _log.warning("gateway: NATS: %s", fault or type(fault).__name__)

    while True:
        try:
            return await nats.connect(
                settings.nats_url,
                name="gateway",
                max_reconnect_attempts=-1,
                reconnect_time_wait=reconnect_wait_s,  # type: ignore[arg-type]
                ping_interval=ping_interval_s,
                inbox_prefix=settings.nats_inbox_prefix.encode(),
                error_cb=on_error,
            )
        except (OSError, TimeoutError, NatsError) as fault:
            _log.warning("NATS is not there yet: %s", fault)
            await asyncio.sleep(connect_wait_s)


class Services:
    """The services as the gateway knows them: commands go in, answers come out."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._subjects = Subjects(namespace)
        self._source = f"/{namespace}/gateway"
        self._inbox = client.new_inbox()
        self._tokens = count(1)
        self._heard: dict[str, asyncio.Queue[Msg]] = {}

    async def start(self) -> None:
        """Begin to hear answers, and whoever asks how the gateway is."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._arrived)
        await self._client.subscribe(self._subjects.health("gateway"), cb=_tell_health)

    async def ask(
        self, command: Command, traceparent: str | None = None, wait_s: float | None = None
    ) -> dict[str, Any]:
        """What the service answered within `wait_s`, else `answers_wait_s`. Raises `Problem`: its refusal; 413 or 503."""
        name = type(command).__name__
        service = command.service if isinstance(command, RetryDeadLetter) else COMMANDS[name][0]
        body = self._envelope(command, name, traceparent)
        if len(body) > self.bytes_max:
            raise Problem(
                413,
                f"the request has {len(body) // 1024} KiB, the bus takes {self.bytes_max // 1024} KiB",
                code="PAYLOAD_TOO_LARGE",
            )
        failpoint("gateway.before_command")
        answer = await self._answer(
            self._subjects.command(service, name), body, service, answers_wait_s if wait_s is None else wait_s
        )
        failpoint("gateway.after_command")
        if isinstance(answer, Rejected):
            raise of_refusal(answer.refused)
        return answer.ok

    @contextlib.asynccontextmanager
    async def hearing(self, subject: str) -> AsyncGenerator[asyncio.Queue[bytes]]:
        """What is told on a subject meanwhile."""
        heard = asyncio.Queue[bytes]()

        async def arrived(message: Msg) -> None:
            heard.put_nowait(message.data)

        subscription = await self._client.subscribe(subject, cb=arrived)
        try:
            yield heard
        finally:
            await subscription.unsubscribe()

    @property
    def subjects(self) -> Subjects:
        return self._subjects

    @property
    def bytes_max(self) -> int:
        """The largest command."""
        return (self._client.max_payload or 1024 * 1024) - _HEADROOM_BYTES

    def _envelope(self, command: Command, name: str, traceparent: str | None) -> bytes:
        is_sound = traceparent is not None and _TRACEPARENT.fullmatch(traceparent)
        return encode(
            CloudEvent(
                id=command.command_id,
                source=self._source,
                type=name,
                data=msgspec.Raw(msgspec.json.encode(command)),
                traceparent=traceparent if is_sound else None,
                actor=command.actor or None,
            )
        )

    async def _answer(self, subject: str, body: bytes, service: str, wait_s: float) -> Accepted | Rejected:
        token = str(next(self._tokens))
        heard = self._heard[token] = asyncio.Queue[Msg]()
        deadline = time.monotonic() + wait_s
        try:
            for pause_s in chain(retry_waits_s, repeat(retry_waits_s[-1])):
                timeout_s = min(answer_wait_s, deadline - time.monotonic())
                answer = await self._try(subject, body, f"{self._inbox}.{token}", heard, timeout_s)
                if answer is not None:
                    return answer
                if time.monotonic() + pause_s >= deadline:
                    break
                await asyncio.sleep(pause_s)
        finally:
            del self._heard[token]
        _log.warning("%s does not answer", service)
        raise unavailable(f"the service '{service}' does not answer; nothing is lost by asking again")

    async def _try(
        self, subject: str, body: bytes, reply_to: str, heard: asyncio.Queue[Msg], timeout_s: float
    ) -> Accepted | Rejected | None:
        """Send it once more and wait for an answer, to this or to an earlier try; None when it is worth another."""
        try:
            await self._client.publish(subject, body, reply=reply_to)
            async with asyncio.timeout(timeout_s):
                message = await heard.get()
        except TimeoutError:
            return None
        except (NatsError, OSError) as fault:
            _log.info("cannot send on %s: %s", subject, fault)
            return None
        if message.headers is not None and message.headers.get("Status") == _NOBODY_LISTENS:
            return None
        answer = _decoder.decode(message.data)
        if answer.refused is None:
            return Accepted(answer.ok or {})
        return None if answer.refused.status == _NOT_NOW else Rejected(answer.refused)

    async def _arrived(self, message: Msg) -> None:
        heard = self._heard.get(message.subject.rpartition(".")[2])
        if heard is not None:
            heard.put_nowait(message)
