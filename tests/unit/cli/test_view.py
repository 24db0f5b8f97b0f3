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


# --- waiting, loops, what people do -----------------------------------------------------------------------------------

LOOP = [("each", "loop", []), ("b", "job", ["each"])]
APPROVAL = e.NodeWaiting(node_id="a", wait=e.ApprovalWait(approval_id="x", approvers=["ada"]))


def test_a_waiting_node_knows_what_for_and_since_when_until_it_goes_on():
    node = folded(GRAPH, [(0, triggered()), (3, APPROVAL)]).nodes["a"]
    assert (node.status, node.waiting_since, node.started_at) == ("waiting", at(3), at(3))
    assert isinstance(node.wait, e.ApprovalWait)
    assert folded(GRAPH, [(0, triggered()), (3, APPROVAL), (9, e.NodeCompleted(node_id="a"))]).nodes["a"].wait is None


def test_a_loop_counts_its_iterations_and_its_body_is_no_node_of_the_run():
    told: list[tuple[float, e.Event]] = [(0, triggered()), (0, e.NodeStarted(node_id="each", instances_count=3))]
    told += [(1, e.IterationStarted(node_id="each", index=0)), (1, e.NodeStarted(node_id="inner", instance="0"))]
    told += [(2, e.IterationEnded(node_id="each", index=0)), (2, e.IterationStarted(node_id="each", index=1))]
    run = folded(LOOP, told)
    assert run.nodes["each"].counts() == {"completed": 1, "running": 1}
    assert list(run.nodes) == ["each", "b"]
    assert run.total_nodes == 2


def test_a_loop_says_what_is_waited_for_inside_of_it():
    run = view.initial(RUN_ID, LOOP, {"ask": "each"})
    waiting = e.NodeWaiting(node_id="ask", instance="4", wait=e.CallbackWait())
    view.apply(run, "NodeWaiting", e.encode(waiting), at(1), 1)
    assert list(run.nodes["each"].waiting_inside) == [("ask", "4")]
    view.apply(run, "NodeCompleted", e.encode(e.NodeCompleted(node_id="ask", instance="4")), at(2), 2)
    assert run.nodes["each"].waiting_inside == {}


def test_a_paused_run_goes_on_when_it_is_resumed_or_cancelled():
    told: list[tuple[float, e.Event]] = [
        (0, triggered()),
        (0, e.RunStarted(total_nodes=2)),
        (1, e.RunPaused(before=["b"])),
    ]
    paused = folded(GRAPH, told)
    assert (paused.status, paused.paused_before) == ("paused", ["b"])
    for event in (e.RunResumed(), e.RunCancelRequested()):
        assert folded(GRAPH, [*told, (2, event)]).status == "running"


def test_what_a_retry_clears_stands_idle_and_the_rest_stays():
    told: list[tuple[float, e.Event]] = [(0, triggered()), (0, e.RunStarted(total_nodes=2))]
    told += [(1, e.NodeCompleted(node_id="a")), (2, e.NodeFailed(node_id="b", error=error("no")))]
    told += [(2, e.RunFailed(error=error("no"))), (5, e.RunRetryRequested(cleared=["b"]))]
    assert folded(GRAPH, told).status == "pending"
    run = folded(GRAPH, [*told, (6, e.RunRetried(cleared=["b"]))])
    assert (run.status, run.error, run.ended_at, run.retries) == ("running", None, None, 1)
    assert (run.nodes["a"].status, run.nodes["b"].status, run.nodes["b"].error) == ("completed", "idle", None)


def test_a_map_that_goes_on_keeps_what_completed():
    told: list[tuple[float, e.Event]] = [(0, triggered()), (0, e.NodeStarted(node_id="a", instances_count=2))]
    told += [
        (1, e.NodeCompleted(node_id="a", instance="0")),
        (1, e.NodeFailed(node_id="a", instance="1", error=error("x"))),
    ]
    told += [(2, e.NodeFailed(node_id="a", error=error("x"))), (3, e.RunRetried(cleared=[], resumed=["a"]))]
    node = folded(GRAPH, told).nodes["a"]
    assert (node.status, node.instances) == ("running", {"0": "completed"})


def test_a_run_may_end_in_part():
    run = folded(GRAPH, [(0, triggered()), (3, e.RunPartiallyCompleted(output=output(1), error=error("b failed")))])
    assert (run.status, run.has_ended) == ("partial", True)
