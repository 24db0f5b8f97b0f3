"""What follows from a cause: the cause itself, one decision per trigger it concerns, and the runs that start (pure).

Deciding looks at the index and the cause and at nothing else, so that the same question has the same answer whenever it
is asked: for a redelivered event, for a dry run, for "why not?".
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from flowforge.commands import RequestRun
from flowforge.events import (
    Cause,
    Decision,
    EventReceived,
    RunRequested,
    TriggerDecided,
    TriggerRef,
    WorkflowTriggered,
)
from flowforge.identity import derived_uuid, event_id
from flowforge.refusals import Refusal, input_invalid, invalid, invalid_state, not_found, too_large

from infra.expressions import EvaluationFault, Fault
from services.triggers.cause import EMPTY_INPUT, ReceivedCause, is_large, is_null, json_value, kept_small, run_id
from services.triggers.index import Checked, Index, Rule
from services.triggers.inputs import Finding, variable_findings
from services.triggers.settings import RUNS_PER_CAUSE_MAX, VARIABLES_BYTES_MAX
from services.triggers.state import Version, type_of

_encode = msgspec.json.encode
FIRST_DEPTH = 1


class AnyCause(Protocol):
    """What evaluating a trigger needs of a cause. Ids of runs derive from `recorded_at`."""

    cause: Cause
    data: msgspec.Raw
    recorded_at: datetime
    stream_id: UUID

    @property
    def bindings(self) -> dict[str, object]:
        """Raises EvaluationFault."""
        ...


class NotFired(msgspec.Struct, frozen=True, gc=False):
    """Why a trigger does not start a run."""

    decision: Decision
    reason: str
    detail: str = ""


class Decided(msgspec.Struct, frozen=True):
    """Everything that follows from one cause; `blobs` are to be kept before it is logged."""

    stream_id: UUID
    cause: Cause
    first: EventReceived | RunRequested | None
    """The cause itself; None where it is in the log already, as version 1 of its stream."""
    decisions: list[TriggerDecided]
    runs: list[WorkflowTriggered]
    blobs: list[msgspec.Raw]


def decide_received(index: Index, cause: ReceivedCause) -> Decided:
    """What an external event starts, and what it does not start and why."""
    decisions: list[TriggerDecided] = []
    runs: list[WorkflowTriggered] = []
    blobs = [cause.data] if is_large(cause.data) else []
    for rule in index.candidates(cause):
        answer = evaluate(rule, cause)
        if not isinstance(answer, NotFired) and len(runs) == RUNS_PER_CAUSE_MAX:
            answer = NotFired("suppressed", "depth_exceeded", f"one cause starts at most {RUNS_PER_CAUSE_MAX:,} runs")
        if isinstance(answer, NotFired):
            decisions.append(declined(rule, cause, answer))
            continue
        if is_large(answer):
            blobs.append(answer)
        runs.append(fired(rule, cause, answer))
    return Decided(cause.stream_id, cause.cause, cause.fact, decisions, runs, blobs)


def evaluate(rule: Rule, cause: AnyCause, *, is_explained: bool = True) -> msgspec.Raw | NotFired:
    """The input of the run that this trigger starts for this cause, or why it starts none (briefly: that it does)."""
    if rule.workflow.status != "active":
        return NotFired("suppressed", "workflow_inactive", f"the workflow is {rule.workflow.status}")
    if not rule.trigger.enabled:
        return NotFired("suppressed", "disabled")
    part = "filter"
    try:
        condition = rule.condition
        if condition is not None and not condition.holds(cause.bindings):
            return NotFired("not_matched", condition.explain_false(cause.bindings) if is_explained else "")
        part = "input"
        input_data = _input(rule, cause)
        findings = _findings(rule.checked, input_data)
    except Fault as fault:
        return NotFired("failed", f"{part}: {fault}", _path_of(fault))
    if findings:
        return NotFired("failed", _told(findings), findings[0]["path"])
    return input_data


def decide_request(
    checked: Checked,
    status: str,
    command: RequestRun,
    recorded_at: datetime,
    trigger_versions: Mapping[str, int] | None = None,
) -> Decided | Refusal:
    """The run that somebody asked for, or why they do not get it. `trigger_versions` are of the newest version."""
    version = checked.version
    started_by = _started_by(version, command)
    if isinstance(started_by, Refusal):
        return started_by
    if (refusal := _request_refused(checked, status, command)) is not None:
        return refusal
    stream_id = derived_uuid(recorded_at, "command", RequestRun.__name__, command.command_id)
    cause = Cause(
        event_id=event_id(stream_id, 1, recorded_at),
        type=RunRequested.__name__,
        id=command.command_id,
        source=_asked_at(command),
        stream_id=stream_id,
    )
    input_data = EMPTY_INPUT if is_null(command.input_data) else command.input_data
    asked = RunRequested(
        workflow_id=command.workflow_id,
        command_id=command.command_id,
        input_data=kept_small(command.input_data),
        variables=command.variables,
        version=command.version,
        labels=command.labels,
        priority=command.priority,
        timeout_ms=command.timeout_ms,
        trigger_id=command.trigger_id,
    )
    run = WorkflowTriggered(
        run_id=run_id(recorded_at, command.workflow_id, started_by.id, stream_id),
        workflow_id=command.workflow_id,
        workflow_version=version.number,
        trigger=started_by,
        trigger_version=(trigger_versions or {}).get(command.trigger_id or "", version.number),
        cause=cause,
        consumed=[cause.event_id],
        input_data=kept_small(input_data),
        variables=command.variables,
        labels=command.labels,
        priority=command.priority,
        depth=FIRST_DEPTH,
        timeout_ms=command.timeout_ms,
    )
    return Decided(stream_id, cause, asked, [], [run], [input_data] if is_large(input_data) else [])


def _started_by(version: Version, command: RequestRun) -> TriggerRef | Refusal:
    """Under which trigger the run counts: the one to fire, or for `execute` the manual one."""
    if command.trigger_id is None:
        return TriggerRef("manual", version.manual_trigger_id)
    trigger = version.trigger(command.trigger_id)
    if trigger is None and not version.fault:
        return not_found(f"trigger of '{command.workflow_id}'", command.trigger_id)
    if trigger is not None and not trigger.enabled:
        return invalid_state(
            f"the trigger '{trigger.id}' of '{command.workflow_id}' is disabled; enable it, then fire it"
        )
    return TriggerRef("manual" if trigger is None else type_of(trigger), command.trigger_id)


def _asked_at(command: RequestRun) -> str:
    workflow = f"/api/workflows/{command.workflow_id}"
    return f"{workflow}/execute" if command.trigger_id is None else f"{workflow}/triggers/{command.trigger_id}/fire"


def _request_refused(checked: Checked, status: str, command: RequestRun) -> Refusal | None:
    version = checked.version
    if version.fault:
        return invalid_state(f"version {version.number} of '{version.workflow_id}' cannot be read: {version.fault}")
    if status == "archived":
        return invalid_state(f"'{version.workflow_id}' is archived and starts no runs; save it as active to revive it")
    if command.trigger_id is not None and status != "active":
        return invalid_state(f"'{version.workflow_id}' is {status}: no trigger starts it; execute does")
    variables_bytes = sum(map(len, map(bytes, command.variables.values())))
    if variables_bytes > VARIABLES_BYTES_MAX:
        return too_large(f"the variables have {variables_bytes:,} bytes, at most {VARIABLES_BYTES_MAX:,} are taken")
    if wrong := variable_findings(version.definition.variables, command.variables):
        return invalid("Variables invalid", _told(wrong), _as_errors(wrong))
    try:
        value = {} if is_null(command.input_data) else json_value("input_data", command.input_data)
    except EvaluationFault as fault:
        return input_invalid(str(fault), [{"path": "$.input_data", "message": fault.message}])
    if wrong := checked.input_findings(value, "$.input_data"):
        return input_invalid(_told(wrong), _as_errors(wrong))
    return None


def _input(rule: Rule, cause: AnyCause) -> msgspec.Raw:
    """Raises Fault."""
    if rule.trigger.input is msgspec.UNSET:
        return EMPTY_INPUT if is_null(cause.data) else cause.data
    value: Any = rule.template.render(cause.bindings)
    if value is None:
        return EMPTY_INPUT
    try:
        return msgspec.Raw(_encode(value))
    except (UnicodeEncodeError, RecursionError) as problem:
        raise EvaluationFault("input", f"the input cannot be written as JSON: {problem}") from None


def _findings(checked: Checked, input_data: msgspec.Raw) -> list[Finding]:
    """Raises Fault."""
    if checked.version.definition.variables and (wrong := checked.default_findings()):
        return wrong
    return checked.input_findings(json_value("input", input_data), "$.input") if checked.has_schema else []


def fired(rule: Rule, cause: AnyCause, input_data: msgspec.Raw) -> WorkflowTriggered:
    """The run that this trigger starts for this cause."""
    workflow_id, trigger_id = rule.key
    return WorkflowTriggered(
        run_id=run_id(cause.recorded_at, workflow_id, trigger_id, cause.stream_id),
        workflow_id=workflow_id,
        workflow_version=rule.workflow.newest.number,
        trigger=TriggerRef(type_of(rule.trigger), trigger_id),
        trigger_version=rule.trigger_version,
        cause=cause.cause,
        consumed=[cause.cause.event_id],
        input_data=kept_small(input_data),
        depth=FIRST_DEPTH,
    )


def declined(rule: Rule, cause: AnyCause, answer: NotFired) -> TriggerDecided:
    """The recorded answer of a trigger that starts no run."""
    workflow_id, trigger_id = rule.key
    return TriggerDecided(
        trigger_id=trigger_id,
        trigger_version=rule.trigger_version,
        workflow_id=workflow_id,
        cause=cause.cause,
        decision=answer.decision,
        reason=answer.reason,
        detail=answer.detail,
    )


def _path_of(fault: Fault) -> str:
    return (fault.missing or "") if isinstance(fault, EvaluationFault) else ""


def _told(findings: Sequence[Finding]) -> str:
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0]['path']}: {findings[0]['message']}{more}"


def _as_errors(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [dict(finding) for finding in findings]
