"""What triggers that remember promise (interface.md, section 2), as a plain simulation: causes in order, and a list of what
waits. It knows nothing of how the service does it, and is told of every occasion on which the service looked.

Names: a trigger is (workflow, trigger), a cause a word. An absence has no name of its own; the nth of a trigger is told so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Key = tuple[str, str]
Config = dict[str, Any]
EXPIRED = "expired"


@dataclass
class Waiting:
    """Causes that wait together at one step, the last one leading."""

    causes: list[str]
    step: str
    due: datetime
    order: int
    key: str = ""
    slot: str = ""


@dataclass
class Remembered:
    """What one trigger has before it."""

    config: Config
    waiting: list[Waiting] = field(default_factory=list[Waiting])
    fired_at: list[datetime] = field(default_factory=list[datetime])
    is_counting: bool = False
    absence_due: datetime | None = None
    overdue: int = 0
    absences: int = 0


@dataclass
class Cause:
    name: str
    workflow: str = ""
    """Of an ending."""
    status: str = ""
    type: str = ""
    n: int | None = None
    day: str = ""


class Oracle:
    """`decisions`: (trigger, cause) → its decisions in order. `runs`: (trigger, leading cause) → what was consumed."""

    def __init__(self) -> None:
        self.workflows: dict[str, tuple[dict[str, Config], str]] = {}
        self.decisions: dict[tuple[Key, str], list[tuple[str, str]]] = {}
        self.runs: dict[tuple[Key, str], tuple[list[str], datetime]] = {}
        self._remembered: dict[Key, Remembered] = {}
        self._order = 0
        self._told_of_absence: set[str] = set()

    # --- what happens -------------------------------------------------------------------------------------------------

    def saved(self, workflow: str, triggers: dict[str, Config], status: str) -> None:
        self.workflows[workflow] = (triggers, status)

    def archived(self, workflow: str) -> None:
        self.workflows[workflow] = (self.workflows[workflow][0], "archived")

    def told(self, workflow: str, saved_at: datetime, at: datetime) -> None:
        """The service takes notice of the last save."""
        for key in {*self._of(workflow), *((workflow, name) for name in self.workflows[workflow][0])}:
            self._look(key, at)
            config = self._config(key)
            if config is None:
                continue
            trigger = self._trigger(key, config)
            absent_ms = config.get("absent_for_ms")
            if absent_ms is None or self._standing(key, config) is not None:
                trigger.is_counting, trigger.absence_due, trigger.overdue = False, None, 0
            elif not trigger.is_counting:
                trigger.is_counting, trigger.absence_due = True, saved_at + timedelta(milliseconds=absent_ms)

    def happened(self, cause: Cause, at: datetime) -> None:
        for workflow, (triggers, _) in list(self.workflows.items()):
            for name, config in triggers.items():
                if _concerns(config, cause):
                    self._consider((workflow, name), config, cause, at)

    def timer(self, key: Key, timer: str, at: datetime) -> None:
        """The service looks whether something is due; a timer tells of one absence only, however often it comes."""
        config = self._config(key)
        trigger = self._remembered.get(key)
        if config is not None and trigger is not None and _shape(trigger.config) == _shape(config):
            is_due = trigger.overdue or (trigger.absence_due is not None and trigger.absence_due <= at)
            if is_due and timer in self._told_of_absence:
                pass
            elif is_due and self._standing(key, config) is None:
                if trigger.overdue:
                    trigger.overdue -= 1
                else:
                    trigger.absence_due = None
                trigger.absences += 1
                self._told_of_absence.add(timer)
                self._after_gathering(key, trigger, [f"absence {trigger.absences}"], at)
            elif is_due:
                trigger.is_counting, trigger.absence_due, trigger.overdue = False, None, 0
        self._look(key, at)

    def earliest(self) -> datetime | None:
        """When something is due."""
        dues = [one.due for trigger in self._remembered.values() for one in trigger.waiting]
        dues += [trigger.absence_due for trigger in self._remembered.values() if trigger.absence_due is not None]
        return min(dues, default=None)

    def due_by(self, at: datetime) -> list[Key]:
        return [
            key
            for key, trigger in self._remembered.items()
            if any(one.due <= at for one in trigger.waiting)
            or (trigger.absence_due is not None and trigger.absence_due <= at)
        ]

    def is_waiting(self) -> bool:
        return any(trigger.waiting for trigger in self._remembered.values())

    def dependents(self, workflow: str) -> set[Key]:
        cause = Cause("", workflow=workflow)
        return {
            (name, trigger_id)
            for name, (triggers, _) in self.workflows.items()
            for trigger_id, config in triggers.items()
            if _concerns(config, cause)
        }

    # --- one cause ----------------------------------------------------------------------------------------------------

    def _consider(self, key: Key, config: Config, cause: Cause, at: datetime) -> None:
        answer = self._standing(key, config) or _unmatched(config, cause)
        if answer is not None:
            self._decide(key, cause.name, *answer)
            return
        self._look(key, at)
        trigger = self._trigger(key, config)
        if config.get("absent_for_ms") is not None:
            if trigger.absence_due is not None and trigger.absence_due <= at:
                trigger.overdue += 1  # it was absent for so long, though nobody has said so yet
            trigger.is_counting = True
            trigger.absence_due = at + timedelta(milliseconds=config["absent_for_ms"])
            self._decide(key, cause.name, "not_matched", "absent_for_ms")
        elif config.get("batch") is not None:
            self._batch(key, trigger, cause, at)
        elif config.get("logic") == "all":
            self._join(key, trigger, cause, at)
        else:
            self._after_gathering(key, trigger, [cause.name], at)

    def _batch(self, key: Key, trigger: Remembered, cause: Cause, at: datetime) -> None:
        gathered = next((one for one in trigger.waiting if one.step == "batch"), None)
        if gathered is None:
            due = at + timedelta(milliseconds=trigger.config["batch"]["window_ms"])
            gathered = self._wait(trigger, [], "batch", due)
        gathered.causes.append(cause.name)
        if len(gathered.causes) >= trigger.config["batch"]["count"]:
            trigger.waiting.remove(gathered)
            self._after_gathering(key, trigger, gathered.causes, at)
        else:
            self._decide(key, cause.name, "held", "batch")

    def _join(self, key: Key, trigger: Remembered, cause: Cause, at: datetime) -> None:
        together = cause.day if "correlate_by" in trigger.config else ""
        here = [one for one in trigger.waiting if one.step == "upstreams" and one.key == together]
        for one in here:
            if one.slot == cause.workflow:
                trigger.waiting.remove(one)
                here.remove(one)
                self._decide(key, one.causes[0], EXPIRED)
                break
        if {one.slot for one in here} | {cause.workflow} == {name for name, _ in trigger.config["upstreams"]}:
            for one in here:
                trigger.waiting.remove(one)
            self._after_gathering(key, trigger, [*(one.causes[0] for one in here), cause.name], at)
            return
        due = at + timedelta(milliseconds=trigger.config["window_ms"])
        self._wait(trigger, [cause.name], "upstreams", due, together, cause.workflow)
        self._decide(key, cause.name, "held", "upstreams")

    # --- step by step -------------------------------------------------------------------------------------------------

    def _after_gathering(self, key: Key, trigger: Remembered, causes: list[str], at: datetime) -> None:
        quiet_ms = trigger.config.get("debounce_ms")
        if quiet_ms is None:
            self._after_quiet(key, trigger, causes, at)
            return
        for one in [one for one in trigger.waiting if one.step == "debounce"]:
            trigger.waiting.remove(one)
            self._end(key, one.causes, "suppressed", "debounced")
        self._wait(trigger, causes, "debounce", at + timedelta(milliseconds=quiet_ms))
        self._decide(key, causes[-1], "held", "debounce")

    def _after_quiet(self, key: Key, trigger: Remembered, causes: list[str], at: datetime) -> None:
        delay_ms = trigger.config.get("delay_ms")
        if delay_ms is None:
            self._fire(key, trigger, causes, at)
            return
        self._wait(trigger, causes, "delay", at + timedelta(milliseconds=delay_ms))
        self._decide(key, causes[-1], "held", "delay")

    def _fire(self, key: Key, trigger: Remembered, causes: list[str], at: datetime) -> None:
        limit = trigger.config.get("limit")
        if limit is not None:
            since = at - timedelta(milliseconds=limit["per_ms"])
            if sum(fired_at > since for fired_at in trigger.fired_at) >= limit["max_fires"]:
                self._end(key, causes, "suppressed", "limited")
                return
            trigger.fired_at.append(at)
        self._end(key, causes, "fired")
        self.runs[key, causes[-1]] = (causes, at)

    def _look(self, key: Key, at: datetime) -> None:
        """Whatever is due goes on; what nobody wants any more ends."""
        trigger = self._remembered.get(key)
        if trigger is None:
            return
        config = self._config(key)
        if config is None or _shape(config) != _shape(trigger.config):
            for one in trigger.waiting:
                self._end(key, one.causes, EXPIRED)
            self._remembered[key] = Remembered(config or {}, fired_at=trigger.fired_at, absences=trigger.absences)
            return
        for one in sorted((one for one in trigger.waiting if one.due <= at), key=lambda one: (one.due, one.order)):
            if one in trigger.waiting:
                trigger.waiting.remove(one)
                self._go_on(key, trigger, one, config, at)

    def _go_on(self, key: Key, trigger: Remembered, one: Waiting, config: Config, at: datetime) -> None:
        standing = self._standing(key, config)
        if one.step == "upstreams":
            self._end(key, one.causes, EXPIRED)
        elif standing is not None:
            self._end(key, one.causes, *standing)
        elif one.step == "batch":
            self._after_gathering(key, trigger, one.causes, at)
        elif one.step == "debounce":
            self._after_quiet(key, trigger, one.causes, at)
        else:
            self._fire(key, trigger, one.causes, at)

    # --- small things -------------------------------------------------------------------------------------------------

    def _wait(
        self, trigger: Remembered, causes: list[str], step: str, due: datetime, key: str = "", slot: str = ""
    ) -> Waiting:
        self._order += 1
        waiting = Waiting(causes, step, due, self._order, key, slot)
        trigger.waiting.append(waiting)
        return waiting

    def _end(self, key: Key, causes: Iterable[str], decision: str, reason: str = "") -> None:
        for cause in causes:
            self._decide(key, cause, decision, reason)

    def _decide(self, key: Key, cause: str, decision: str, reason: str = "") -> None:
        self.decisions.setdefault((key, cause), []).append((decision, reason))

    def _config(self, key: Key) -> Config | None:
        return self.workflows.get(key[0], ({}, ""))[0].get(key[1])

    def _of(self, workflow: str) -> list[Key]:
        return [key for key in self._remembered if key[0] == workflow]

    def _trigger(self, key: Key, config: Config) -> Remembered:
        trigger = self._remembered.setdefault(key, Remembered(config))
        trigger.config = config
        return trigger

    def _standing(self, key: Key, config: Config) -> tuple[str, str] | None:
        if self.workflows[key[0]][1] != "active":
            return "suppressed", "workflow_inactive"
        return None if config.get("enabled", True) else ("suppressed", "disabled")


def _shape(config: Config) -> Config:
    return {name: value for name, value in config.items() if name != "enabled"}


def _concerns(config: Config, cause: Cause) -> bool:
    if cause.workflow:
        return any(name == cause.workflow for name, _ in config.get("upstreams", ()))
    return config.get("event_type") in {cause.type, "*"}


def _unmatched(config: Config, cause: Cause) -> tuple[str, str] | None:
    if cause.workflow:
        condition = dict(config["upstreams"])[cause.workflow]
        if condition not in {"on_completion", f"on_{cause.status}"}:
            return "not_matched", ""
        return ("failed", "") if "correlate_by" in config and not cause.day else None
    if config.get("filter") == "even" and cause.n is None:
        return "failed", ""
    return ("not_matched", "") if config.get("filter") == "even" and (cause.n or 0) % 2 else None
