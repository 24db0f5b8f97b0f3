"""Jobs that NATS may have lost: still open in the log, no longer on the queue, and no sign of life from a worker.

Looked for after every start and after NATS was away, once workers have had a lease's time to speak.
"""

import asyncio
import logging
from uuid import UUID

import msgspec
from flowforge.envelope import NotAnEvent, decode
from flowforge.reports import JobRequested
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

PAGE_COUNT = 500
ANSWER_WAIT_S = 5.0
_log = logging.getLogger(__name__)


async def queued_jobs(client: Client, stream: str) -> set[tuple[UUID, int]]:
    """(job, attempt) of every message on the job stream, read without consuming (JetStream direct get, in batches).

    Raises NatsError when the stream cannot be read whole.
    """
    found: set[tuple[UUID, int]] = set()
    sequence = 1
    while True:
        page = await _page(client, stream, sequence)
        for message in page:
            sequence = int((message.headers or {}).get("Nats-Sequence", sequence)) + 1
            try:
                job = msgspec.json.decode(decode(message.data).data, type=JobRequested)
            except (NotAnEvent, msgspec.DecodeError):
                continue
            found.add((job.job_id, job.attempt))
        if len(page) < PAGE_COUNT:
            return found


async def _page(client: Client, stream: str, sequence: int) -> list[Msg]:
    inbox = client.new_inbox()
    page: list[Msg] = []
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def arrived(message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if status is None:
            page.append(message)
        elif not ended.done():
            if status in ("204", "404"):
                ended.set_result(None)
            else:
                ended.set_exception(NatsError(f"cannot read {stream}: status {status}"))

    subscription = await client.subscribe(inbox, cb=arrived)
    try:
        body = msgspec.json.encode({"seq": sequence, "batch": PAGE_COUNT, "next_by_subj": ">"})
        await client.publish(f"$JS.API.DIRECT.GET.{stream}", body, reply=inbox)
        async with asyncio.timeout(ANSWER_WAIT_S):
            await ended
    except TimeoutError as silence:
        raise NatsError(f"{stream} does not answer") from silence
    finally:
        await subscription.unsubscribe()
    return page
