"""A trigger, new, changed or of the past, before an event: what it would answer (pure)."""

from typing import Any

import msgspec
from flowforge.definition import EventTrigger, ManualTrigger, Trigger, WebhookTrigger
from flowforge.events import EventReceived, WebhookReceived

from services.triggers.cause import ReceivedCause
from services.triggers.decide import evaluate
from services.triggers.index import Checked, Rule
from services.triggers.patterns import Pattern
from services.triggers.state import Workflow, empty_version, remembers, type_of
from services.triggers.verdict import NotFired

NOBODY = "dry-run"


class Rehearsal:
    """One trigger in the place that it would have in its workflow; without one, in a workflow without schema."""

    __slots__ = ("_fits_source", "_fits_type", "fact_type", "namespace", "rule", "trigger")

    def __init__(self, trigger: Trigger, workflow: Workflow | None, namespace: str = NOBODY) -> None:
        self.trigger = trigger
        self.namespace = namespace
        self.rule: Rule | None = None
        self.fact_type = (WebhookReceived if isinstance(trigger, WebhookTrigger) else EventReceived).__name__
        """What of the log concerns it."""
        if not isinstance(trigger, ManualTrigger):
            place = _place_for(trigger, workflow)
            self.rule = Rule(place, Checked(place.newest), trigger)
        if isinstance(trigger, EventTrigger):
            self._fits_type = _fitting(trigger.config.event_type)
            self._fits_source = _fitting(trigger.config.source)
        elif isinstance(trigger, WebhookTrigger) and self.rule is not None:
            self._fits_type = _fitting(WebhookReceived.__name__)
            self._fits_source = _fitting(f"*/webhooks/{'/'.join(self.rule.key)}")

    def concerns(self, event_type: str, source: str) -> bool:
        """Whether an event of that type and source is a cause for it at all."""
        is_of_events = isinstance(self.trigger, EventTrigger | WebhookTrigger)
        return is_of_events and self._fits_type(event_type) and self._fits_source(source)

    def would_fire(self, cause: ReceivedCause) -> bool:
        """For a cause that concerns it."""
        assert self.rule is not None
        return not isinstance(evaluate(self.rule, cause, is_explained=False), NotFired)

    def answer(self, cause: ReceivedCause) -> dict[str, Any]:
        """`{decision, reason, detail}`, and `input` where it fires; also for what does not concern it. To a webhook any
        event is a delivery."""
        if not isinstance(self.trigger, EventTrigger | WebhookTrigger) or self.rule is None:
            return _not_matched(f"a {type_of(self.trigger)} trigger is not started by events")
        if isinstance(self.trigger, EventTrigger):
            config = self.trigger.config
            if not self._fits_type(cause.fact.type):
                return _not_matched(f"event.type was {_shown(cause.fact.type)}, it takes {_shown(config.event_type)}")
            if not self._fits_source(cause.fact.source):
                return _not_matched(f"event.source was {_shown(cause.fact.source)}, it takes {_shown(config.source)}")
        given = evaluate(self.rule, cause)
        if isinstance(given, NotFired):
            return {"decision": given.decision, "reason": given.reason, "detail": given.detail or None}
        return {"decision": "fired", "reason": None, "detail": None, "input": given}


def _not_matched(reason: str) -> dict[str, Any]:
    return {"decision": "not_matched", "reason": reason, "detail": None}


def _shown(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _fitting(name: str) -> Any:
    return Pattern(name).matches if "*" in name else name.__eq__


def _place_for(trigger: Trigger, workflow: Workflow | None) -> Workflow:
    if workflow is None:
        workflow = Workflow(empty_version(NOBODY, 1), "active", {}, {})
    versions = {trigger.id: workflow.newest.number, **workflow.trigger_versions}
    shapes = {trigger.id: workflow.newest.number} if remembers(trigger) else {}
    return msgspec.structs.replace(workflow, trigger_versions=versions, shape_versions=shapes)
