"""Whatever is saved, sent, sent again, raced and restarted: each cause is decided once, on the definitions of that moment.

The oracle is a dictionary of workflows and a set of event ids.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from flowforge.events import EventReceived, TriggerDecided
from hypothesis import given, settings
from hypothesis import strategies as st
from triggers_spec import Spec, command, inbox, on_event

Saved = tuple[Literal["save"], str, list[str], str]
Archived = tuple[Literal["archive"], str]
Sent = tuple[Literal["send"], list[tuple[str, list[int]]], Saved | None]
Restarted = tuple[Literal["restart"]]
Step = Saved | Archived | Sent | Restarted

KINDS: dict[str, dict[str, Any]] = {
    "any": {},
    "even": {"filter": "event.data.n % 2 == 0"},
    "off": {"enabled": False},
    "fails": {"filter": "event.data.missing"},
}
WORKFLOWS = st.sampled_from(["u", "v"])
EVENT_IDS = st.integers(0, 6)
saved = st.tuples(
    st.just("save"),
    WORKFLOWS,
    st.lists(st.sampled_from(sorted(KINDS)), unique=True),
    st.sampled_from(["active", "draft"]),
)
archived = st.tuples(st.just("archive"), WORKFLOWS)
ways = st.tuples(st.sampled_from(["inbox", "command"]), st.lists(EVENT_IDS, min_size=1, max_size=4))
sent = st.tuples(st.just("send"), st.lists(ways, min_size=1, max_size=5), st.none() | saved)
steps = st.lists(st.one_of(saved, archived, sent, sent, st.tuples(st.just("restart"))), max_size=12)


class Oracle:
    def __init__(self) -> None:
        self.workflows: dict[str, tuple[list[str], str]] = {}
        self.known: set[int] = set()
        self.fired: set[tuple[str, str, str]] = set()
        self.declined: dict[tuple[str, str, str], str] = {}

    def saved(self, workflow_id: str, triggers: list[str], status: str) -> None:
        self.workflows[workflow_id] = (triggers, status)

    def archived(self, workflow_id: str) -> None:
        if workflow_id in self.workflows:
            self.workflows[workflow_id] = (self.workflows[workflow_id][0], "archived")

    def received(self, number: int) -> None:
        if number in self.known:
            return
        self.known.add(number)
        for workflow_id, (triggers, status) in self.workflows.items():
            for trigger_id in triggers:
                decision = self._decision(trigger_id, status, number)
                place = (f"e{number}", workflow_id, trigger_id)
                if decision == "fired":
                    self.fired.add(place)
                else:
                    self.declined[place] = decision

    def _decision(self, trigger_id: str, status: str, number: int) -> str:
        if status != "active" or trigger_id == "off":
            return "suppressed"
        if trigger_id == "even" and number % 2:
            return "not_matched"
        return "failed" if trigger_id == "fails" else "fired"


async def played(history: Sequence[Step]) -> None:
    spec, oracle = Spec(), Oracle()
    for step in history:
        match step:
            case ("save", workflow_id, triggers, status):
                await save(spec, step)
                oracle.saved(workflow_id, triggers, status)
            case ("archive", workflow_id):
                if workflow_id in oracle.workflows:
                    await spec.archived(workflow_id)
                oracle.archived(workflow_id)
            case ("restart",):
                spec.restart()
            case ("send", batch, racing):
                await send(spec, oracle, batch, racing)
    await agree(spec, oracle)


async def save(spec: Spec, step: Saved) -> None:
    _, workflow_id, triggers, status = step
    await spec.workflow(workflow_id, *(on_event(kind, **KINDS[kind]) for kind in triggers), status=status)


async def send(spec: Spec, oracle: Oracle, batch: list[tuple[str, list[int]]], racing: Saved | None) -> None:
    is_appended = any(number not in oracle.known for _, numbers in batch for number in numbers)
    if racing is not None and is_appended:
        spec.before_append = lambda: save(spec, racing)
        oracle.saved(*racing[1:])
    messages = []
    for turn_number, (way, numbers) in enumerate(batch):
        if way == "inbox":
            messages += [inbox(f"e{number}", data={"n": number}) for number in numbers]
        else:
            events = [
                {"specversion": "1.0", "id": f"e{n}", "source": "/shop", "type": "file.arrived", "data": {"n": n}}
                for n in numbers
            ]
            messages.append(command("ReceiveEvents", command_id=f"c{turn_number}-{numbers}", events=events))
        for number in numbers:
            oracle.received(number)
    await spec.turn(messages)
    await spec.turn(messages)


async def agree(spec: Spec, oracle: Oracle) -> None:
    received = [fact.id for fact in await spec.logged(EventReceived)]
    assert sorted(received) == sorted(f"e{number}" for number in oracle.known)
    runs = [(run.cause.id, run.workflow_id, run.trigger.id) for run in await spec.runs()]
    assert len(runs) == len(set(runs))
    assert set(runs) == oracle.fired
    decided = {
        (fact.cause.id, fact.workflow_id, fact.trigger_id): fact.decision for fact in await spec.logged(TriggerDecided)
    }
    assert decided == oracle.declined
    assert len(spec.said) == len(runs)
    for answer in spec.answers:
        assert all(item["position"] for item in answer["ok"]["items"])


@settings(max_examples=200, deadline=None)
@given(steps)
def test_each_cause_is_decided_once_on_the_definitions_of_that_moment(history: list[Step]):
    asyncio.run(played(history))
