"""Messages that mean nothing: put aside with their cause, while their neighbours go on."""

import msgspec
import pytest
from flowforge.envelope import CloudEvent, encode, now
from flowforge.identity import new_uuid
from flowforge.reports import JobCompleted
from nats.js.errors import NoStreamResponseError

from tests.faults import invariants
from tests.faults.system import SUBJECTS, System
from tests.faults.workload import SOURCE, Load

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]

BYTES = b"\xff\xfe\x00 neither JSON nor text"
NEARLY_ONE_MIB = 1024 * 1024 - 600


def _event(kind: str, data: object, source: str = SOURCE) -> bytes:
    raw = msgspec.Raw(msgspec.json.encode(data))
    return encode(CloudEvent(id=str(new_uuid()), source=source, type=kind, time=now(), data=raw))


async def _among_others(system: System, poison: dict[str, tuple[bytes, str]]) -> Load:
    """Publish the messages, each on its subject, in the middle of the load; what they are put aside for is checked."""
    load = Load(system)
    await load.begin()
    for subject, (body, _) in poison.items():
        await system.nats.jetstream().publish(subject, body)
    await load.send(1)
    expected = {subject: words for subject, (_, words) in poison.items() if words}

    async def are_aside() -> bool:
        return not invariants.quarantined(await system.read_on(), expected)

    await system.until(are_aside, 30, lambda: "\n".join(invariants.quarantined(system.history.events, expected)))
    await load.quiet()
    return load


async def test_bytes_that_are_no_message(system: System):
    poison = {
        SUBJECTS.inbox("poison"): (BYTES, "no JSON"),
        SUBJECTS.report(new_uuid(), new_uuid(), "JobCompleted"): (BYTES, "invalid"),
        SUBJECTS.report(new_uuid(), new_uuid(), "JobLogged"): (BYTES, "invalid"),
        SUBJECTS.timer(new_uuid()): (BYTES, "invalid"),
        SUBJECTS.job("default", "step"): (
            BYTES,
            "",
        ),  # workers have no log: it is taken off the queue, and told in theirs
    }
    await (await _among_others(system, poison)).check()


async def test_messages_of_a_kind_that_nobody_knows(system: System):
    poison = {
        SUBJECTS.report(new_uuid(), new_uuid(), "JobCompleted"): (_event("JobDanced", {}), "JobDanced"),
        SUBJECTS.timer(new_uuid()): (_event("TimerMelted", {}), "TimerMelted"),
        SUBJECTS.inbox("poison"): (b'{"specversion":"1.0","id":"1","source":"/x"}', "type"),
    }
    await (await _among_others(system, poison)).check()


async def test_reports_that_do_not_say_what_they_must(system: System):
    poison = {
        SUBJECTS.report("not-a-run", new_uuid(), "JobCompleted"): (_event("JobCompleted", {"attempt": 1}), "UUID"),
        SUBJECTS.report(new_uuid(), "not-a-job", "JobLogged"): (
            _event("JobLogged", {"attempt": 1, "lines": []}),
            "UUID",
        ),
        SUBJECTS.timer(new_uuid()): (_event("TimerFired", {"timer_id": 5}), "timer_id"),
    }
    await (await _among_others(system, poison)).check()


async def test_a_report_for_a_run_or_a_job_that_does_not_exist(system: System):
    before = Load(system)
    await before.begin()
    await before.publish("faults.map", {"items": [1]})
    await before.quiet()
    run_id = next(event.stream_id for event in system.history.events if event.stream_type == "run")
    report = _event("JobCompleted", msgspec.to_builtins(JobCompleted(attempt=1)))
    poison = {
        SUBJECTS.report(new_uuid(), new_uuid(), "JobCompleted"): (report, "there is no run"),
        SUBJECTS.report(run_id, new_uuid(), "JobCompleted"): (report, "has no job"),
    }
    await (await _among_others(system, poison)).check()


async def test_a_report_of_a_kind_that_nobody_takes_is_refused_at_the_door(system: System):
    with pytest.raises(NoStreamResponseError):
        await system.nats.jetstream().publish(SUBJECTS.report(new_uuid(), new_uuid(), "JobDanced"), b"{}")


async def test_payloads_as_large_as_the_bus_takes(system: System):
    load = Load(system)
    await load.begin()
    large = {"n": 2, "size": 0, "filling": "x" * (NEARLY_ONE_MIB - 300)}
    await load.publish("faults.chain", large)
    await load.send(1)
    await load.quiet()
    await load.check()
