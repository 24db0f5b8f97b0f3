"""A shadow run acts on nothing: what came of each node in the run that it was forked from is taken, and the rest computed."""

from random import Random
from typing import Any

import msgspec
import pytest
from flowforge.definition import parse
from flowforge.errors import RunError
from flowforge.events import (
    ForkedFrom,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeSkipped,
    NodeStarted,
    RunCompleted,
    RunFailed,
    TimerSet,
)
from hypothesis import given, note, settings
from hypothesis import strategies as st

from services.execution import decide
from services.execution.plan import Plan
from services.execution.state import Run, Source, fold, recorded_in, source_of
from tests.unit.execution.given import NOW, RUN, Scenario, edge, job, kinds
from tests.unit.execution.random_histories import Chances, RandomHistory
from tests.unit.execution.random_workflows import FLAGS, random_workflow
from tests.unit.execution.test_forks import FORK, TIMES

SUM = {"id": "sum", "type": "data_transform", "expressions": {"n": "${nodes.b.output + 1}"}}
CHAIN = {"nodes": [job("a"), job("b"), SUM], "edges": [edge("a", "b"), edge("b", "sum")]}
ACTS = {"NodeQueued", "NodeWaiting", "ChildRunRequested", "JobEnded", "NodeRetried"}


class Shadow(Scenario):
    """Of a scenario, from its beginning or from `at` of its events on; perhaps of another definition."""

    def __init__(self, source: Scenario, at: int = 1, definition: Any = None, **changes: Any) -> None:
        super().__init__(CHAIN)
        fork = ForkedFrom(run_id=RUN, version=at, position=at, shadow_version=len(source.history), **changes)
        self.plan = source.plan if definition is None else _plan(definition)
        self.history = [(msgspec.structs.replace(source.history[0][0], run_id=FORK, fork=fork), NOW)]
        self.source: Source = source_of(source.plan, source.history[:at])
        self.recorded = recorded_in(event for event, _ in source.history)

    @property
    def run(self) -> Run:
        run = super().run
        run.source = self.source if run.status == "pending" else None
        run.recorded = self.recorded
        return run


def _plan(definition: Any) -> Plan:
    workflow, faults = parse({"id": "wf", "name": "A workflow", **definition})
    assert workflow is not None, faults
    return Plan(workflow, 2)


def completed(definition: Any, **outputs: Any) -> Scenario:
    """A run in which jobs completed with these outputs, one after the other."""
    run = Scenario(definition)
    run.start()
    for node_id, output in outputs.items():
        run.completes(node_id, output)
    return run


def error_of(shadow: Scenario, node_id: str) -> RunError:
    """The first: a map fails with that of its instance."""
    failures = (event for event, _ in shadow.history if isinstance(event, NodeFailed))
    return next(event.error for event in failures if event.node_id == node_id)


def test_a_shadow_run_hands_out_no_job_and_ends_as_the_other_run_did():
    shadow = Shadow(completed(CHAIN, a={"x": 1}, b=2))
    events = shadow.start()
    assert not ACTS & set(kinds(events))
    assert isinstance(events[-1], RunCompleted)
    assert shadow.output() == {"n": 3}
    whose = [event.cached_from and event.cached_from.run_id for event in events if isinstance(event, NodeCompleted)]
    assert whose == [RUN, RUN, None]


def test_what_a_shadow_run_computes_is_computed_with_what_was_changed():
    other = {
        "nodes": [job("a"), job("b"), SUM | {"expressions": {"n": "${nodes.b.output * 10}"}}],
        "edges": CHAIN["edges"],
    }
    shadow = Shadow(completed(CHAIN, a=1, b=2), definition=other)
    shadow.start()
    assert shadow.output() == {"n": 20}


def test_an_output_that_is_given_stands_for_its_node_in_a_shadow_run_too():
    shadow = Shadow(completed(CHAIN, a=1, b=2), node_outputs={"b": msgspec.Raw(b"41")})
    shadow.start()
    assert shadow.output() == {"n": 42}


def test_a_failure_is_taken_as_it_was_without_another_attempt():
    retried = {"nodes": [job("a", retry_policy={"max_attempts": 2, "delay_ms": 0, "jitter": False})]}
    run = Scenario(retried)
    run.start()
    run.fails("a")
    run.fails("a", attempt=2)
    shadow = Shadow(run)
    events = shadow.start()
    assert not ACTS & set(kinds(events))
    assert isinstance(events[-1], RunFailed)
    assert error_of(shadow, "a").message == "it broke"


def test_an_attempt_that_failed_before_another_one_completed_does_not_count():
    run = Scenario({"nodes": [job("a", retry_policy={"max_attempts": 2, "delay_ms": 0, "jitter": False})]})
    run.start()
    run.fails("a")
    run.completes("a", 5, attempt=2)
    shadow = Shadow(run)
    shadow.start()
    assert shadow.statuses() == {"a": "completed"}


def test_a_node_of_which_nothing_is_recorded_fails_and_says_why():
    run = completed(CHAIN, a=1)
    shadow = Shadow(run)
    shadow.start()
    error = error_of(shadow, "b")
    assert (error.code, "it had not ended there" in error.message) == ("MISSING_DEPENDENCY", True)
    assert "node_outputs" in error.suggested_resolution
    run.cancel()
    stopped = Shadow(run)
    stopped.start()
    assert "it was cancelled there" in error_of(stopped, "b").message


@pytest.mark.parametrize(
    "node",
    [
        {"id": "a", "type": "wait_event", "event_type": "x", "source": "y"},
        {"id": "a", "type": "human_approval", "message": "may I?"},
        {"id": "a", "type": "workflow", "workflow_id": "other"},
        {"id": "a", "type": "webhook", "url": "http://example.org", "wait_for_callback": True},
        {"id": "a", "type": "script", "language": "bash", "source": "true"},
    ],
)
def test_nobody_is_asked_and_nothing_is_started_by_a_shadow_run(node: dict[str, Any]):
    run = Scenario({"nodes": [node]})
    run.start()
    done = NodeCompleted(node_id="a", attempt=1, output=msgspec.Raw(b'{"by":"hand"}'))
    run.history.append((done, NOW))
    shadow = Shadow(run)
    assert not ACTS & set(kinds(shadow.start()))
    assert bytes(shadow.unit("a").output) == b'{"by":"hand"}'


def test_a_delay_takes_no_time_in_a_shadow_run():
    run = Scenario({"nodes": [{"id": "a", "type": "delay", "duration_ms": 3_600_000}]}, {"n": 1})
    run.start()
    shadow = Shadow(run)
    shadow.start()
    assert (shadow.statuses(), shadow.output()) == ({"a": "completed"}, {"n": 1})


def test_each_instance_of_a_map_and_each_iteration_of_a_loop_ends_as_it_did():
    definition = {
        "nodes": [
            job("map", for_each="${[1, 2]}"),
            {"id": "loop", "type": "loop", "loop_type": "count", "count": 2, "body": {"nodes": [job("in")]}},
        ]
    }  # fmt: skip
    run = Scenario(definition)
    run.start()
    for node_id, instance, output in (("map", "0", 10), ("map", "1", 20), ("in", "0", 30), ("in", "1", 40)):
        run.completes(node_id, output, instance=instance)
    assert run.run.is_ended
    shadow = Shadow(run)
    assert not ACTS & set(kinds(shadow.start()))
    assert [bytes(shadow.unit(name).output) for name in ("map", "loop")] == [b"[10,20]", b"[30,40]"]


def test_an_item_that_the_other_run_did_not_have_fails_by_its_number():
    run = completed({"nodes": [job("map", for_each="${[1]}")]})
    run.completes("map", 1, instance="0")
    shadow = Shadow(run, definition={"nodes": [job("map", for_each="${[1, 2]}")]})
    shadow.start()
    assert shadow.statuses() == {"map": "failed"}
    assert "node 'map' (1)" in error_of(shadow, "map").message


def test_a_template_that_cannot_be_filled_in_fails_in_a_shadow_run_as_it_would():
    broken = {"nodes": [job("a", payload={"x": "${input.absent}"})]}
    shadow = Shadow(completed({"nodes": [job("a")]}, a=1), definition=broken)
    shadow.start()
    assert error_of(shadow, "a").code == "EXPRESSION_ERROR"


def test_what_had_completed_by_then_is_taken_over_and_the_rest_repeated():
    source = completed(CHAIN, a=1, b=2)
    at = next(n for n, (event, _) in enumerate(source.history, 1) if isinstance(event, NodeCompleted))
    shadow = Shadow(source, at=at)
    shadow.start()
    assert shadow.output() == {"n": 3}
    assert [event.node_id for event, _ in shadow.history if isinstance(event, NodeStarted)] == ["a", "b", "sum"]


def test_a_shadow_run_misses_no_sla():
    source = completed(CHAIN | {"settings": {"sla_ms": 5, "timeout_ms": 1_000}}, a=1, b=2)
    purposes = [event.purpose for event in Shadow(source).start() if isinstance(event, TimerSet)]
    assert purposes == ["run_timeout"]


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(("nodes_max", "examples"), [(8, 200), (40, 40)])
def test_a_shadow_of_any_run_acts_on_nothing_and_ends_in_one_step(nodes_max: int, examples: int):
    @settings(max_examples=examples * TIMES, deadline=None, database=None, derandomize=TIMES == 1)
    @given(st.integers(0, 2**63), st.integers(1, nodes_max))
    def ends_as_it_did(seed: int, size: int) -> None:
        note(f"shadow_of({seed}, {size})")
        shadow_of(seed, size)

    ends_as_it_did()


def shadow_of(seed: int, size: int) -> None:
    """One workflow, its run to the end, and a shadow of it from a moment at random."""
    rng = Random(seed)
    flags = {flag: rng.random() < 0.5 for flag in FLAGS}
    origin = RandomHistory(
        random_workflow(rng, size), seed, Chances(failure=rng.choice([0, 0, 0.2]), pause=0), flags, None
    )
    origin.start()
    origin.go_on()
    past = origin.events[: rng.randint(1, len(origin.events))]
    fork = ForkedFrom(run_id=RUN, version=len(past), position=len(past), shadow_version=len(origin.events))
    run = fold(origin.plan, [(msgspec.structs.replace(past[0][0], run_id=FORK, fork=fork), NOW)])
    run.source, run.recorded = source_of(origin.plan, past), recorded_in(event for event, _ in origin.events)
    step = decide.Step(run, NOW, events_max=1_000_000)
    decide.start(step)
    assert not ACTS & {type(event).__name__ for event in step.events}
    assert run.is_ended
    assert not run.jobs
    lost = any(isinstance(event, NodeCancelled) or _is_lost(event) for event, _ in origin.events)
    if origin.run.status == "completed" and not lost:
        assert run.status == "completed"
        assert {name: node.status for name, node in run.nodes.items()} == {
            name: node.status for name, node in origin.run.nodes.items()
        }


def _is_lost(event: Any) -> bool:
    """Of a contest, who wins may be another one: in a shadow all come in at once."""
    return isinstance(event, NodeSkipped) and event.reason == "branch_lost"
