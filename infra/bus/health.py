"""How each service is, asked over NATS: every process answers `health.<service>`, stand-bys too."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager

import msgspec
from flowforge.subjects import Subjects
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.telemetry.measures import MEASURES, Measured

ANSWERING = ("catalog", "triggers", "execution", "scheduler", "projections", "subscriptions", "gateway")
"""Services whose processes say how they are. Workers do not: whether one is there is seen at its queues."""
ANSWERS_WAIT_S = 1.0
"""How long somebody who asks waits for those that do not answer."""


class Health(msgspec.Struct, omit_defaults=True):
    """What a process says of itself. `last_turn_at_s`: seconds since 1970. `is_owner`: False for one that stands by."""

    service: str
    measured: Measured
    is_owner: bool = True
    is_ready: bool = True
    waiting: int = 0
    """Messages that it has taken and not turned."""
    said_position: int = 0
    last_turn_at_s: float = 0.0
    silent_consumers: list[str] = []


_decoder = msgspec.json.Decoder(Health)


def healthy(service: str) -> Health:
    """Of a process that has nothing more to tell than that it is there."""
    return Health(service=service, measured=MEASURES.now())


async def answer_health(request: Msg, health: Health) -> None:
    """Tell whoever asked."""
    if request.reply:
        await request.respond(msgspec.json.encode(health))


async def ask_health(
    client: Client, subjects: Subjects, services: Collection[str], wait_s: float = ANSWERS_WAIT_S
) -> list[Health]:
    """What the processes of these services answer. Returns once the owner of each has, or after `wait_s`.

    Raises NatsError, OSError when the question cannot be asked.
    """
    told: list[Health] = []
    missing = set(services)
    deadline = time.monotonic() + wait_s
    async with _inbox(client) as (reply_to, heard):
        for service in services:
            await client.publish(subjects.health(service), b"", reply=reply_to)
        while missing and (left_s := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    message = await heard.get()
                    if not message.data:  # nobody listens there
                        continue
                    one = _decoder.decode(message.data)
                    told.append(one)
                    if one.is_owner:
                        missing.discard(one.service)
    return told


@asynccontextmanager
async def _inbox(client: Client) -> AsyncGenerator[tuple[str, asyncio.Queue[Msg]]]:
    heard = asyncio.Queue[Msg]()

    async def arrived(message: Msg) -> None:
        heard.put_nowait(message)

    subject = client.new_inbox()
    subscription = await client.subscribe(subject, cb=arrived)
    try:
        yield subject, heard
    finally:
        await subscription.unsubscribe()
