"""Questions to triggers: each gets its own answer, and one answer, whatever becomes of the turn."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from triggers_spec import START, Spec, command, on_event, plain

from infra.bus import Message
from infra.eventlog import Duplicate, MemoryEventLog, StoredEvent, Unavailable
from services.triggers import questions
from services.triggers.settings import REHEARSAL_STEP_COUNT


class Log(MemoryEventLog):
    """One whose reads by position, or of the history, fail."""

    fault: Exception | None = None

    async def read_position(self, position: int) -> StoredEvent | None:
        if self.fault is not None:
            raise self.fault
        return await super().read_position(position)

    async def read(self, after_position: int, limit: int = 1000, **which: Any) -> list[StoredEvent]:
        if self.fault is not None and "run" in (which.get("stream_types") or ()):
            raise self.fault
        return await super().read(after_position, limit, **which)


def upstreams(command_id: str) -> Message:
    return command("CheckUpstreams", command_id=command_id, workflow_id="w", upstreams=["nobody"])


def rehearsal(trigger: dict[str, Any], **window: Any) -> Message:
    return command("RehearseTrigger", command_id="r", trigger=trigger, workflow_id="w", **window)


async def replies(spec: Spec, asked: Sequence[Message]) -> list[dict[str, Any]]:
    """What is answered outside the turn."""
    told: list[dict[str, Any]] = []

    async def reply(_message: Any, body: bytes) -> None:
        told.append(plain(body))  # type: ignore[arg-type]

    spec.service.questions.reply = reply
    await spec.turn(asked)
    async with asyncio.timeout(10):
        while len(told) < len(asked):
            await asyncio.sleep(0)
    return told


async def test_an_answer_of_a_turn_that_failed_is_never_given_to_another_question(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(questions, "id", lambda _: 1, raising=False)  # each message lies where the one before it lay
    log = Log()
    spec = Spec(log)
    await spec.workflow("w")
    failing = command("ExplainDecision", command_id="q2", workflow_id="w", trigger_id="t", position=1)
    asked = [upstreams("q1"), failing]
    log.fault = Unavailable("the log does not answer")
    with pytest.raises(Unavailable):
        await spec.turn(asked)
    for message in asked:
        spec.service.refused(spec.service.key(message), Duplicate(0))  # as the shell does when a turn fails
    log.fault = None
    [answer] = await replies(spec, [rehearsal(on_event())])
    assert answer["ok"]["evaluated"] == 0
    assert spec.answers == []


async def test_who_asked_for_a_rehearsal_that_fails_is_told_so(caplog: pytest.LogCaptureFixture):
    log = Log()
    spec = Spec(log)
    await spec.workflow("w")
    log.fault = AssertionError("a bug")
    [answer] = await replies(spec, [rehearsal(on_event())])
    assert (answer["refused"]["code"], answer["refused"]["status"]) == ("INTERNAL_ERROR", 500)
    assert "AssertionError" in answer["refused"]["detail"]
    assert "a rehearsal failed" in caplog.text


@pytest.mark.parametrize(
    ("trigger", "times"),
    [
        (on_event(delay_ms=3_600_000), 6 * REHEARSAL_STEP_COUNT),
        ({"id": "t", "type": "schedule", "config": {"every_ms": 60_000}}, 0),
    ],
)
async def test_the_turns_go_on_while_a_rehearsal_comes_to_its_end(trigger: dict[str, Any], times: int):
    spec = Spec()
    await spec.workflow("w")
    for number in range(times):
        await spec.event(f"e{number}")
    passed = 0

    async def others() -> None:
        nonlocal passed
        while True:
            passed += 1
            await asyncio.sleep(0)

    going_on = asyncio.create_task(others())
    [answer] = await replies(spec, [rehearsal(trigger, since=str(START), until=str(START + timedelta(hours=5)))])
    going_on.cancel()
    assert answer["ok"]["would_fire"] == (times or 300)
    assert passed >= (times + answer["ok"]["would_fire"]) // REHEARSAL_STEP_COUNT
