"""A message is put aside once, however often it is delivered before its stream hears of that."""

import msgspec
import pytest
from flowforge.envelope import CloudEvent

from infra.bus import Message
from tests.integration.bus.conftest import Stage


def delivery(stage: Stage, number: int, event: CloudEvent, sequence: int = 7) -> Message:
    stream = stage.subjects.runs_stream
    reply = f"$JS.ACK.{stream}.execution.{number}.{sequence}.{number + 40}.1700000000000000000.0"
    return Message(f"{stage.namespace}.runs.w.r.Told", b"{}", event, "stream", reply)


@pytest.mark.parametrize("event_id", ["", "an id"])
async def test_a_message_that_is_delivered_again_after_it_was_put_aside_is_the_same_dead_letter(
    stage: Stage, event_id: str
):
    shell, _ = await stage.shell()
    event = CloudEvent(id=event_id, source="/x", type="Told")
    for number in (1, 2, 3):
        await shell.turn.aside.quarantine(delivery(stage, number, event), "no words")
    assert [aside.get("deliveries", 1) for aside in await stage.quarantined()] == [1]
    await shell.turn.aside.quarantine(delivery(stage, 1, event, sequence=8), "no words")
    assert len(await stage.quarantined()) == 2
    await shell.stop()


async def test_an_event_of_the_log_is_one_dead_letter_whatever_way_it_comes(stage: Stage):
    shell, _ = await stage.shell()
    event = CloudEvent(id="an id", source="/x", type="Told", data=msgspec.Raw(b"{}"), position=5)
    await shell.turn.aside.quarantine(delivery(stage, 1, event), "no words")
    await shell.turn.aside.quarantine(delivery(stage, 1, event, sequence=8), "no words")
    await shell.turn.aside.quarantine(Message("x.log.Told", b"{}", event, "log", ""), "no words")
    assert len(await stage.quarantined()) == 1
    await shell.stop()
