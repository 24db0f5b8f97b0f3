"""Who may start, who waits, who does not: each message is decided twice, and the second time nothing follows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import pytest
from flowforge.events import (
    Cause,
    QueueLeft,
    RunAdmitted,
    RunDisplaced,
    SlotAwaited,
    SlotFreed,
    SlotTaken,
    SlotWait,
    TriggerDecided,
    TriggerRef,
    WorkflowTriggered,
    decode,
    encode,
)
from flowforge.identity import derived_uuid, lasting_stream
from hypothesis import given, settings
from hypothesis import strategies as st

from services.triggers import admission
from services.triggers.admission import Asking, Ending, Let, Overlap, SlotFact
from services.triggers.slots import Slots, evolve

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SLOT = lasting_stream("slot", "workflow", "w", "")


def run_id(name: object) -> UUID:
    return derived_uuid(NOW, "run", name)


def question(name: object, limit: int = 1, on_conflict: Any = "queue", workflow: str = "w", **more: Any) -> Asking:
    run = WorkflowTriggered(
        run_id=run_id(name),
        workflow_id=workflow,
        workflow_version=1,
        trigger=TriggerRef("event", "t"),
        trigger_version=1,
        cause=Cause(event_id=run_id(f"cause {name}"), type="a", id=str(name), source="/s", stream_id=SLOT),
        consumed=[run_id(f"cause {name}")],
        priority=more.pop("priority", 0),
    )
    return Asking(run, SLOT, limit, on_conflict, **more)


class Scenario:
    """One slot stream; its state is always that of the whole history, each event having gone through its JSON."""

    def __init__(self) -> None:
        self.history: list[SlotFact] = []
        self.newest: dict[str, int] = {}
        """Limits of the newest versions, where they changed."""

    @property
    def slots(self) -> Slots:
        slots = Slots()
        for fact in self.history:
            evolve(slots, decode(type(fact).__name__, encode(fact)))  # type: ignore[arg-type]
        return slots

    def asks(self, name: object, **more: Any) -> Let | Overlap:
        asking = question(name, **more)
        answer = admission.ask(self.slots, asking, NOW)
        if isinstance(answer, Let):
            self.history += answer.facts
            assert admission.ask(self.slots, asking, NOW) == Let([])
        return answer

    def waits(self, name: object, **more: Any) -> SlotWait:
        answer = self.asks(name, **more)
        assert isinstance(answer, Let)
        assert answer.waits is not None
        return answer.waits

    def ends(self, name: object, how: Any = "RunCompleted", detail: str = "", version: int = 2) -> list[SlotFact]:
        ending = Ending(run_id(name), version, how, detail)
        facts = admission.end(self.slots, ending, self._limit)
        self.history += facts
        assert admission.end(self.slots, ending, self._limit) == []
        return facts

    def limits_change(self, **limits: int) -> list[SlotFact]:
        self.newest |= limits
        facts = admission.look(self.slots, self._limit)
        self.history += facts
        assert admission.look(self.slots, self._limit) == []
        return facts

    def _limit(self, asked: SlotAwaited) -> int:
        return self.newest.get(asked.workflow_id, asked.limit)

    def decisions(self, name: object) -> list[tuple[str, str]]:
        cause = run_id(f"cause {name}")
        decided = [fact for fact in self.history if isinstance(fact, TriggerDecided)]
        return [(fact.decision, fact.reason) for fact in decided if fact.cause.event_id == cause]


def kinds(facts: Sequence[SlotFact]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


def test_a_free_slot_is_taken_at_once():
    answer = Scenario().asks("a")
    assert isinstance(answer, Let)
    assert (kinds(answer.facts), answer.waits) == (["SlotTaken"], None)


def test_one_too_many_waits_and_says_for_whom_and_where_in_the_queue():
    scenario = Scenario()
    scenario.asks("a")
    waits = scenario.waits("b", waits_ms=60_000)
    assert (waits.holders, waits.place, waits.limit) == ([run_id("a")], 1, 1)
    assert waits.due_at == NOW + timedelta(minutes=1)
    assert scenario.waits("c").place == 2
    assert scenario.decisions("b") == [("held", "concurrency")]
    held = next(fact for fact in scenario.history if isinstance(fact, TriggerDecided))
    assert held.detail == f"1 of 1 slot of 'w' held by {run_id('a')}; place 1 in the queue"
    assert held.run_id == run_id("b")


@pytest.mark.parametrize("how", ["RunCompleted", "RunFailed", "RunCancelled", "RunPartiallyCompleted"])
def test_any_ending_frees_the_slot_and_the_first_in_the_queue_is_admitted(how: str):
    scenario = Scenario()
    for name in "abc":
        scenario.asks(name)
    facts = scenario.ends("a", how)
    assert kinds(facts) == ["SlotFreed", "RunAdmitted", "TriggerDecided"]
    assert scenario.decisions("b") == [("held", "concurrency"), ("fired", "")]
    assert list(scenario.slots.holders) == [run_id("b")]


def test_an_ending_told_twice_frees_one_slot():
    scenario = Scenario()
    for name in "abcd":
        scenario.asks(name, limit=2)
    scenario.ends("a")
    assert scenario.ends("a") == []
    assert list(scenario.slots.holders) == [run_id("b"), run_id("c")]


def test_a_higher_priority_goes_first_and_those_of_one_priority_in_their_order():
    scenario = Scenario()
    scenario.asks("a")
    for name, priority in (("low", -1), ("first", 0), ("second", 0), ("high", 5)):
        scenario.asks(name, priority=priority)
    order = ["high", "first", "second", "low"]
    assert [asked.run_id for asked in scenario.slots.queue()] == [run_id(name) for name in order]
    assert scenario.slots.place(0) == 4


def test_skip_starts_nothing_and_names_who_holds_the_slots():
    scenario = Scenario()
    scenario.asks("a")
    answer = scenario.asks("b", on_conflict="skip")
    assert isinstance(answer, Overlap)
    assert (answer.detail, answer.run_ids) == (f"1 of 1 slot of 'w' held by {run_id('a')}", [run_id("a")])
    assert answer.fact.cause_event_id == run_id("cause b")


def test_an_override_starts_beyond_the_limit_and_the_count_says_so():
    scenario = Scenario()
    scenario.asks("a")
    scenario.asks("b")
    answer = scenario.asks("c", is_override=True)
    assert isinstance(answer, Let)
    assert [fact.is_beyond_limit for fact in answer.facts if isinstance(fact, SlotTaken)] == [True]
    assert kinds(scenario.ends("a")) == ["SlotFreed"], "one ended, two were there: nobody may start"
    assert kinds(scenario.ends("c")) == ["SlotFreed", "RunAdmitted", "TriggerDecided"]


def test_a_full_queue_takes_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(admission, "SLOT_QUEUE_COUNT_MAX", 1)
    scenario = Scenario()
    scenario.asks("a")
    scenario.asks("b")
    answer = scenario.asks("c")
    assert isinstance(answer, Overlap)
    assert answer.detail.endswith("1 wait already, and no more may")


def test_cancel_running_asks_the_oldest_to_end_and_waits_for_it():
    scenario = Scenario()
    scenario.asks("a", limit=2)
    scenario.asks("b", limit=2)
    scenario.waits("c", limit=2, on_conflict="cancel_running")
    displaced = [fact.run_id for fact in scenario.history if isinstance(fact, RunDisplaced)]
    assert displaced == [run_id("a")]
    assert run_id("a") in scenario.slots.holders, "it holds its slot until it has ended"
    assert RunAdmitted(run_id=run_id("c"), workflow_id="w") in scenario.ends("a", "RunCancelled")


def test_cancel_running_leaves_one_waiting_at_most():
    scenario = Scenario()
    scenario.asks("a", on_conflict="cancel_running")
    for name in "bcd":
        assert scenario.waits(name, on_conflict="cancel_running").place == 1
    displaced = [fact.run_id for fact in scenario.history if isinstance(fact, RunDisplaced)]
    assert displaced == [run_id(name) for name in "abc"], "each once"
    assert scenario.decisions("b") == [("held", "concurrency"), ("suppressed", "overlap")]
    assert scenario.ends("b", "RunCancelled") == [], "it had left the queue"
    scenario.ends("a", "RunCancelled")
    assert list(scenario.slots.holders) == [run_id("d")]


def test_cancel_running_cancels_no_run_of_another_workflow_in_the_pool():
    scenario = Scenario()
    scenario.asks("other", workflow="v", pool="p")
    scenario.waits("waiting", workflow="v", pool="p")
    assert scenario.waits("a", on_conflict="cancel_running", pool="p").place == 2
    assert not any(isinstance(fact, RunDisplaced) for fact in scenario.history)


def test_who_is_cancelled_while_waiting_leaves_the_queue():
    scenario = Scenario()
    for name in "abc":
        scenario.asks(name)
    facts = scenario.ends("b", "RunCancelled", "enough")
    assert kinds(facts) == ["QueueLeft", "TriggerDecided"]
    assert scenario.decisions("b") == [("held", "concurrency"), ("suppressed", "cancelled")]
    scenario.ends("a")
    assert list(scenario.slots.holders) == [run_id("c")]


def test_who_waited_too_long_is_expired():
    scenario = Scenario()
    for name in "ab":
        scenario.asks(name)
    scenario.ends("b", "RunFailed", "waited too long")
    assert scenario.decisions("b") == [("held", "concurrency"), ("expired", "concurrency")]


def test_a_raised_limit_admits_more_and_a_lowered_one_lets_the_holders_end():
    scenario = Scenario()
    for name in "abcde":
        scenario.asks(name)
    assert kinds(scenario.limits_change(w=3)) == ["RunAdmitted", "TriggerDecided"] * 2
    assert scenario.limits_change(w=1) == []
    assert kinds(scenario.ends("a")) == ["SlotFreed"]
    assert kinds(scenario.ends("b")) == ["SlotFreed"]
    assert kinds(scenario.ends("c")) == ["SlotFreed", "RunAdmitted", "TriggerDecided"]


def test_in_a_pool_nobody_overtakes_one_that_asks_for_less_company():
    scenario = Scenario()
    scenario.asks("a", limit=3, pool="p", workflow="v")
    scenario.asks("alone", limit=1, pool="p")
    assert scenario.waits("b", limit=3, pool="p", workflow="v").place == 2
    scenario.ends("a")
    assert list(scenario.slots.holders) == [run_id("alone"), run_id("b")]


# --- any history ------------------------------------------------------------------------------------------------------

Asked = tuple[Literal["ask"], int, int]
Ended = tuple[Literal["end"], int, str]
Limited = tuple[Literal["limit"], int]
NAMES = st.integers(0, 11)
asked = st.tuples(st.just("ask"), NAMES, st.integers(-1, 1))
ended = st.tuples(st.just("end"), NAMES, st.sampled_from(["RunCompleted", "RunFailed", "RunCancelled"]))
limited = st.tuples(st.just("limit"), st.integers(1, 4))
histories = st.lists(st.one_of(asked, asked, ended, ended, limited), max_size=60)


class Oracle:
    """A list that waits and a set that runs."""

    def __init__(self) -> None:
        self.limit = 1
        self.known: set[int] = set()
        self.running: set[int] = set()
        self.waiting: list[tuple[int, int]] = []

    def ask(self, name: int, priority: int) -> None:
        if name not in self.known:
            self.known.add(name)
            self.waiting.append((name, priority))
            self._let_in()

    def end(self, name: int) -> None:
        self.running.discard(name)
        self.waiting = [each for each in self.waiting if each[0] != name]
        self._let_in()

    def limit_to(self, limit: int) -> None:
        self.limit = limit
        self._let_in()

    def _let_in(self) -> None:
        while self.waiting and len(self.running) < self.limit:
            best = max(self.waiting, key=lambda each: each[1])
            self.waiting.remove(best)
            self.running.add(best[0])


@settings(max_examples=300, deadline=None)
@given(histories)
def test_never_more_than_the_limit_in_order_none_lost_none_twice(history: list[Asked | Ended | Limited]):
    scenario, oracle = Scenario(), Oracle()
    for step in history:
        before = set(scenario.slots.holders)
        match step:
            case ("ask", name, priority):
                if name not in oracle.known:  # a run asks once; told again it has its answer already
                    scenario.asks(name, limit=oracle.limit, priority=priority)
                oracle.ask(name, priority)
            case ("end", name, how):
                scenario.ends(name, how)
                oracle.end(name)
            case ("limit", limit):
                scenario.limits_change(w=limit)
                oracle.limit_to(limit)
        slots = scenario.slots
        assert set(slots.holders) == {run_id(name) for name in oracle.running}
        in_order = sorted(oracle.waiting, key=lambda each: -each[1])
        assert [each.run_id for each in slots.queue()] == [run_id(name) for name, _ in in_order]
        if set(slots.holders) - before:
            assert len(slots.holders) <= oracle.limit
    _each_is_decided_once(scenario)


def _each_is_decided_once(scenario: Scenario) -> None:
    """Whoever is there took a slot, was admitted or left; the decision of one that waited is final once."""
    history, slots = scenario.history, scenario.slots
    began = [fact.run_id for fact in history if isinstance(fact, SlotTaken | RunAdmitted)]
    freed = [fact.run_id for fact in history if isinstance(fact, SlotFreed)]
    left = [fact.run_id for fact in history if isinstance(fact, QueueLeft)]
    assert len(began) == len(set(began))
    assert len(freed) == len(set(freed))
    assert set(began) == set(freed) | set(slots.holders)
    decided = [fact for fact in history if isinstance(fact, TriggerDecided) and fact.decision != "held"]
    final = [fact.run_id for fact in decided if fact.run_id is not None]
    waited = {fact.run_id for fact in history if isinstance(fact, SlotAwaited)}
    assert sorted(final) == sorted({*waited} - {*slots.waiting})
    assert set(left) <= set(final)
