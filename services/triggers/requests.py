"""What is asked for and concerns no trigger's filter: a run by hand (`execute`, or a trigger fired), a count to be
kept (pure)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from flowforge.commands import CountRejections, RequestRun
from flowforge.events import Cause, RunRequested, TriggerRef, WebhooksRejected, WorkflowTriggered
from flowforge.identity import derived_uuid, event_id
from flowforge.refusals import (
    Refusal,
    input_invalid,
    invalid,
    invalid_state,
    not_found,
    running_already,
    too_large,
)

from infra.expressions import EvaluationFault, Fault
from services.triggers.admission import Overlap
from services.triggers.cause import EMPTY_INPUT, is_large, is_null, json_value, kept_small, run_id
from services.triggers.decide import FIRST_DEPTH, Decided, Deciding, told
from services.triggers.index import Checked
from services.triggers.inputs import Finding, variable_findings
from services.triggers.places import Places, misplaced
from services.triggers.settings import VARIABLES_BYTES_MAX
from services.triggers.state import Version, type_of


def decide_request(
    checked: Checked,
    status: str,
    command: RequestRun,
    recorded_at: datetime,
    trigger_versions: Mapping[str, int] | None = None,
    deciding: Deciding | None = None,
    places: Places | None = None,
) -> Decided | Refusal:
    """The run that somebody asked for, or why they do not get it. `trigger_versions` are of the newest version; `places`
    are those of the run's version, where the command names some.

    With `deciding` the run asks for a slot, where its workflow limits them. Raises Unsettled.
    """
    version = checked.version
    started_by = _started_by(version, command)
    if isinstance(started_by, Refusal):
        return started_by
    refusal = _request_refused(checked, status, command) or _places_refused(command, places)
    if refusal is not None:
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
        override_running=command.override_running,
        from_node=command.from_node,
        breakpoints=command.breakpoints,
        fork=command.fork,
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
        from_node=command.from_node,
        breakpoints=command.breakpoints,
        fork=command.fork,
    )
    if deciding is not None:
        admitted = _admitted(deciding, version, run, input_data, command, recorded_at)
        if isinstance(admitted, Refusal):
            return admitted
        run = admitted
    return Decided(
        stream_id,
        cause,
        asked,
        runs=[run],
        blobs=[input_data] if is_large(input_data) else [],
        slotted=[] if deciding is None else list(deciding.slotted.values()),
    )


def _admitted(
    deciding: Deciding,
    version: Version,
    run: WorkflowTriggered,
    input_data: msgspec.Raw,
    command: RequestRun,
    now: datetime,
) -> WorkflowTriggered | Refusal:
    """The run, perhaps to wait for a slot; or who is in its way, and nothing is recorded. Raises Unsettled."""
    if version.definition.settings.concurrency is None or run.is_shadow:
        return run
    cause = run.cause
    try:
        data = json_value("input_data", input_data)
        event = {"id": cause.id, "source": cause.source, "type": cause.type, "data": data}
        events = {"event": event, "events": [event], "now": now}
        answer = deciding.admit(
            version, run, input_data, events, is_recorded=False, is_override=command.override_running
        )
    except Fault as fault:
        path = "$.settings.concurrency.key"
        return invalid("No slot can be named", f"concurrency.key: {fault}", [{"path": path, "message": fault.message}])
    if isinstance(answer, Overlap):
        held = f"{answer.detail}; options.override_running starts beyond the limit"
        return running_already(held, [str(run_id) for run_id in answer.run_ids])
    return answer


def count_rejections(command: CountRejections, recorded_at: datetime) -> Decided:
    """Deliveries to a webhook that were turned away: their number is all that is kept."""
    stream_id = derived_uuid(recorded_at, "command", CountRejections.__name__, command.command_id)
    cause = Cause(
        event_id=event_id(stream_id, 1, recorded_at),
        type=WebhooksRejected.__name__,
        id=command.command_id,
        source=f"/api/webhooks/{command.workflow_id}/{command.trigger_id}",
        stream_id=stream_id,
    )
    counted = WebhooksRejected(
        workflow_id=command.workflow_id, trigger_id=command.trigger_id, reasons=command.reasons
    )  # fmt: skip
    return Decided(stream_id, cause, counted)


def _started_by(version: Version, command: RequestRun) -> TriggerRef | Refusal:
    """Under which trigger the run counts: the one to fire, or for `execute` the manual one; a fork under its origin."""
    if command.fork is not None:
        return TriggerRef("fork", str(command.fork.run_id))
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
    if command.fork is not None:
        return f"/api/runs/{command.fork.run_id}/fork"
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
    outputs = {} if command.fork is None else command.fork.node_outputs
    outputs_bytes = sum(map(len, map(bytes, outputs.values())))
    if outputs_bytes > VARIABLES_BYTES_MAX:
        return too_large(f"the given outputs have {outputs_bytes:,} bytes, at most {VARIABLES_BYTES_MAX:,} are taken")
    if wrong := variable_findings(version.definition.variables, command.variables):
        return invalid("Variables invalid", told(wrong), _as_errors(wrong))
    try:
        value = {} if is_null(command.input_data) else json_value("input_data", command.input_data)
    except EvaluationFault as fault:
        return input_invalid(str(fault), [{"path": "$.input_data", "message": fault.message}])
    if command.from_node is not None:
        return None  # what is given is the node's input, not the workflow's
    if wrong := checked.input_findings(value, "$.input_data"):
        return input_invalid(told(wrong), _as_errors(wrong))
    return None


def _places_refused(command: RequestRun, places: Places | None) -> Refusal | None:
    if places is None or not (errors := misplaced(places, command)):
        return None
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return invalid("No such node", f"{errors[0]['path']}: {errors[0]['message']}{more}", errors)


def _as_errors(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [dict(finding) for finding in findings]
