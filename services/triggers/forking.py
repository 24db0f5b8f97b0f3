"""Forks: what somebody asks for who wants a run to go on from a past moment, as the run that it comes to."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from flowforge.commands import ForkRun, RequestRun
from flowforge.events import ForkedFrom, WorkflowTriggered, decode
from flowforge.raw import present
from flowforge.refusals import Refusal, invalid, invalid_state, not_found

from infra.eventlog import EventLog, Moment, StoredEvent, beyond, until
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
        moment = _moment(command)
        if moment is not None and (reason := beyond(moment, (await self._log.head()).position, self._clock())):
            return _no_moment(reason)
        past = history if moment is None else until(history, moment)
        if not past:
            return _not_yet(history[0], command)
        run = cast("WorkflowTriggered", decode(history[0].type, history[0].data))
        if run.is_erased:
            return invalid_state(
                f"what run {run.run_id} was given and made was erased: there is nothing to fork; start a new run"
            )
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

    async def _history(self, run_id: str) -> Sequence[StoredEvent]:
        try:
            history = await self._log.read_stream(UUID(run_id))
        except ValueError:
            return []
        return history if history and history[0].type == WorkflowTriggered.__name__ else []


def _moment(command: ForkRun) -> Moment | None:
    """None: as the run stands now."""
    return command.at if command.position is None else command.position


def _no_moment(message: str) -> Refusal:
    return invalid("No such moment", message, [{"path": "$.at", "message": message}])


def _not_yet(first: StoredEvent, command: ForkRun) -> Refusal:
    return _no_moment(
        f"the run {command.run_id} was not there yet: it began at position {first.position}, "
        f"{first.recorded_at.isoformat()}"
    )
