"""What a trigger that remembers answers to a match, and to the passing of time (pure).

A match goes step by step as far as the trigger's settings take it: it is gathered with others (`batch`, `logic: all`),
waits for quiet (`debounce_ms`), waits longer (`delay_ms`), and fires unless the `limit` is reached. Where it waits it is
held; what is held ends in exactly one final decision. Everything follows from the trigger, what it remembers, the cause and
the time, so that a rehearsal over the history runs the same lines.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from uuid import UUID

import msgspec
from flowforge.definition import DependencyTrigger, EventTrigger, FireLimit
from flowforge.events import (
    AbsenceCounted,
    Cause,
    Decision,
    TriggerDecided,
    TriggerEvent,
    TriggerFired,
    TriggerTimerSet,
    WorkflowTriggered,
)
from flowforge.identity import lasting_stream, part_uuid

from services.triggers.index import Rule
from services.triggers.memory import Holding, Memory, Step, evolve
from services.triggers.settings import CLOCK_DISORDER_S
from services.triggers.verdict import NotFired

Fire = Callable[[Sequence[Cause]], "WorkflowTriggered | NotFired"]
"""The run that these causes, the last one leading, start together, or why they start none."""


def trigger_stream(workflow_id: str, trigger_id: str) -> UUID:
    """The stream of what one trigger remembers."""
    return lasting_stream("trigger", workflow_id, trigger_id)


class Remembering:
    """What one trigger remembers at one moment; what is decided is folded at once, so that what follows sees it.

    `facts` are for the trigger's stream, in order.
    """

    def __init__(self, key: tuple[str, str], trigger_version: int, memory: Memory, at: datetime) -> None:
        self.workflow_id, self.trigger_id = key
        self.trigger_version = trigger_version
        self.memory = memory
        self.at = at
        self.facts: list[TriggerEvent] = []

    def abandon(self, answer: NotFired) -> None:
        """All that is held ends with this answer, and no absence is counted."""
        for held in list(self.memory.holdings.values()):
            self._end(held.causes, answer)
        self.stop_absence()

    def stop_absence(self) -> None:
        """No absence is counted while the trigger is not in force."""
        if self.memory.absence_since is not None:
            self._count_absence(None, shape_version=self.memory.shape_version)  # what is held stays so

    def _end(self, causes: Iterable[Cause], answer: NotFired) -> None:
        for cause in causes:
            self._decide(cause, answer.decision, answer.reason, answer.detail)

    def _decide(
        self,
        cause: Cause,
        decision: Decision,
        reason: str = "",
        detail: str = "",
        *,
        consumed: Sequence[UUID] = (),
        run_id: UUID | None = None,
        due_at: datetime | None = None,
        key: str = "",
        slot: str = "",
        shape_version: int = 0,
    ) -> None:
        self._emit(
            TriggerDecided(
                trigger_id=self.trigger_id,
                trigger_version=self.trigger_version,
                workflow_id=self.workflow_id,
                cause=cause,
                decision=decision,
                reason=reason,
                detail=detail,
                consumed=list(consumed),
                run_id=run_id,
                due_at=due_at,
                key=key,
                slot=slot,
                shape_version=shape_version,
            )
        )

    def _count_absence(
        self, since: datetime | None, due_at: datetime | None = None, shape_version: int = 0, overdue_count: int = 0
    ) -> None:
        self._emit(
            AbsenceCounted(
                trigger_id=self.trigger_id,
                workflow_id=self.workflow_id,
                since=since,
                due_at=due_at,
                overdue_count=overdue_count,
                shape_version=shape_version,
            )
        )

    def _emit(self, fact: TriggerEvent) -> None:
        self.facts.append(fact)
        evolve(self.memory, fact, self.at)


class Pipeline(Remembering):
    """A trigger that is there. `runs` are what starts; `answers` are decisions that change nothing of what is remembered,
    and stand beside the cause.
    """

    def __init__(self, rule: Rule, memory: Memory, at: datetime, fire: Fire) -> None:
        super().__init__(rule.key, rule.trigger_version, memory, at)
        self.rule = rule
        self.runs: list[WorkflowTriggered] = []
        self.answers: list[tuple[Cause, NotFired]] = []
        self._fire_all = fire

    # --- occasions --------------------------------------------------------------------------------------------------

    def take(self, cause: Cause, key: str = "", slot: str = "") -> None:
        """A cause that matches, under its correlation and from its upstream."""
        self.pass_time()
        trigger = self.rule.trigger
        if isinstance(trigger, EventTrigger) and trigger.config.absent_for_ms is not None:
            self._restart_absence(trigger.config.absent_for_ms, cause)
        elif isinstance(trigger, EventTrigger) and trigger.config.batch is not None:
            self._gather_batch(cause, trigger.config.batch.count, trigger.config.batch.window_ms)
        elif isinstance(trigger, DependencyTrigger) and trigger.config.logic == "all":
            self._join(cause, trigger, key, slot)
        else:
            self._debounce([cause])
        self._set_timer()

    def pass_time(self) -> None:
        """What has come due until now goes on to its next step. Of another shape, all that is held ends."""
        if self.memory.shape_version != self.rule.shape_version:
            self.abandon(NotFired("expired", "the trigger was changed while it waited"))
        for held in self.memory.due_by(self.at):
            if self.memory.holdings.get(held.lead.event_id) is held:  # one that was due before may have taken it along
                self._go_on(held)

    def come_due(self) -> None:
        """A timer came due: time passes, and the next timer is set."""
        self.pass_time()
        self._set_timer()

    def count_absence(self, since: datetime) -> None:
        """The trigger is in force: an absence is counted from then on, unless one was since it is as it is. Its timer is
        set by what follows."""
        trigger = self.rule.trigger
        if not isinstance(trigger, EventTrigger) or trigger.config.absent_for_ms is None:
            return
        self.pass_time()  # what was held before a change ends first
        if self.memory.absence_since is None:
            self._wait_for_absence(since, trigger.config.absent_for_ms)

    def is_absence_due(self) -> bool:
        """Whether nothing came for as long as the trigger waits, be it before the last match."""
        is_same = self.memory.shape_version == self.rule.shape_version
        return is_same and (self.memory.absence_overdue_count > 0 or self._is_absent_now())

    def absent(self, cause: Cause) -> None:
        """Nothing came for so long; `cause` is the timer that says so. It counts anew with the next match."""
        memory, overdue_count = self.memory, self.memory.absence_overdue_count
        due_at = memory.absence_due_at if overdue_count else None
        self._count_absence(memory.absence_since, due_at, self.rule.shape_version, max(0, overdue_count - 1))
        self._debounce([cause])
        self._set_timer()

    # --- steps ------------------------------------------------------------------------------------------------------

    def _gather_batch(self, cause: Cause, count: int, window_ms: int) -> None:
        gathered = self.memory.at_step("batch")
        if len(gathered) + 1 >= count:
            self._debounce([*(held.lead for held in gathered), cause])
            return
        due_at = gathered[0].due_at if gathered else self.at + timedelta(milliseconds=window_ms)
        self._hold(
            [cause], "batch", due_at, f"{len(gathered) + 1} of {count}, fires by {_text(due_at)} with what has come"
        )

    def _join(self, cause: Cause, trigger: DependencyTrigger, key: str, slot: str) -> None:
        waiting = {held.slot: held for held in self.memory.at_step("upstreams", key)}
        older = waiting.pop(slot, None)
        if older is not None:
            self._end(older.causes, NotFired("expired", f"a newer run of {slot} ended before the others did"))
        missing = [one.workflow_id for one in trigger.config.upstreams if one.workflow_id not in {*waiting, slot}]
        if not missing:
            self._debounce([*(held.lead for held in waiting.values()), cause])
            return
        due_at = self.at + timedelta(milliseconds=trigger.config.window_ms)
        self._hold([cause], "upstreams", due_at, f"waits for {_listed(missing)}", key, slot)

    def _debounce(self, causes: list[Cause]) -> None:
        quiet_ms = self.rule.trigger.debounce_ms
        if quiet_ms is None:
            self._delay(causes)
            return
        for held in self.memory.at_step("debounce"):
            self._end(held.causes, NotFired("suppressed", "debounced", f"another came within {quiet_ms} ms"))
        due_at = self.at + timedelta(milliseconds=quiet_ms)
        self._hold(causes, "debounce", due_at, f"fires at {_text(due_at)} unless another comes before")

    def _delay(self, causes: list[Cause]) -> None:
        delay_ms = self.rule.trigger.delay_ms
        if delay_ms is None:
            self._fire(causes)
            return
        due_at = self.at + timedelta(milliseconds=delay_ms)
        self._hold(causes, "delay", due_at, f"fires at {_text(due_at)}")

    def _fire(self, causes: list[Cause]) -> None:
        limit = self.rule.trigger.limit
        if (answer := self._blocked(limit)) is not None:
            self._end(causes, answer)
            return
        run = self._fire_all(causes)
        if isinstance(run, NotFired):
            self._end(causes, run)
            return
        self.runs.append(run)
        for cause in causes[:-1]:
            self._decide(cause, "fired", run_id=run.run_id, consumed=run.consumed)
        self._emit(
            TriggerFired(
                trigger_id=self.trigger_id,
                workflow_id=self.workflow_id,
                run_id=run.run_id,
                cause_event_id=causes[-1].event_id,
                is_counted=limit is not None,
                shape_version=self.rule.shape_version,
            )
        )

    def _blocked(self, limit: FireLimit | None) -> NotFired | None:
        if limit is None:
            return None
        window = timedelta(milliseconds=limit.per_ms)
        looked_at = window + timedelta(seconds=CLOCK_DISORDER_S)  # of 10,000 firings, no more than may count
        newest = takewhile(lambda fired_at: self.at - fired_at < looked_at, reversed(self.memory.fired_at))
        count = sum(self.at - fired_at < window for fired_at in newest)
        if count < limit.max_fires:
            return None
        again_at = self.memory.fired_at[-limit.max_fires] + window
        return NotFired(
            "suppressed", "limited", f"it fired {count} times in {limit.per_ms} ms, at most {limit.max_fires} count; "
            f"the next may fire at {_text(again_at)}",
        )  # fmt: skip

    def _go_on(self, held: Holding) -> None:
        """What waited until now takes its next step; what was gathered, as far as it has come."""
        match held.step:
            case "upstreams":
                self._end(
                    held.causes, NotFired("expired", f"its window closed: {self._missing(held)} did not end in time")
                )
            case "batch":
                self._still_wanted([one.lead for one in self.memory.at_step("batch")], self._debounce)
            case "debounce":
                self._still_wanted(held.causes, self._delay)
            case "delay":
                self._still_wanted(held.causes, self._fire)

    def _still_wanted(self, causes: list[Cause], go_on: Callable[[list[Cause]], None]) -> None:
        """Whoever disabled the trigger meanwhile is heard."""
        answer = self.rule.standing
        if answer is None:
            go_on(causes)
        else:
            self._end(causes, answer)

    def _missing(self, held: Holding) -> str:
        trigger = self.rule.trigger
        assert isinstance(trigger, DependencyTrigger)
        here = {other.slot for other in self.memory.at_step("upstreams", held.key)}
        return _listed([one.workflow_id for one in trigger.config.upstreams if one.workflow_id not in here])

    # --- absence ----------------------------------------------------------------------------------------------------

    def _is_absent_now(self) -> bool:
        due_at = self.memory.absence_due_at
        return due_at is not None and due_at <= self.at

    def _restart_absence(self, absent_for_ms: int, cause: Cause) -> None:
        """It counts anew; what was due before is fired by the timer that is on its way."""
        overdue_count = self.memory.absence_overdue_count + self._is_absent_now()
        self._wait_for_absence(self.at, absent_for_ms, overdue_count)
        told = f"it came in time; without another one the trigger fires at {_text(self.memory.absence_due_at)}"
        self.answers.append((cause, NotFired("not_matched", "absent_for_ms", told)))

    def _wait_for_absence(self, since: datetime, absent_for_ms: int, overdue_count: int = 0) -> None:
        due_at = since + timedelta(milliseconds=absent_for_ms)
        self._count_absence(since, due_at, self.rule.shape_version, overdue_count)

    # --- facts ------------------------------------------------------------------------------------------------------

    def _hold(
        self, causes: list[Cause], step: Step, due_at: datetime, detail: str, key: str = "", slot: str = ""
    ) -> None:
        self._decide(
            causes[-1], "held", step, detail, due_at=due_at, key=key, slot=slot, shape_version=self.rule.shape_version,
            consumed=[cause.event_id for cause in causes] if len(causes) > 1 else [],
        )  # fmt: skip

    def _set_timer(self) -> None:
        """One timer at a time, for what is due first; what is due later is looked at when that one comes."""
        due_at = self.memory.earliest()
        set_at = self.memory.timer_at
        if due_at is None or (set_at is not None and self.at < set_at <= due_at):
            return
        stream_id = trigger_stream(self.workflow_id, self.trigger_id)
        self._emit(
            TriggerTimerSet(
                trigger_id=self.trigger_id,
                workflow_id=self.workflow_id,
                timer_id=part_uuid(stream_id, "timer", self.memory.version),
                due_at=max(due_at, self.at),
            )
        )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _text(at: datetime | None) -> str:
    return str(msgspec.to_builtins(at))
