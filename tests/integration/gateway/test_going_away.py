"""Whoever goes away in the middle of an answer leaves nothing behind."""

import asyncio
import contextlib

import msgspec
from flowforge.commands import RehearseTrigger
from flowforge.identity import new_uuid

from infra.settings import Settings
from services.gateway.commanding import Services, connect
from services.gateway.routes.dry_runs import with_progress


async def test_whoever_goes_while_a_history_is_tried_leaves_no_task(
    service_dsn: str, nats_url: str, namespace: str
) -> None:
    client = await connect(Settings(database_url=service_dsn, nats_url=nats_url, namespace=namespace))
    services = Services(client, namespace)
    command = RehearseTrigger(command_id=str(new_uuid()), trigger=msgspec.Raw(b"{}"))
    began = asyncio.Event()

    async def never() -> dict[str, object]:
        began.set()
        return await asyncio.get_running_loop().create_future()

    before = asyncio.all_tasks()
    messages = with_progress(services, command, never)
    first = asyncio.ensure_future(anext(messages))
    try:
        await began.wait()
        await client.publish(services.subjects.rehearsal(command.command_id), b"{}")
        assert await first == b"event: progress\ndata: {}\n\n"
        second = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)  # it waits for what comes next
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        await asyncio.sleep(0)
        assert asyncio.all_tasks() <= before
    finally:
        await client.close()
