"""The events that a run was started for, as `event` and `events` in its templates: read once, where a template asks."""

from typing import Any, cast

import msgspec
from flowforge.envelope import SPEC_VERSION
from flowforge.events import (
    Cause,
    ChildRunRequested,
    EventReceived,
    JobEnded,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPartiallyCompleted,
    RunRequested,
    ScheduleFired,
    TriggerTimerFired,
    WorkflowTriggered,
    decode,
)

from infra.causes import ended_data, plain, scheduled_data
from infra.eventlog import EventLog, StoredEvent

_WITH_OUTPUT = frozenset({RunCompleted.__name__, RunPartiallyCompleted.__name__})


async def cause_events(log: EventLog, triggered: WorkflowTriggered) -> list[dict[str, Any]]:
    """All that the run consumed, the cause itself last. May raise `Unavailable`."""
    events = [await _event(log, cause) for cause in (*triggered.earlier, triggered.cause)]
    for event in events:
        data = event["data"] = await _whole(log, event["data"])
        if isinstance(data, dict) and event["type"] in _WITH_OUTPUT and "output" in data:
            data["output"] = await _whole(log, cast("object", data["output"]))
    return events


async def _whole(log: EventLog, value: Any) -> Any:
    """The value itself, where it is kept beside the log."""
    name: object = cast("dict[str, object]", value).get("$blob") if isinstance(value, dict) else None
    kept = await log.get_blob(name) if isinstance(name, str) else None
    return value if kept is None else msgspec.json.decode(kept)


async def _event(log: EventLog, cause: Cause) -> dict[str, Any]:
    history = await log.read_stream(cause.stream_id, limit=1)
    first = history[0] if history else None
    if first is not None and first.event_id != cause.event_id:  # of a run, which has more to tell than its beginning
        stored = next((one for one in await log.read_stream(cause.stream_id) if one.event_id == cause.event_id), None)
        return _told(cause, stored, cast("WorkflowTriggered", decode(first.type, first.data)))
    return _told(cause, first, None)


def _told(cause: Cause, stored: StoredEvent | None, run: WorkflowTriggered | None) -> dict[str, Any]:
    told: dict[str, Any] = {"specversion": SPEC_VERSION, "id": cause.id, "source": cause.source, "type": cause.type}
    if stored is None:
        return {**told, "data": None}
    match decode(stored.type, stored.data):
        case EventReceived():
            return {"specversion": SPEC_VERSION, **cast("dict[str, Any]", msgspec.json.decode(stored.data))}
        case ScheduleFired() as fired:
            return {**told, "time": plain(fired.scheduled_at), "data": plain(scheduled_data(fired))}
        case RunRequested() as asked:
            return {**told, "data": msgspec.json.decode(asked.input_data)}
        case ChildRunRequested() as asked:
            return {**told, "data": msgspec.json.decode(asked.input)}
        case RunCompleted() | RunFailed() | RunCancelled() | RunPartiallyCompleted() as ending if run is not None:
            return {**told, "time": plain(stored.recorded_at), "data": plain(ended_data(run, ending))}
        case TriggerTimerFired() as timer:
            return {**told, "time": plain(timer.due_at), "data": plain({"due_at": timer.due_at})}
        case JobEnded():
            return {**told, "time": plain(stored.recorded_at), "data": msgspec.json.decode(stored.data)}
        case _:
            return {**told, "data": None}
