"""Publishing: whatever comes back, and whenever, what must be stored is stored."""

import asyncio
import contextlib
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig

from infra.bus import Outgoing, publisher
from infra.bus.publisher import ACKS_WAIT_S, Publisher
from tests.conftest import StartNats
from tests.integration.bus.conftest import Stage
from tests.until import until


async def test_a_refusal_that_came_before_anybody_waited_is_no_acknowledgement(stage: Stage):
    sender = Publisher(stage.client)
    await sender.start()
    name = f"{stage.namespace}_nowhere"
    publication = await sender.send([Outgoing(f"{name}.x", b"{}", "an id")])
    await until(lambda: bool(publication.refused), "no stream listens")
    await stage.client.jetstream().add_stream(StreamConfig(name=name, subjects=[f"{name}.>"]))
    await sender.arrive(publication)
    assert (await stage.client.jetstream().stream_info(name)).state.messages == 1
    await stage.client.jetstream().delete_stream(name)


async def test_what_was_under_way_when_the_connection_broke_is_sent_again_at_once(stage: Stage):
    sender = Publisher(stage.client)
    await sender.start()
    publication = await sender.send([Outgoing(stage.subjects.workflow("w", "Counted"), b"{}", "an id")])
    sender.send_again()
    await sender.arrive(publication)
    assert publication.missing == {}
    info = await stage.client.jetstream().stream_info(stage.subjects.workflows_stream)
    assert info.state.messages == 1


@pytest.mark.parametrize("more", [-10, 1], ids=["with its header", "by itself"])
async def test_what_is_too_large_for_the_bus_is_left_out_and_its_neighbours_arrive_at_once(stage: Stage, more: int):
    sender = Publisher(stage.client)
    await sender.start()
    subject, large = stage.subjects.workflow("w", "Counted"), b"x" * (stage.client.max_payload + more)
    bodies = {"first": b"{}", "large": large}
    said = [Outgoing(subject, body, name, is_covered=True) for name, body in bodies.items()]
    async with asyncio.timeout(ACKS_WAIT_S / 2):
        await sender.arrive(await sender.send(said))
    info = await stage.client.jetstream().stream_info(stage.subjects.workflows_stream)
    assert info.state.messages == 1


async def test_while_nats_is_away_what_waits_for_it_is_written_once(
    tmp_path: Path, start_nats: StartNats, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publisher, "ACKS_WAIT_S", 0.01)
    with start_nats(tmp_path) as server:
        client = await nats.connect(server.url, max_reconnect_attempts=-1)
        sender = Publisher(client)
        await sender.start()
        server.process.kill()
        await until(lambda: not client.is_connected, "the connection is lost")
        publication = await sender.send([Outgoing("a.b", b"{}", "an id")])
        written_bytes = client.pending_data_size
        arriving = asyncio.create_task(sender.arrive(publication))
        await asyncio.wait({arriving}, timeout=0.3)
        assert client.pending_data_size == written_bytes
        arriving.cancel()
        await asyncio.wait({arriving})
        with contextlib.suppress(OSError):  # nobody is there to be told
            await client.close()
