"""Jobs that were handed out as often as they may be, while no worker of their type is left to ask for more.

nats-server tells that a job is spent when somebody pulls from its consumer (`getNextMsg` in its consumer.go), and
with all workers of a type gone nobody does: the attempt would stay open for as long. A pull for fewer bytes than any
job has makes it look and takes nothing; the counts of deliveries stay as they were.
"""

import contextlib

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerInfo

CONSUMERS_PAGE_COUNT = 256
ANSWER_WAIT_S = 2.0
_TAKES_NOTHING = msgspec.json.encode({"batch": 1, "no_wait": True, "max_bytes": 1})


async def look_for_spent_jobs(client: Client, stream: str) -> None:
    """Have nats-server look at every consumer with jobs handed out and nobody waiting; raises NatsError, TimeoutError."""
    for name in await _left_alone(client, stream):
        with contextlib.suppress(TimeoutError, NatsError):  # gone meanwhile, or somebody waits again: nothing to do
            await client.request(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", _TAKES_NOTHING, timeout=ANSWER_WAIT_S)


async def _left_alone(client: Client, stream: str) -> list[str]:
    jetstream, found, offset = client.jetstream(), list[str](), 0
    while True:
        page: list[ConsumerInfo] = await jetstream.consumers_info(stream, offset)
        found += [info.name for info in page if info.num_ack_pending and not info.num_waiting]
        offset += len(page)
        if len(page) < CONSUMERS_PAGE_COUNT:
            return found
