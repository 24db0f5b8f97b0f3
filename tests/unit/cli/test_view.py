from uuid import UUID

import pytest
from flowforge import events as e

from services.cli import view
from tests.unit.cli.run_events import RUN_ID, at, error, folded, output, triggered

GRAPH = [("a", "job", []), ("b", "job", ["a"])]


def test_a_run_is_pending_until_execution_takes_it_up():
    assert folded(GRAPH, [(0, triggered())]).status == "pending"
    assert folded(GRAPH, [(0, triggered()), (0, e.RunStarted(total_nodes=2))]).status == "running"


def test_a_run_that_waits_for_a_slot_says_so_until_it_begins():
    waits = e.SlotWait(slot_id=UUID(RUN_ID), limit=1, place=2, holders=[])
    told: list[tuple[float, e.Event]] = [(0, triggered()), (0, e.RunQueued(waits=waits))]
    waiting = folded(GRAPH, told)
    assert (waiting.status, waiting.queue_place) == ("pending", 2)
    assert folded(GRAPH, [*told, (9, e.RunStarted(total_nodes=2))]).queue_place is None


def test_a_node_goes_from_queued_to_running_to_completed():
    told: list[tuple[float, e.Event]] = [(0, triggered()), (1, e.NodeQueued(node_id="a"))]
    assert folded(GRAPH, told).nodes["a"].status == "queued"
    told.append((2, e.NodeStarted(node_id="a", worker="w", at=at(1.5))))
    assert folded(GRAPH, told).nodes["a"].status == "running"
    told.append((4, e.NodeCompleted(node_id="a")))
    node = folded(GRAPH, told).nodes["a"]
    assert (node.status, node.started_at, node.ended_at) == ("completed", at(1.5), at(4))


def test_a_retry_waits_with_the_reason_of_the_last_attempt_until_it_completes():
    retried = e.NodeRetried(node_id="a", attempt=2, error=error("boom"), due_at=at(9))
    node = folded(GRAPH, [(0, triggered()), (1, retried)]).nodes["a"]
    assert (node.status, node.attempt, node.retry_due_at) == ("waiting", 2, at(9))
    assert node.error is not None
    assert node.error.message == "boom"
    node = folded(GRAPH, [(0, triggered()), (1, retried), (9, e.NodeCompleted(node_id="a", attempt=2))]).nodes["a"]
    assert (node.status, node.attempt, node.error) == ("completed", 2, None)


def test_items_of_a_map_are_counted_and_do_not_end_the_map():
    told: list[tuple[float, e.Event]] = [(0, triggered()), (0, e.NodeStarted(node_id="a", instances_count=3))]
    told += [(0, e.NodeQueued(node_id="a", instance=str(item))) for item in range(3)]
    told += [(1, e.NodeStarted(node_id="a", instance="0")), (2, e.NodeCompleted(node_id="a", instance="0"))]
    told += [(2, e.NodeFailed(node_id="a", instance="1", error=error("bad item")))]
    node = folded(GRAPH, told).nodes["a"]
    assert node.status == "running"
    assert node.counts() == {"completed": 1, "failed": 1, "queued": 1}
    assert folded(GRAPH, [*told, (3, e.NodeCompleted(node_id="a"))]).nodes["a"].status == "completed"


def test_an_event_already_seen_changes_nothing():
    run = folded(GRAPH, [(0, triggered()), (1, e.NodeFailed(node_id="a", error=error("no")))])
    queued = e.encode(e.NodeQueued(node_id="a"))
    assert not view.apply(run, "NodeQueued", queued, at(5), position=2)
    assert run.nodes["a"].status == "failed"


def test_an_event_of_a_newer_server_is_passed_over():
    run = folded(GRAPH, [(0, triggered())])
    assert not view.apply(run, "NodeTeleported", b'{"node_id": "a"}', at(1), position=9)
    assert run.position == 9


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (e.RunCompleted(output=output({"n": 1})), "completed"),
        (e.RunFailed(error=error("b failed")), "failed"),
        (e.RunCancelled(reason="enough"), "cancelled"),
    ],
)
def test_a_run_ends_as_its_last_event_says(ending: e.Event, status: str):
    run = folded(GRAPH, [(0, triggered()), (0, e.RunStarted(total_nodes=2)), (3, ending)])
    assert (run.status, run.has_ended, run.ended_at) == (status, True, at(3))


def test_nodes_stand_in_topological_order_whatever_order_they_came_in():
    run = view.initial(RUN_ID, [("c", "job", ["b"]), ("b", "job", ["a"]), ("a", "job", []), ("d", "job", [])])
    assert list(run.nodes) == ["a", "d", "b", "c"]


def test_a_cycle_loses_no_node():
    run = view.initial(RUN_ID, [("x", "job", ["y"]), ("y", "job", ["x"]), ("a", "job", [])])
    assert set(run.nodes) == {"a", "x", "y"}


def test_a_node_that_the_graph_does_not_know_is_shown_all_the_same():
    run = folded([], [(0, triggered()), (1, e.NodeQueued(node_id="surprise"))])
    assert run.nodes["surprise"].status == "queued"
