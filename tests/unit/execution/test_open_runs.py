"""Which runs are open after a start: also those that were to go on once more, however long ago they began."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
from flowforge.errors import RunError
from flowforge.events import (
    Cause,
    Event,
    RunCompleted,
    RunFailed,
    RunRetryRefused,
    RunRetryRequested,
    TriggerRef,
    WorkflowTriggered,
    encode,
)
from flowforge.identity import derived_uuid

from infra.eventlog import Append, MemoryEventLog, NewEvent, StoredEvent, StreamAppend
from services.execution.open_runs import OpenRuns
from services.execution.state import Run
from tests.unit.execution.given import NOW

FAILED = RunFailed(error=RunError(code="NODE_EXECUTION_FAILED", message="no"))
RETRIED = RunRetryRequested(cleared=["a"], command_id="c")


class Log(MemoryEventLog):
    """Tells events of runs by number."""

    async def tell(self, number: int, *events: Event) -> UUID:
        run_id = derived_uuid(NOW, "run", number)
        version = len(await self.read_stream(run_id))
        new = [NewEvent(type(event).__name__, encode(event)) for event in events]
        await self.append([Append([StreamAppend("run", run_id, version, new)], NOW)])
        return run_id


def triggered(number: int) -> WorkflowTriggered:
    run_id = derived_uuid(NOW, "run", number)
    return WorkflowTriggered(
        run_id=run_id,
        workflow_id="wf",
        workflow_version=3,
        trigger=TriggerRef(type="manual", id="manual"),
        trigger_version=1,
        cause=Cause(event_id=run_id, type="RunRequested", id="1", source="/test", stream_id=run_id),
        input_data=msgspec.Raw(b"null"),
    )


async def found(log: Log) -> OpenRuns:
    runs = OpenRuns(log)
    await runs.find()
    return runs


async def test_runs_that_have_not_ended_are_open_with_the_version_of_their_workflow():
    log = Log()
    first, second = await log.tell(1, triggered(1)), await log.tell(2, triggered(2))
    await log.tell(1, RunCompleted())
    runs = await found(log)
    assert dict(runs) == {second: 2}
    assert runs.found == {second: ("wf", 3)}
    assert first not in runs


async def test_a_run_that_is_to_go_on_is_open_from_there_on():
    log = Log()
    run = await log.tell(1, triggered(1), FAILED)
    await log.set_cursor("open:execution", 2)
    await log.tell(1, RETRIED)
    assert dict(await found(log)) == {run: 3}
    await log.tell(1, RunCompleted())
    assert dict(await found(log)) == {}


async def test_a_run_whose_retry_was_refused_is_not():
    log = Log()
    await log.tell(1, triggered(1), FAILED, RETRIED)
    await log.tell(1, RunRetryRefused(status="failed", code="CONCURRENT_EXECUTION_CONFLICT", message="no slot"))
    assert dict(await found(log)) == {}


class Slow(Log):
    """What happens `meanwhile` is logged, and noted, before the answer to a read of the end of the log arrives."""

    meanwhile: Callable[[], Awaitable[object]]

    async def read(self, after_position: int, limit: int = 1000, **options: Any) -> list[StoredEvent]:
        page = await super().read(after_position, limit, **options)
        if not page:
            await self.meanwhile()
        return page


async def test_a_run_that_ends_while_they_are_being_found_is_not_open_for_ever():
    log = Slow()
    run, other = await log.tell(1, triggered(1)), await log.tell(2, triggered(2))
    runs = OpenRuns(log)

    async def ends() -> None:
        await log.tell(1, RunCompleted())
        runs.note(cast("Run", SimpleNamespace(id=run, is_ended=True)), [RunCompleted()], 3)

    log.meanwhile = ends
    await runs.find()
    assert dict(runs) == {other: 2}


async def test_found_twice_at_once_what_was_noted_since_stands():
    log = Slow()
    run = await log.tell(1, triggered(1))
    runs = OpenRuns(log)

    async def is_found_by_another_and_ends() -> None:
        log.meanwhile = nothing
        await runs.find()
        await log.tell(1, RunCompleted())
        runs.note(cast("Run", SimpleNamespace(id=run, is_ended=True)), [RunCompleted()], 2)

    async def nothing() -> None:
        return

    log.meanwhile = is_found_by_another_and_ends
    await runs.find()
    assert dict(runs) == {}
