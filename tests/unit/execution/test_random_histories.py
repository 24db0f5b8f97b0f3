"""Random workflows, driven at random, end as the oracle says: however what happens to them is mixed, repeated, delayed,
halted by pauses, cut by a cancel, gone on with by retries, and read anew from its history in between.

`FLOWFORGE_TEST_HISTORIES=50` runs fifty times as many as `make test`.
"""

import os
from random import Random
from typing import Any

import msgspec
import pytest
from flowforge.definition import Workflow
from flowforge.events import RunCompleted, RunPartiallyCompleted
from hypothesis import given, note, settings
from hypothesis import strategies as st

from tests.unit.execution.oracle import Answer, Question, foretell, retried
from tests.unit.execution.oracle_terms import BEFORE, End, Place, Shape
from tests.unit.execution.random_histories import Chances, RandomHistory
from tests.unit.execution.random_workflows import FLAGS, random_workflow

TIMES = int(os.environ.get("FLOWFORGE_TEST_HISTORIES", "1"))
PHASES_MAX = 3
Flags = dict[str, bool]


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(("nodes_max", "examples"), [(8, 600), (40, 150), (200, 30)])
def test_a_run_ends_as_the_oracle_says(nodes_max: int, examples: int):
    @settings(max_examples=examples * TIMES, deadline=None, database=None, derandomize=TIMES == 1)
    @given(st.integers(0, 2**63), st.integers(1, nodes_max))
    def ends_as_foretold(seed: int, size: int) -> None:
        note(f"run_and_foretell({seed}, {size})")
        run_and_foretell(seed, size)

    ends_as_foretold()


def run_and_foretell(seed: int, size: int) -> None:
    """One workflow, its run to the end, and up to two retries of it."""
    rng = Random(seed)
    definition = random_workflow(rng, size)
    flags = {flag: rng.random() < 0.5 for flag in FLAGS}
    chances = Chances(
        failure=rng.choice([0, 0.05, 0.2, 0.5]),
        cancel=rng.choice([0, 0, 0, 0.05]),
        timeout=rng.choice([0, 0, 0, 0.03]),
        pause=rng.choice([0, 0.05]),
        step_events_max=rng.choice([5_000, 5_000, 1, 4]),
    )
    from_node = rng.choice([None, None, None, rng.choice(definition["nodes"])["id"]])
    history = RandomHistory(definition, seed, chances, flags, from_node)
    kept = {} if from_node is None else not_selected(history.workflow, from_node)
    instances: dict[Place, End] = {}
    history.start()
    for _ in range(PHASES_MAX):
        history.go_on()
        answer = foretell(
            Question(
                history.workflow, history, history.nature, flags, history.cancelled_at, history.timed_out_at, from_node,
                kept, instances,
            )
        )  # fmt: skip
        check(history, answer)
        instances |= completed_instances(history)
        named = [] if rng.random() < 0.7 else [rng.choice(history.workflow.nodes).id]
        cleared = retried(history.workflow, answer.ends, named)
        kept = {name: end._replace(at=BEFORE) for name, end in answer.ends.items() if name not in cleared}
        assert history.retry(*named) == bool(cleared), f"a retry should clear {cleared}"
        if not cleared:
            return


def check(history: RandomHistory, answer: Answer) -> None:
    wrong: list[str] = []
    for place, end in answer.places.items():
        if end.at == BEFORE:
            continue
        seen = history.seen.get(place)
        was = ("idle", "", None) if seen is None else (seen.status, seen.reason, known(seen.output))
        should_be = (end.status, end.reason, known(end.output) if end.status == "completed" else None)
        if was != should_be:
            wrong.append(f"{place} is {was}, should be {should_be} (event {end.at})")
    assert not wrong, "\n".join(wrong)
    assert history.run.status == answer.status
    for name, node in history.run.nodes.items():
        assert node.status == answer.ends[name].status, f"{name} is {node.status} in memory"
    last = history.events[-1][0]
    if isinstance(last, RunCompleted | RunPartiallyCompleted):
        assert known(msgspec.json.decode(last.output)) == known(answer.output)


def known(value: Any) -> Any:
    """Without what only the engine can know of an approval."""
    if isinstance(value, list):
        return [known(each) for each in value]
    if isinstance(value, dict):
        is_approval = "decided_at" in value or str(value.get("by", "")).startswith("approval")
        return {} if is_approval else {name: known(each) for name, each in value.items()}
    return value


def completed_instances(history: RandomHistory) -> dict[Place, End]:
    """What a map that goes on after a retry need not do again."""
    return {
        place: End("completed", output=seen.output, at=BEFORE)
        for place, seen in history.seen.items()
        if place.path and seen.status == "completed"
    }


def not_selected(workflow: Workflow, from_node: str) -> dict[str, End]:
    """What the run leaves out that begins at a node."""
    shape = Shape(workflow.nodes, workflow.effective_edges())
    selected = {from_node} | shape.below([from_node])
    return {name: End("skipped", "not_selected", at=BEFORE) for name in shape.nodes if name not in selected}
