"""Which events a filter means, and what is wrong with one. Pure."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
from flowforge.events import RunEvent, SubscriptionFilter

from infra.expressions import Condition, Fault, Scope, compile_condition
from services.subscriptions.settings import TYPES_MAX

RUN_TYPES = frozenset(kind.__name__ for kind in get_args(RunEvent))
STATUS_AFTER = {
    "WorkflowTriggered": "pending",
    "RunQueued": "pending",
    "RunStarted": "running",
    "RunResumed": "running",
    "RunRetried": "running",
    "RunPaused": "paused",
    "RunCompleted": "completed",
    "RunFailed": "failed",
    "RunCancelled": "cancelled",
    "RunPartiallyCompleted": "partial",
}
"""Which status an event puts its run in."""
STATUSES = tuple(dict.fromkeys(STATUS_AFTER.values()))


class RunFacts(msgspec.Struct, frozen=True):
    """What a filter may ask of the run that an event belongs to."""

    id: str
    workflow_id: str
    labels: Mapping[str, str] = {}

    def named(self) -> dict[str, Any]:
        return {"id": self.id, "workflow_id": self.workflow_id, "labels": dict(self.labels)}


class Filter:
    """A filter made ready. `fault`: why its condition last had no answer, which counts as no."""

    def __init__(self, given: SubscriptionFilter) -> None:
        self.workflow_id = given.workflow_id
        self.fault = ""
        self.types = wanted_types(given)
        self._label = None if given.label is None else tuple(given.label.split("=", 1))
        self._condition = None if given.condition is None else Condition(given.condition, Scope.SUBSCRIPTION)

    def means(self, event_type: str, run: RunFacts, event: Callable[[], dict[str, Any]]) -> bool:
        """Whether the event fits; `event` gives it as it is posted, where the condition asks for it."""
        if event_type not in self.types:
            return False
        if self.workflow_id is not None and run.workflow_id != self.workflow_id:
            return False
        if self._label is not None and run.labels.get(self._label[0]) != self._label[1]:
            return False
        if self._condition is None:
            return True
        try:
            return self._condition.holds({"event": event(), "run": run.named()})
        except Fault as fault:
            self.fault = str(fault)
            return False


def wanted_types(given: SubscriptionFilter) -> frozenset[str]:
    """The event types that can fit."""
    types = frozenset(given.types) or RUN_TYPES
    if given.statuses:
        types &= {name for name, status in STATUS_AFTER.items() if status in given.statuses}
    return types


def faults_of(given: SubscriptionFilter) -> list[dict[str, Any]]:
    """What is wrong with it, each with the path of its place, and the position of a bad condition."""
    faults: list[dict[str, Any]] = []
    if len(given.types) > TYPES_MAX:
        faults.append(_at("types", f"{len(given.types)} types, at most {TYPES_MAX}: leave them out for all"))
    for number, name in enumerate(given.types[:TYPES_MAX]):
        if name not in RUN_TYPES:
            faults.append(_at(f"types[{number}]", f"'{name[:60]}' is no event of a run{_close(name, RUN_TYPES)}"))
    for number, status in enumerate(given.statuses):
        if status not in STATUSES:
            known = ", ".join(STATUSES)
            faults.append(_at(f"statuses[{number}]", f"'{status[:60]}' is no status of a run: one of {known}"))
    if not faults and not wanted_types(given):
        faults.append(_at("statuses", "none of the types puts a run in one of the statuses: nothing would be posted"))
    if given.label is not None and (not given.label.partition("=")[0] or "=" not in given.label):
        faults.append(_at("label", f"'{given.label[:60]}' is no label: expected name=value"))
    if given.condition is not None:
        faults += _condition_faults(given.condition)
    return faults


def _condition_faults(text: str) -> list[dict[str, Any]]:
    try:
        compile_condition(text, Scope.SUBSCRIPTION)
    except Fault as fault:
        return [_at("condition", str(fault))]
    return []


def _close(name: str, known: frozenset[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ", such as RunCompleted"


def _at(place: str, message: str) -> dict[str, Any]:
    return {"path": f"$.filter.{place}", "message": message}
