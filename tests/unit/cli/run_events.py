"""Frozen lists of events for the tests of what is drawn of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from flowforge import events as e
from flowforge.errors import RunError

from services.cli import view
from services.cli.view import RunView

RUN_ID = "01934a2c-5c1e-7000-8000-000000000001"
STARTED_AT = datetime(2026, 11, 21, 2, 0, 0, tzinfo=UTC)
Graph = list[tuple[str, str, list[str]]]
Told = tuple[float, e.Event]


def at(seconds: float) -> datetime:
    return STARTED_AT + timedelta(seconds=seconds)


def triggered(workflow_id: str = "daily-report", trigger: str = "new-data") -> e.WorkflowTriggered:
    cause = e.Cause(event_id=UUID(RUN_ID), type="data.arrived", id="1", source="test", stream_id=UUID(RUN_ID))
    return e.WorkflowTriggered(
        run_id=UUID(RUN_ID), workflow_id=workflow_id, workflow_version=3, trigger=e.TriggerRef("event", trigger),
        trigger_version=1, cause=cause,
    )  # fmt: skip


def error(message: str, code: str = "NODE_EXECUTION_FAILED", resolution: str = "") -> RunError:
    return RunError(code, message, suggested_resolution=resolution)


def folded(graph: Graph, told: list[Told]) -> RunView:
    """The run as it is shown after these events."""
    run = view.initial(RUN_ID, graph)
    for position, (seconds, event) in enumerate(told, start=1):
        view.apply(run, type(event).__name__, e.encode(event), at(seconds), position)
    return run


def output(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
