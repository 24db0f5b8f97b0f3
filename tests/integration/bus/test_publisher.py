"""Publishing: whatever comes back, and whenever, what must be stored is stored."""

from nats.js.api import StreamConfig

from infra.bus import Outgoing
from infra.bus.publisher import Publisher
from tests.integration.bus.conftest import Stage, until


async def test_a_refusal_that_came_before_anybody_waited_is_no_acknowledgement(stage: Stage):
    publisher = Publisher(stage.client)
    await publisher.start()
    name = f"{stage.namespace}_nowhere"
    publication = await publisher.send([Outgoing(f"{name}.x", b"{}", "an id")])
    await until(lambda: bool(publication.refused), "no stream listens")
    await stage.client.jetstream().add_stream(StreamConfig(name=name, subjects=[f"{name}.>"]))
    await publisher.arrive(publication)
    assert (await stage.client.jetstream().stream_info(name)).state.messages == 1
    await stage.client.jetstream().delete_stream(name)


async def test_what_was_under_way_when_the_connection_broke_is_sent_again_at_once(stage: Stage):
    publisher = Publisher(stage.client)
    await publisher.start()
    publication = await publisher.send([Outgoing(stage.subjects.workflow("w", "Counted"), b"{}", "an id")])
    publisher.send_again()
    await publisher.arrive(publication)
    assert publication.missing == {}
    info = await stage.client.jetstream().stream_info(stage.subjects.workflows_stream)
    assert info.state.messages == 1
