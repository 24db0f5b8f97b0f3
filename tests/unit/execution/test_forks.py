"""A run that goes on from a past moment of another: what had ended is taken over, the rest is as the oracle foretells."""

import os
from random import Random

import msgspec
import pytest
from flowforge.events import ForkedFrom, NodeCompleted, NodeQueued, NodeStarted, RunFailed
from flowforge.identity import derived_uuid
from hypothesis import given, note, settings
from hypothesis import strategies as st

from services.execution.decide.forking import kept_of
from services.execution.state import ENDED, Run, Source, source_of
from tests.unit.execution.given import NOW, RUN, Scenario, edge, job, kinds
from tests.unit.execution.oracle import Question, foretell
from tests.unit.execution.oracle_terms import BEFORE, End, Shape
from tests.unit.execution.random_histories import Chances, RandomHistory
from tests.unit.execution.random_workflows import FLAGS, random_workflow
from tests.unit.execution.test_random_histories import check

TIMES = int(os.environ.get("FLOWFORGE_TEST_HISTORIES", "1"))
FORK = derived_uuid(NOW, "a fork")
CHAIN = {"nodes": [job("a"), job("b"), job("c")], "edges": [edge("a", "b"), edge("b", "c")]}


class Forked(Scenario):
    """Of a scenario as it stands, with the same definition."""

    def __init__(self, source: Scenario, **changes: object) -> None:
        super().__init__(CHAIN)
        first = source.history[0][0]
        at = len(source.history)
        fork = ForkedFrom(run_id=RUN, version=at, position=at, **changes)  # type: ignore[arg-type]
        self.plan = source.plan
        self.history = [(msgspec.structs.replace(first, run_id=FORK, fork=fork), NOW)]
        self.source: Source | None = source_of(source.plan, source.history)

    @property
    def run(self) -> Run:
        run = super().run
        run.source = self.source if run.status == "pending" else None
        return run


def halfway() -> Scenario:
    """The first node has completed, the second is under way."""
    run = Scenario(CHAIN)
    run.start()
    run.completes("a", {"x": 1})
    return run


def test_what_had_completed_is_taken_over_and_what_was_under_way_runs_anew():
    fork = Forked(halfway())
    assert kinds(fork.start()) == ["RunStarted", "NodeStarted", "NodeCompleted", "NodeQueued"]
    assert fork.statuses() == {"a": "completed", "b": "queued", "c": "idle"}
    [taken] = [event for event, _ in fork.history if isinstance(event, NodeCompleted)]
    assert taken.cached_from is not None
    assert (taken.cached_from.run_id, taken.cached_from.node_id) == (RUN, "a")
    assert msgspec.json.decode(taken.output) == {"x": 1}


def test_an_output_that_is_given_stands_for_its_node():
    fork = Forked(halfway(), node_outputs={"b": msgspec.Raw(b"7")})
    assert "NodeDecidedByHand" in kinds(fork.start())
    assert fork.statuses() == {"a": "completed", "b": "completed", "c": "queued"}


def test_a_node_that_is_to_run_anew_does_and_so_does_all_below_it():
    source = halfway()
    source.completes("b", 2)
    source.completes("c", 3)
    fork = Forked(source, rerun=["b"])
    fork.start()
    assert fork.statuses() == {"a": "completed", "b": "queued", "c": "idle"}


def test_a_fork_whose_origin_is_not_there_any_more_fails_and_says_so():
    fork = Forked(halfway())
    fork.source = None
    ended = fork.start()[-1]
    assert isinstance(ended, RunFailed)
    assert (ended.error.code, str(RUN) in ended.error.message) == ("MISSING_DEPENDENCY", True)


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(("nodes_max", "examples"), [(8, 200), (40, 40)])
def test_a_fork_at_any_moment_ends_as_the_oracle_says(nodes_max: int, examples: int):
    @settings(max_examples=examples * TIMES, deadline=None, database=None, derandomize=TIMES == 1)
    @given(st.integers(0, 2**63), st.integers(1, nodes_max))
    def ends_as_foretold(seed: int, size: int) -> None:
        note(f"fork_and_foretell({seed}, {size})")
        fork_and_foretell(seed, size)

    ends_as_foretold()


def fork_and_foretell(seed: int, size: int) -> None:
    """One workflow, its run to the end, and a fork of it from a moment at random."""
    rng = Random(seed)
    definition = random_workflow(rng, size)
    flags = {flag: rng.random() < 0.5 for flag in FLAGS}
    chances = Chances(failure=rng.choice([0, 0.1, 0.3]), cancel=0, timeout=0, pause=0, step_events_max=5_000)
    origin = RandomHistory(definition, seed, chances, flags, None)
    origin.start()
    origin.go_on()
    past = origin.events[: rng.randint(1, len(origin.events))]
    rerun = [rng.choice(definition["nodes"])["id"]] if rng.random() < 0.5 else []
    fork = ForkedFrom(run_id=RUN, version=len(past), position=len(past), rerun=rerun)
    history = RandomHistory(definition, seed, chances, flags, None)
    history.events = [(msgspec.structs.replace(past[0][0], fork=fork), NOW)]
    history.run = history.refolded()
    history.run.source = source = source_of(history.plan, past)
    kept = kept_of(history.run, source.run, fork)
    shape = Shape(history.workflow.nodes, history.workflow.effective_edges())
    assert not kept & shape.below(set(shape.nodes) - kept), "what rests on something that runs anew was taken over"
    assert not kept & set(rerun)
    history.chances = chances._replace(repeat=0)  # what it begins from is there when it begins
    history.start()
    history.chances = chances
    begun = {event.node_id for event, _ in history.events if isinstance(event, NodeQueued | NodeStarted)}
    assert {name for name in kept if source.run.nodes[name].status == "completed"} <= begun
    history.go_on()
    answer = foretell(
        Question(
            history.workflow, history, history.nature, flags, history.cancelled_at, history.timed_out_at, None,
            ends_of(origin, kept), {},
        )
    )  # fmt: skip
    check(history, answer)
    if not rerun and len(past) == len(origin.events) and origin.run.status == "completed":
        assert history.run.status == "completed"
        assert not any(isinstance(event, NodeQueued) and event.node_id in kept for event, _ in history.events)
    assert all(node.status in ENDED for node in history.run.nodes.values())


def ends_of(origin: RandomHistory, kept: set[str]) -> dict[str, End]:
    """How these nodes ended there."""
    flags = msgspec.json.decode(origin.events[0][0].input_data)
    asked = Question(
        origin.workflow, origin, origin.nature, flags, origin.cancelled_at, origin.timed_out_at, None, {}, {}
    )  # fmt: skip
    ends = foretell(asked).ends
    return {name: ends[name]._replace(at=BEFORE) for name in kept}
