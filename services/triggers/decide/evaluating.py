"""One trigger before one cause, or before several that it takes together: whether it fires, and with what input (pure)."""

from collections.abc import Sequence
from typing import Any

import msgspec
from flowforge.events import Cause, Chain, TriggerDecided, TriggerRef, WorkflowTriggered

from infra.expressions import EvaluationFault, Fault
from services.triggers.cause import EMPTY_INPUT, AnyCause, is_null, json_value, kept_small, run_id
from services.triggers.endings import EndedCause, unsatisfied
from services.triggers.index import Checked, Rule
from services.triggers.inputs import Finding
from services.triggers.jobs import JobCause
from services.triggers.jobs import unmatched as job_unmatched
from services.triggers.state import JobTrigger, type_of
from services.triggers.verdict import NotFired

FIRST_DEPTH = 1
_encode = msgspec.json.encode


def evaluate(rule: Rule, cause: AnyCause, *, is_explained: bool = True) -> msgspec.Raw | NotFired:
    """The input of the run that this trigger starts for this cause alone, or why it starts none (briefly: that it does)."""
    answer = unmatched(rule, cause, is_explained=is_explained)
    return input_of(rule, [cause]) if answer is None else answer


def unmatched(rule: Rule, cause: AnyCause, *, is_explained: bool = True) -> NotFired | None:
    """Why the cause is none that the trigger fires for, if it is not."""
    standing = rule.standing
    if standing is not None:
        return standing
    if isinstance(cause, EndedCause):
        return unsatisfied(rule, cause)
    if isinstance(cause, JobCause):
        assert isinstance(rule.trigger, JobTrigger)
        return job_unmatched(rule.trigger.config, rule.key[0], cause)
    condition = rule.condition
    if condition is None:
        return None
    try:
        if condition.holds(cause.bindings):
            return None
        return NotFired("not_matched", condition.explain_false(cause.bindings) if is_explained else "")
    except Fault as fault:
        return NotFired("failed", f"filter: {fault}", path_of(fault))


def input_of(rule: Rule, causes: Sequence[AnyCause]) -> msgspec.Raw | NotFired:
    """The input of the run that these causes start together, the last one leading, or why it has none."""
    try:
        input_data = _input(rule, causes)
        findings = _findings(rule.checked, input_data)
    except Fault as fault:
        return NotFired("failed", f"input: {fault}", path_of(fault))
    return NotFired("failed", told(findings), findings[0]["path"]) if findings else input_data


def _input(rule: Rule, causes: Sequence[AnyCause]) -> msgspec.Raw:
    """Raises Fault."""
    last = causes[-1]
    is_given = rule.trigger.input is not msgspec.UNSET
    if not is_given and len(causes) == 1:
        return EMPTY_INPUT if is_null(last.data) else last.data
    bindings = last.bindings
    if len(causes) > 1:
        bindings = {**bindings, "events": [cause.bindings["event"] for cause in causes]}
    value: Any = rule.template.render(bindings) if is_given else {"events": bindings["events"]}
    if value is None:
        return EMPTY_INPUT
    try:
        return msgspec.Raw(_encode(value))
    except (UnicodeEncodeError, RecursionError) as problem:
        raise EvaluationFault("input", f"the input cannot be written as JSON: {problem}") from None


def findings_of(checked: Checked, input_data: msgspec.Raw) -> list[Finding]:
    """What is wrong with the input of a run of this version, or with the version's own defaults."""
    try:
        return _findings(checked, input_data)
    except Fault as fault:
        return [{"path": path_of(fault) or "$.input", "message": str(fault)}]


def _findings(checked: Checked, input_data: msgspec.Raw) -> list[Finding]:
    """Raises Fault."""
    if checked.version.definition.variables and (wrong := checked.default_findings()):
        return wrong
    return checked.input_findings(json_value("input", input_data), "$.input") if checked.has_schema else []


def fired(
    rule: Rule, causes: Sequence[AnyCause], input_data: msgspec.Raw, chain: Chain | None = None
) -> WorkflowTriggered:
    """The run that this trigger starts for these causes, the last one leading."""
    workflow_id, trigger_id = rule.key
    last = causes[-1]
    return WorkflowTriggered(
        run_id=run_id(last.recorded_at, workflow_id, trigger_id, last.stream_id),
        workflow_id=workflow_id,
        workflow_version=rule.workflow.newest.number,
        trigger=TriggerRef(type_of(rule.trigger), trigger_id),
        trigger_version=rule.trigger_version,
        cause=last.cause,
        consumed=[cause.cause.event_id for cause in causes],
        input_data=kept_small(input_data),
        labels=dict(last.labels),
        depth=max(cause.depth for cause in causes) + FIRST_DEPTH,
        earlier=[cause.cause for cause in causes[:-1]],
        chain=chain,
    )


def declined(rule: Rule, cause: Cause, answer: NotFired) -> TriggerDecided:
    """The recorded answer of a trigger that starts no run."""
    workflow_id, trigger_id = rule.key
    return TriggerDecided(
        trigger_id=trigger_id,
        trigger_version=rule.trigger_version,
        workflow_id=workflow_id,
        cause=cause,
        decision=answer.decision,
        reason=answer.reason,
        detail=answer.detail,
    )


def path_of(fault: Fault) -> str:
    """What was missing, where something was."""
    return (fault.missing or "") if isinstance(fault, EvaluationFault) else ""


def told(findings: Sequence[Finding]) -> str:
    """The first finding, and how many more there are."""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0]['path']}: {findings[0]['message']}{more}"
