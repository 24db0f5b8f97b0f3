"""Forks: what somebody asks for who wants a run to go on from a past moment, as the run that it comes to."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from flowforge.commands import ForkRun, RequestRun
from flowforge.events import ForkedFrom, WorkflowTriggered, decode
from flowforge.raw import present
from flowforge.refusals import Refusal, invalid, not_found

from infra.eventlog import EventLog, StoredEvent
from services.triggers.recalling import whole


class Forking:
    """Reads the run that is forked."""

    def __init__(self, log: EventLog, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._clock = clock

    async def asked(self, command: ForkRun) -> RequestRun | Refusal:
        """The run that is asked for: as the other one began, but for what is changed. May raise `Unavailable`."""
        history = await self._history(command.run_id)
        if not history:
            return not_found("run", command.run_id)
        if (beyond := await self._beyond(command)) is not None:
            return beyond
        past = _until(history, command)
        if not past:
            return _not_yet(history[0], command)
        run = cast("WorkflowTriggered", decode(history[0].type, history[0].data))
        given = present(command.input_data)
        fork = ForkedFrom(
            run_id=run.run_id,
            version=past[-1].version,
            position=past[-1].position,
            node_outputs=command.node_outputs,
            rerun=command.rerun,
            shadow_version=history[-1].version if command.is_shadow else None,
        )
        return RequestRun(
            command_id=command.command_id,
            actor=command.actor,
            workflow_id=run.workflow_id,
            input_data=await whole(self._log, run.input_data) if given is None else given,
            variables={**run.variables, **command.variables},
            version=None if command.is_newest else command.version or run.workflow_version,
            labels=run.labels if command.labels is None else command.labels,
            priority=run.priority if command.priority is None else command.priority,
            timeout_ms=run.timeout_ms,
            override_running=command.override_running,
            from_node=run.from_node,
            breakpoints=run.breakpoints if command.breakpoints is None else command.breakpoints,
            fork=fork,
        )

    async def _beyond(self, command: ForkRun) -> Refusal | None:
        """Whether the moment is yet to come."""
        if command.at is not None and command.at > self._clock():
            return _no_moment(f"{command.at.isoformat()} lies in the future: what will be is not known")
        if command.position is not None and command.position > (head := (await self._log.head()).position):
            return _no_moment(f"position {command.position} lies beyond the end of this log ({head})")
        return None

    async def _history(self, run_id: str) -> Sequence[StoredEvent]:
        try:
            history = await self._log.read_stream(UUID(run_id))
        except ValueError:
            return []
        return history if history and history[0].type == WorkflowTriggered.__name__ else []


def _no_moment(message: str) -> Refusal:
    return invalid("No such moment", message, [{"path": "$.at", "message": message}])


def _until(history: Sequence[StoredEvent], command: ForkRun) -> Sequence[StoredEvent]:
    """What had happened by then."""
    for count, event in enumerate(history):
        if command.position is not None and event.position > command.position:
            return history[:count]
        if command.at is not None and event.recorded_at > command.at:
            return history[:count]
    return history


def _not_yet(first: StoredEvent, command: ForkRun) -> Refusal:
    return _no_moment(
        f"the run {command.run_id} was not there yet: it began at position {first.position}, "
        f"{first.recorded_at.isoformat()}"
    )
