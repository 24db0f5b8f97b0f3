"""What waiting, repeating, and what people do to runs does to the rows."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from flowforge.errors import RunError
from flowforge.events import (
    ApprovalDecided,
    ApprovalWait,
    CallbackReceived,
    CallbackWait,
    ChildWait,
    DeadLetterRetried,
    EarlierOutput,
    Event,
    IterationEnded,
    IterationStarted,
    JobUsage,
    MessageQuarantined,
    NodeCancelled,
    NodeCompleted,
    NodeDecidedByHand,
    NodeFailed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    PoolWait,
    RecoveryTaken,
    RunCancelRequested,
    RunChanged,
    RunCompleted,
    RunFailed,
    RunPartiallyCompleted,
    RunPaused,
    RunResumed,
    RunRetried,
    RunRetryRefused,
    RunRetryRequested,
    RunSlaMissed,
    TimerSet,
    TimerWait,
    WorkerAwaited,
)

from services.projections.fold.runs import RECOVERY_ACTIONS_MAX
from tests.unit.projections.test_fold import ERROR, RUN, START, TRIGGERED, Told, begun, raw

CHILD = UUID(int=7)
LATE = RunError(code="EXECUTION_TIMEOUT", message="nobody decided within timeout_ms")
ASKED = NodeWaiting(
    node_id="a", wait=ApprovalWait(approval_id="r:a:1", message="go?", approvers=["bo"], due_at=START)
)  # fmt: skip


def data(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def audited(told: Told) -> list[tuple[str, str]]:
    return [(row.action, row.subject) for row in told.models.changes.audits]


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_a_waiting_node_says_what_for_and_since_when():
    told = begun(NodeWaiting(node_id="a", wait=TimerWait(due_at=START), input_from=""))
    row = told.node()
    assert (row.status, row.started_at, row.started_position, row.input_from) == ("waiting", told.at(3), 3, "")
    assert data(row.waiting_for) == {"for": "timer", "due_at": "2026-01-01T00:00:00Z", "since": "2026-01-01T00:00:03Z"}
    assert told.tell(NodeCompleted(node_id="a")).node().waiting_for is None


def test_waiting_for_a_place_is_no_beginning():
    told = begun(NodeWaiting(node_id="a", wait=PoolWait(pool="db", limit=2)))
    assert (told.node().status, told.node().started_at) == ("waiting", None)
    assert data(told.node().waiting_for)["pool"] == "db"
    told.tell(NodeQueued(node_id="a"))
    assert (told.node().status, told.node().waiting_for) == ("queued", None)


def test_a_queued_node_that_no_worker_takes_says_so_and_stays_queued():
    told = begun(NodeQueued(node_id="a"), WorkerAwaited(node_id="a", job_type="gpu", queue="q", since=START))
    assert told.node().status == "queued"
    assert data(told.node().waiting_for) == {
        "for": "worker",
        "job_type": "gpu",
        "queue": "q",
        "since": "2026-01-01T00:00:00Z",
    }
    assert told.tell(NodeStarted(node_id="a")).node().waiting_for is None


def test_a_node_between_attempts_waits_for_the_next():
    told = begun(NodeStarted(node_id="a"), NodeRetried(node_id="a", attempt=2, error=ERROR, due_at=START))
    assert data(told.node().waiting_for)["for"] == "retry"


def test_a_node_that_waits_for_a_child_names_it():
    told = begun(NodeWaiting(node_id="a", wait=ChildWait(child_run_id=CHILD, workflow_id="c")))
    assert told.tell(NodeCompleted(node_id="a")).node().child_run_id == CHILD


def test_a_child_names_the_node_that_waits_for_it():
    child = msgspec.structs.replace(TRIGGERED, parent_run_id=CHILD, parent_node_id="p", parent_instance="2")
    row = Told(child).run
    assert (row.parent_run_id, row.parent_node_id, row.parent_instance) == (CHILD, "p", "2")


def test_a_callback_is_in_the_audit_trail():
    told = begun(NodeWaiting(node_id="a", wait=CallbackWait()), CallbackReceived(node_id="a", data=raw(1)))
    assert audited(told) == [("callback", f"{RUN}/a")]


def test_what_a_script_took_and_what_kept_it_apart_is_shown():
    told = begun(NodeQueued(node_id="a"), NodeStarted(node_id="a", isolation=["landlock"]))
    told.tell(NodeCompleted(node_id="a", usage=JobUsage(cpu_ms=5, peak_memory_bytes=9)))
    assert data(told.node().usage) == {"cpu_ms": 5, "peak_memory_bytes": 9}
    assert data(told.node().isolation) == ["landlock"]


def test_an_output_that_was_used_again_says_whose_it_is():
    told = begun(NodeCompleted(node_id="a", cached_from=EarlierOutput(run_id=CHILD, node_id="b")))
    assert data(told.node().cached_from) == {"run_id": str(CHILD), "node_id": "b"}


# --- approvals --------------------------------------------------------------------------------------------------------


def test_a_node_that_asks_people_opens_an_approval():
    [row] = begun(ASKED).models.changes.approvals
    assert (row.id, row.status, row.message, row.approvers) == ("r:a:1", "open", "go?", '["bo"]')
    assert (row.requested_at, row.expires_at, row.workflow_id) == (Told.at(3), START, "w")


@pytest.mark.parametrize(("decision", "status"), [("approve", "approved"), ("reject", "rejected")])
def test_who_decided_and_why_stays_with_the_approval(decision: Any, status: str):
    told = begun(ASKED)
    told.tell(ApprovalDecided(node_id="a", approval_id="r:a:1", decision=decision, comment="ok", command_id="c"))
    [row] = told.models.changes.approvals
    assert (row.status, row.decided_by, row.comment, row.decided_at) == (status, "ada", "ok", told.at(4))
    assert audited(told) == [(decision, f"{RUN}/a")]
    assert told.tell(NodeCompleted(node_id="a")).models.changes.approvals[0].status == status


def test_what_time_decided_was_decided_by_nobody():
    told = begun(ASKED, ApprovalDecided(node_id="a", approval_id="r:a:1", decision="approve"))
    [row] = told.models.changes.approvals
    assert (row.status, row.decided_by) == ("approved", None)
    assert audited(told) == []


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (NodeFailed(node_id="a", error=LATE), "expired"),
        (NodeFailed(node_id="a", error=ERROR), "cancelled"),
        (NodeCancelled(node_id="a"), "cancelled"),
        (NodeSkipped(node_id="a", reason="by_hand"), "cancelled"),
        (NodeCompleted(node_id="a"), "cancelled"),
    ],
)
def test_an_approval_that_nobody_decided_ends_with_its_node(event: Event, status: str):
    told = begun(ASKED, event)
    [row] = told.models.changes.approvals
    assert (row.status, row.decision) == (status, None)
    assert told.models.runs[RUN].approvals == {}


def test_the_time_of_an_approval_moves_by_how_long_its_run_was_paused():
    later = START + timedelta(hours=1)
    told = begun(ASKED, TimerSet(timer_id=CHILD, due_at=later, purpose="wait", node_id="a"))
    [row] = told.models.changes.approvals
    assert row.expires_at == later
    assert data(told.node().waiting_for)["due_at"] == "2026-01-01T01:00:00Z"


# --- maps and loops ---------------------------------------------------------------------------------------------------


def test_a_map_counts_how_its_items_stand():
    told = begun(NodeStarted(node_id="a", instances_count=3))
    told.tell(NodeQueued(node_id="a", instance="0"), NodeStarted(node_id="a", instance="0"))
    told.tell(NodeQueued(node_id="a", instance="1"), NodeCompleted(node_id="a", instance="0"))
    assert data(told.node().instance_counts) == {"queued": 1, "completed": 1}


def test_a_loop_counts_its_iterations():
    told = begun(
        NodeStarted(node_id="l"), IterationStarted(node_id="l", index=0), IterationStarted(node_id="l", index=1)
    )
    assert (told.node("l").instances_count, data(told.node("l").instance_counts)) == (2, {"running": 2})
    told.tell(IterationEnded(node_id="l", index=0), IterationEnded(node_id="l", index=1, status="failed", error=ERROR))
    assert data(told.node("l").instance_counts) == {"completed": 1, "failed": 1}


def test_a_loop_over_a_list_knows_all_its_iterations_from_the_beginning():
    told = begun(NodeStarted(node_id="l", instances_count=9), IterationStarted(node_id="l", index=0))
    assert told.node("l").instances_count == 9


def test_a_node_of_a_body_is_an_item_of_nothing_and_counts_for_no_run():
    told = begun(NodeStarted(node_id="l"), IterationStarted(node_id="l", index=0))
    told.tell(NodeStarted(node_id="b", instance="0"), NodeSkipped(node_id="c", instance="0", reason="branch_not_taken"))
    assert (told.node("b", "0").status, told.node("c", "0").status) == ("running", "skipped")
    assert told.run.ended_nodes == 0


def test_a_map_inside_of_a_loop_counts_its_items_of_each_iteration():
    told = begun(NodeStarted(node_id="b", instance="4", instances_count=2), NodeQueued(node_id="b", instance="4.0"))
    assert data(told.node("b", "4").instance_counts) == {"queued": 1}


def test_a_loop_that_is_tried_again_counts_anew():
    told = begun(NodeStarted(node_id="l"), IterationStarted(node_id="l", index=0))
    told.tell(
        IterationEnded(node_id="l", index=0, status="failed"),
        NodeRetried(node_id="l", attempt=2, error=ERROR, due_at=START),
    )
    row = told.node("l")
    assert (row.instances_count, row.instance_counts, row.instances_since_position) == (None, None, 6)


def test_an_instance_that_ended_begins_anew_with_whatever_comes_of_it():
    told = begun(NodeFailed(node_id="b", instance="0", error=ERROR), NodeQueued(node_id="b", instance="0"))
    row = told.node("b", "0")
    assert (row.status, row.error, row.completed_at) == ("queued", "null", None)
    assert len(told.models.changes.nodes) == 1


# --- what people do ---------------------------------------------------------------------------------------------------


def test_a_paused_run_says_since_when_and_before_what():
    told = begun(RunPaused(before=["a"]))
    assert (told.run.status, told.run.paused_at, data(told.run.paused_before)) == ("paused", told.at(3), ["a"])
    assert audited(told) == []  # it came to a breakpoint
    told.tell(RunResumed(steps=1, command_id="c"))
    assert (told.run.status, told.run.paused_at, told.run.paused_before) == ("running", None, None)
    told.tell(RunPaused(command_id="d"), RunResumed(command_id="e"))
    assert [action for action, _ in audited(told)] == ["step", "pause", "resume"]


def test_a_paused_run_that_is_cancelled_goes_on_to_its_end():
    told = begun(RunPaused(command_id="c"), RunCancelRequested(command_id="d"))
    assert told.run.status == "running"
    assert [action for action, _ in audited(told)] == ["pause", "cancel"]


def test_a_retry_waits_and_then_clears_what_is_to_be_decided_anew():
    told = begun(
        NodeCompleted(node_id="a", output=raw(1)),
        NodeStarted(node_id="b", instances_count=2),
        NodeFailed(node_id="b", error=ERROR),
        RunFailed(error=ERROR),
        RunRetryRequested(cleared=["b"], command_id="c"),
    )
    assert (told.run.status, told.run.retries) == ("pending", 1)
    assert (told.run.ended_nodes, told.node("b").status) == (2, "failed")
    told.tell(RunRetried(cleared=["b"]))
    assert (told.run.completed_at, told.run.error) == (None, "null")
    assert (told.run.status, told.run.ended_nodes, told.run.completed_nodes) == ("running", 1, 1)
    row = told.node("b")
    assert (row.status, row.error, row.started_at, row.instances_count) == ("idle", "null", None, None)
    assert row.instances_since_position == row.position == 8
    assert told.node("a").output == "1"
    assert audited(told) == [("retry", str(RUN))]


def test_a_retry_that_gets_no_slot_leaves_the_run_as_it_was():
    told = begun(RunFailed(error=ERROR), RunRetryRequested(cleared=["a"], command_id="c"))
    told.tell(RunRetryRefused(status="failed", code="CONCURRENT_EXECUTION_CONFLICT", message="full"))
    assert (told.run.status, told.run.retries) == ("failed", 0)
    assert told.run.completed_at is not None


def test_a_map_that_is_resumed_keeps_what_completed():
    told = begun(
        NodeStarted(node_id="a", instances_count=2),
        NodeCompleted(node_id="a", instance="0", output=raw(1)),
        NodeFailed(node_id="a", instance="1", error=ERROR),
        NodeFailed(node_id="a", error=ERROR),
        RunFailed(error=ERROR),
        RunRetryRequested(cleared=[], resumed=["a"]),
        RunRetried(cleared=[], resumed=["a"]),
    )
    row = told.node()
    assert (row.status, row.error, row.completed_at, data(row.instance_counts)) == (
        "running",
        "null",
        None,
        {"completed": 1},
    )
    assert (told.node("a", "0").status, told.node("a", "1").status) == ("completed", "idle")
    assert told.run.ended_nodes == 0


def test_a_node_decided_by_hand_says_by_whom_and_why():
    told = begun(NodeDecidedByHand(node_id="a", instance="2", action="fail", comment="stuck", command_id="c"))
    assert data(told.node("a", "2").by_hand) == {
        "action": "fail",
        "by": "ada",
        "comment": "stuck",
        "at": "2026-01-01T00:00:03Z",
    }
    assert audited(told) == [("fail_node", f"{RUN}/a[2]")]


def test_what_is_not_changed_stays():
    told = begun(RunChanged(priority=4, breakpoints=["b"]), RunChanged(labels={"team": "x"}))
    assert (told.run.priority, told.run.labels, data(told.run.breakpoints)) == (4, '{"team":"x"}', ["b"])
    assert told.tell(RunChanged(breakpoints=[])).run.breakpoints is None
    assert {action for action, _ in audited(told)} == {"change_run"}


def test_breakpoints_given_at_the_start_are_shown():
    told = Told(msgspec.structs.replace(TRIGGERED, breakpoints=["a"], from_node="b"))
    assert (told.run.breakpoints, told.run.from_node) == ('["a"]', "b")


# --- how runs end -----------------------------------------------------------------------------------------------------


def test_a_partial_run_has_an_output_and_an_error():
    told = begun(RunPartiallyCompleted(output=raw(1), error=ERROR))
    assert (told.run.status, told.run.output_data, data(told.run.error)["code"]) == ("partial", "1", "HTTP_ERROR")


def test_a_run_that_takes_too_long_says_since_when_and_goes_on():
    told = begun(RunSlaMissed(sla_ms=5))
    assert (told.run.status, told.run.sla_missed_at) == ("running", told.at(3))


def test_recovery_actions_are_listed_the_first_of_them():
    told = begun(RecoveryTaken(action="continue", node_id="a", detail="goes on"))
    assert data(told.run.recovery_actions) == [
        {"action": "continue", "node_id": "a", "instance": "", "detail": "goes on", "at": "2026-01-01T00:00:03Z"}
    ]
    told.tell(*[RecoveryTaken(action="retry", node_id="a")] * RECOVERY_ACTIONS_MAX)
    assert len(data(told.run.recovery_actions)) == RECOVERY_ACTIONS_MAX


def test_the_end_of_a_run_leaves_no_trace_of_a_pause():
    told = begun(RunPaused(before=["a"]), RunCompleted())
    assert (told.run.paused_at, told.run.paused_before) == (None, None)


# --- dead letters -----------------------------------------------------------------------------------------------------


def test_a_dead_letter_that_is_retried_is_open_again_once_it_failed_again():
    quarantined = MessageQuarantined(service="execution", subject="s", reason="no", body="{}")
    told = Told(quarantined, DeadLetterRetried(service="execution", command_id="c"))
    [row] = told.models.changes.dead_letters
    assert (row.status, row.retried_at, row.retried_by, row.retries) == ("retried", told.at(2), "ada", 1)
    assert audited(told) == [("retry_dead_letter", f"execution/{row.id}")]
    told.tell(msgspec.structs.replace(quarantined, reason="still no"))
    assert (row.status, row.reason, row.failures) == ("open", "still no", 2)
