"""Messages that were put aside and are handled once more."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from flowforge.commands import RetryDeadLetter
from flowforge.envelope import CloudEvent, encode, now
from flowforge.events import DeadLetterRetried, MessageQuarantined
from flowforge.events import encode as encoded
from flowforge.identity import named_stream, new_uuid
from tally import Tally

from infra.bus.appending import UNAVAILABLE_WAIT_S
from infra.bus.dead_letters import QUARANTINED_BODY_BYTES_MAX, matches
from infra.eventlog import Append, NewEvent, StreamAppend
from tests.integration.bus.conftest import Stage
from tests.integration.bus.test_failed_turns import Hesitating
from tests.integration.bus.test_shell import Flaky
from tests.until import until

TYPES = {"MessageQuarantined", "DeadLetterRetried"}


async def put_aside(stage: Stage, count: int = 1) -> UUID:
    """The stream of the only dead letter, once so many failures of it are logged."""

    async def is_there() -> bool:
        return len(await stage.quarantined()) == count

    await until(is_there, f"{count} failures are logged")
    [stream] = {event.stream_id for event in await stage.log.read(0, 1000, types=TYPES)}
    return stream


async def retry(stage: Stage, stream: UUID, command_id: str | None = None) -> dict[str, Any]:
    command = RetryDeadLetter(
        command_id=command_id or str(new_uuid()), actor="ada", dead_letter_id="d", service="execution", stream_id=stream
    )
    data = msgspec.Raw(msgspec.json.encode(command))
    event = CloudEvent(id=command.command_id, source="/test", type="RetryDeadLetter", data=data, actor="ada")
    subject = stage.subjects.command("execution", "RetryDeadLetter")
    heard = await stage.client.subscribe(stage.client.new_inbox())
    for shell in stage.shells:
        await shell.command(subject, encode(event), heard.subject)
    return msgspec.json.decode((await heard.next_msg(10)).data)


async def test_a_message_that_was_put_aside_is_handled_once_the_bug_is_gone(stage: Stage):
    shell, service = await stage.shell()
    await stage.say("a", 1, poison=True)
    stream = await put_aside(stage)
    service.is_mended = True
    answer = await retry(stage, stream)
    assert answer["ok"]["service"] == "execution"

    async def is_counted() -> bool:
        return await stage.counted() == [("a", 1)]

    await until(is_counted, "it is handled")
    told = await stage.log.read_stream(stream)
    assert [(event.type, event.actor) for event in told] == [("MessageQuarantined", None), ("DeadLetterRetried", "ada")]
    assert told[1].position == answer["ok"]["position"]
    again = await retry(stage, stream)
    assert again["refused"]["status"] == 409
    assert "already" in again["refused"]["detail"]
    await shell.stop()


async def test_one_that_fails_again_is_the_same_dead_letter_and_may_be_retried_again(stage: Stage):
    shell, service = await stage.shell()
    await stage.say("a", 1, poison=True)
    stream = await put_aside(stage)
    assert "ok" in await retry(stage, stream)
    assert await put_aside(stage, 2) == stream
    service.is_mended = True
    assert "ok" in await retry(stage, stream)

    async def is_counted() -> bool:
        return await stage.counted() == [("a", 1)]

    await until(is_counted, "it is handled at the second retry")
    await shell.stop()


async def test_the_same_request_again_is_answered_as_the_first(stage: Stage):
    shell, service = await stage.shell()
    await stage.say("a", 1, poison=True)
    stream = await put_aside(stage)
    service.is_mended = True
    assert await retry(stage, stream, "c") == await retry(stage, stream, "c")
    assert len(await stage.log.read_stream(stream)) == 2
    await shell.stop()


async def test_one_that_is_retried_while_the_log_does_not_answer_is_handled_once_it_does(stage: Stage):
    stage.log = log = Hesitating()
    shell, service = await stage.shell(log=log)
    await stage.say("a", 1, poison=True)
    stream = await put_aside(stage)
    service.is_mended = True
    log.times = len(UNAVAILABLE_WAIT_S) + 1
    assert "ok" in await retry(stage, stream)

    async def is_counted() -> bool:
        return await stage.counted() == [("a", 1)]

    await until(is_counted, "it is put back like every message of a turn that failed")
    await shell.stop()


async def test_a_retry_that_was_logged_and_reported_as_failed_is_taken_up_when_it_is_asked_for_again(stage: Stage):
    stage.log = log = Flaky()
    shell, service = await stage.shell(log=log)
    await stage.say("a", 1, poison=True)
    stream = await put_aside(stage)
    service.is_mended = True
    log.faults = ["after"]
    assert (await retry(stage, stream, "c"))["refused"]["status"] == 503
    assert "ok" in await retry(stage, stream, "c")

    async def is_counted() -> bool:
        return await stage.counted() == [("a", 1)]

    await until(is_counted, "it is handled")
    assert len(await stage.log.read_stream(stream)) == 2
    await shell.stop()


async def test_bytes_that_are_no_event_fail_again(stage: Stage):
    shell, _ = await stage.shell()
    await stage.publish(b"\xff no event")
    stream = await put_aside(stage)
    assert "ok" in await retry(stage, stream)
    assert await put_aside(stage, 2) == stream
    await shell.stop()


async def test_a_retry_that_was_logged_and_not_taken_up_is_taken_up_at_the_next_start(stage: Stage):
    letter = MessageQuarantined(
        service="execution",
        subject=stage.subjects.run("w", new_uuid(), "WorkflowTriggered"),
        reason="a bug",
        body=stage.body("a", 1).decode(),
    )
    facts = [letter, DeadLetterRetried(service="execution", command_id="c")]
    events = [NewEvent(type(fact).__name__, encoded(fact)) for fact in facts]
    await stage.log.append([Append([StreamAppend("quarantine", new_uuid(), 0, events)], now())])

    class Hearing(Tally):
        hears = frozenset({"Said"})

    shell, _ = await stage.shell(Hearing(stage.log, stage.namespace))

    async def is_counted() -> bool:
        return await stage.counted() == [("a", 1)]

    await until(is_counted, "it is handled")
    await shell.stop()


@pytest.mark.parametrize(
    ("letter", "status", "word"),
    [
        (None, 404, "no dead letter"),
        ({"subject": "x.commands.execution.CancelRun"}, 409, "send the request again"),
        ({"subject": "x.runs.w.r.T", "body": "x" * QUARANTINED_BODY_BYTES_MAX}, 409, "in part only"),
    ],
)
async def test_what_cannot_be_retried_says_why(stage: Stage, letter: dict[str, Any] | None, status: int, word: str):
    shell, _ = await stage.shell()
    stream = named_stream("quarantine", "x")
    if letter is not None:
        fields: dict[str, Any] = {"service": "execution", "reason": "no", "body": "{}", **letter}
        fact = MessageQuarantined(**fields)
        told = StreamAppend("quarantine", stream, 0, [NewEvent("MessageQuarantined", encoded(fact))])
        await stage.log.append([Append([told], now())])
    refused = (await retry(stage, stream))["refused"]
    assert (refused["status"], word in refused["detail"]) == (status, True)
    await shell.stop()


@pytest.mark.parametrize(
    ("pattern", "subject", "is_match"),
    [
        ("a.*.c", "a.b.c", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.b", "a.b", True),
    ],
)
def test_patterns_of_subjects(pattern: str, subject: str, is_match: bool):
    assert matches(pattern, subject) == is_match
