"""The stage for execution: a log in memory, a namespace on a real nats-server, and one process after the other."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest

from infra.bus import topology

sys.path.insert(0, str(Path(__file__).parent))  # test folders have no packages

from execution_stage import Installation


@pytest.fixture
async def installation(nats_url: str, namespace: str) -> AsyncIterator[Installation]:
    client = await nats.connect(nats_url)
    await topology.declare(client, namespace)
    installation = Installation(client, namespace)
    yield installation
    await installation.stop()
    for stream in topology.streams(installation.subjects):
        await client.jetstream().delete_stream(str(stream.name))
    await client.close()
