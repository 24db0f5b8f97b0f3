"""Nodes that wait: for an instant, an event, a person, a callback, a child."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from flowforge.commands import DecideApproval, PauseRun, ReceiveCallback, ResumeRun
from flowforge.errors import RunError
from flowforge.events import ApprovalWait, ChildRunEnded, ChildRunRefused, ChildRunRequested, ChildWait, EventWait

from services.execution import decide
from services.execution.decide import operations
from tests.unit.execution.given import RUN, Scenario, edge, job, kinds


def begun(*nodes: Any, edges: list[Any] | None = None, input_data: Any = None, **fields: Any) -> Scenario:
    run = Scenario({"nodes": list(nodes), "edges": edges or [], **fields}, input_data)
    run.start()
    return run


# --- delay ------------------------------------------------------------------------------------------------------------


def test_a_delay_waits_for_its_timer_and_passes_its_input_on():
    run = begun({"id": "d", "type": "delay", "duration_ms": "${input.wait}"}, input_data={"wait": 5000})
    assert run.unit("d").status == "waiting"
    assert kinds(run.timer("wait")) == ["NodeCompleted", "RunCompleted"]
    assert run.output() == {"wait": 5000}


def test_a_delay_until_an_instant_that_is_past_does_not_wait():
    run = begun({"id": "d", "type": "delay", "until": "2020-01-01T00:00:00Z"})
    assert run.run.status == "completed"


@pytest.mark.parametrize("fields", [{"duration_ms": "${input.x}"}, {"until": "soon"}, {"duration_ms": -1}])
def test_a_delay_that_cannot_be_computed_fails_and_says_what_it_got(fields: dict[str, Any]):
    run = begun({"id": "d", "type": "delay", **fields}, input_data={"x": "ten"})
    error = run.unit("d").error
    assert error is not None
    assert error.code == "INPUT_INVALID"
    assert "got" in error.message


# --- events -----------------------------------------------------------------------------------------------------------


def wait_event(**fields: Any) -> dict[str, Any]:
    return {"id": "w", "type": "wait_event", "event_type": "order.*", "filter": "event.data.id == input.id", **fields}


def came(run: Scenario, data: Any) -> list[Any]:
    event = {"type": "order.paid", "source": "/shop", "id": "1", "data": data}
    return run.when(lambda step: decide.event_came(step, "w", "", event))


def test_the_first_event_that_its_filter_lets_through_completes_it():
    run = begun(wait_event(), input_data={"id": 7})
    assert isinstance(run.unit("w").wait, EventWait)
    assert came(run, {"id": 6}) == []
    assert kinds(came(run, {"id": 7})) == ["NodeCompleted", "RunCompleted"]
    assert run.output()["data"] == {"id": 7}


def test_a_filter_that_cannot_be_evaluated_fails_the_node():
    run = begun(wait_event(), input_data={"id": 7})
    came(run, {})
    error = run.unit("w").error
    assert error is not None
    assert error.code == "EXPRESSION_ERROR"


def test_an_event_that_does_not_come_in_time_fails_or_is_done_without():
    run = begun(wait_event(timeout_ms=1000))
    run.timer("wait")
    error = run.unit("w").error
    assert error is not None
    assert error.code == "EXECUTION_TIMEOUT"
    run = begun(wait_event(timeout_ms=1000, on_timeout="continue"))
    run.timer("wait")
    assert run.output() is None
    assert run.run.status == "completed"


# --- approvals --------------------------------------------------------------------------------------------------------


def approval(**fields: Any) -> dict[str, Any]:
    return {"id": "ok", "type": "human_approval", "message": "Ship ${input.v}?", **fields}


def decision(run: Scenario, what: Any, actor: str = "ada", role: str = "operator", comment: str = "") -> Any:
    wait = run.unit("ok").wait
    approval_id = wait.approval_id if isinstance(wait, ApprovalWait) else f"{RUN}:ok:1"
    command = DecideApproval(
        command_id=f"c-{what}-{actor}", approval_id=approval_id, decision=what, comment=comment, role=role
    )
    return command, lambda step, told: operations.decide_approval(step, told, actor)


def test_an_approval_completes_its_node_and_says_who_decided():
    run = begun(approval(approvers=["ada"]), input_data={"v": "1.2"})
    wait = run.unit("ok").wait
    assert isinstance(wait, ApprovalWait)
    assert (wait.message, wait.approvers, wait.approval_id) == ("Ship 1.2?", ["ada"], f"{RUN}:ok:1")
    assert kinds(run.operation(*decision(run, "approve", comment="fine"))) == [
        "ApprovalDecided", "NodeCompleted", "RunCompleted",
    ]  # fmt: skip
    assert {**run.output(), "decided_at": None} == {
        "decision": "approve", "comment": "fine", "decided_by": "ada", "decided_at": None,
    }  # fmt: skip


def test_a_rejection_fails_the_node_with_who_and_why():
    run = begun(approval(), input_data={"v": 1})
    run.operation(*decision(run, "reject", comment="too early"))
    error = run.unit("ok").error
    assert error is not None
    assert error.code == "APPROVAL_REJECTED"
    assert error.message == "'ada' rejected it: too early"


def test_the_wrong_person_is_refused_and_an_admin_is_not():
    run = begun(approval(approvers=["ada"]), input_data={"v": 1})
    assert "none of the approvers" in run.refused(*decision(run, "approve", actor="bob"))
    run.operation(*decision(run, "approve", actor="root", role="admin"))
    assert run.run.status == "completed"


def test_an_approval_is_decided_once():
    run = begun(approval(), job("later"), edges=[edge("ok", "later")], input_data={"v": 1})
    run.operation(*decision(run, "approve"))
    assert "does not wait for an approval" in run.refused(*decision(run, "reject"))


@pytest.mark.parametrize(
    ("rule", "code"), [("fail", "EXECUTION_TIMEOUT"), ("reject", "APPROVAL_REJECTED"), ("approve", "")]
)
def test_nobody_decides_in_time(rule: str, code: str):
    run = begun(approval(timeout_ms=1000, on_timeout=rule), input_data={"v": 1})
    run.timer("wait")
    error = run.unit("ok").error
    assert (error.code if error else "") == code


# --- callbacks --------------------------------------------------------------------------------------------------------


def callback(attempt: int = 1, name: str = "cb") -> Any:
    data = msgspec.Raw(b'{"done":true}')
    return ReceiveCallback(
        command_id=name, run_id=str(RUN), node_id="h", attempt=attempt, data=data
    ), operations.callback


HOOK = {"id": "h", "type": "webhook", "url": "https://example.com", "wait_for_callback": True}


def test_a_call_that_waits_for_its_callback_completes_with_what_was_posted():
    run = begun(HOOK)
    assert kinds(run.completes("h", {"status": 202})) == ["NodeStarted", "NodeWaiting"]
    assert run.run.active_jobs == 0
    run.operation(*callback())
    assert run.output() == {"done": True}


def test_a_callback_that_is_faster_than_the_answer_to_the_call_is_kept():
    run = begun(HOOK)
    run.started("h")
    run.operation(*callback())
    assert run.unit("h").status == "running"
    run.completes("h", {"status": 202})
    assert run.output() == {"done": True}


def test_a_callback_is_used_once_and_by_its_own_attempt():
    run = begun(HOOK, job("x"))
    run.completes("h", {"status": 202})
    assert "no more" in run.refused(*callback(attempt=2))
    run.operation(*callback())
    assert "no more" in run.refused(*callback(name="another"))


# --- children ---------------------------------------------------------------------------------------------------------

CHILD = {"id": "c", "type": "workflow", "workflow_id": "other", "input": {"n": "${input.n}"}}


def child_id(run: Scenario) -> UUID:
    wait = run.unit("c").wait
    assert isinstance(wait, ChildWait)
    return wait.child_run_id


def child_ends(run: Scenario, status: Any, child: UUID | None = None, **fields: Any) -> list[Any]:
    ended = ChildRunEnded(parent_run_id=RUN, node_id="c", status=status, **fields)
    known = child or child_id(run)
    return run.when(lambda step: decide.child_ended(step, known, ended))


def test_a_child_is_asked_for_with_its_input_and_gives_its_output():
    run = begun(CHILD, input_data={"n": 1})
    asked = next(e for e, _ in run.history if isinstance(e, ChildRunRequested))
    assert (asked.workflow_id, bytes(asked.input)) == ("other", b'{"n":1}')
    child_ends(run, "completed", output=msgspec.Raw(b'"hello"'))
    assert run.output() == "hello"


def test_a_childs_failure_is_its_nodes_failure():
    run = begun(CHILD, input_data={"n": 1})
    events = child_ends(run, "failed", error=RunError("HTTP_ERROR", "503"))
    assert kinds(events) == ["NodeFailed", "RunFailing", "RunFailed"]
    error = run.unit("c").error
    assert error is not None
    assert error.code == "HTTP_ERROR"
    assert "503" in error.message


def test_another_childs_end_changes_nothing():
    run = begun(CHILD, input_data={"n": 1})
    assert child_ends(run, "completed", child=UUID(int=5)) == []


def test_cancelling_the_parent_cancels_the_child():
    run = begun(CHILD, input_data={"n": 1})
    assert "ChildCancelRequested" in kinds(run.cancel())


def test_a_child_that_is_refused_fails_its_node_at_once():
    run = begun({**CHILD, "retry_policy": {"max_attempts": 3}}, input_data={"n": 1})
    refused = ChildRunRefused(
        parent_run_id=RUN, node_id="c", child_run_id=child_id(run), code="INVALID_FLOW_STATE", message="archived"
    )
    run.when(lambda step: decide.child_refused(step, refused))
    assert run.run.status == "failed"


def test_a_child_that_is_not_there_is_not_told_of_as_if_it_were_a_shadows():
    run = begun(CHILD, input_data={"n": 1})
    refused = ChildRunRefused(
        parent_run_id=RUN,
        node_id="c",
        child_run_id=child_id(run),
        code="MISSING_DEPENDENCY",
        message="no such workflow",
    )
    run.when(lambda step: decide.child_refused(step, refused))
    error = run.unit("c").error
    assert error is not None
    assert "shadow" not in error.suggested_resolution


def test_a_child_tells_its_parent_how_it_ended():
    run = Scenario({"nodes": [job("a")]}, parent_run_id=UUID(int=1), parent_node_id="c", parent_instance="2")
    run.start()
    assert kinds(run.completes("a"))[-1] == "ChildRunEnded"


def test_a_child_that_nobody_waits_for_does_not_begin():
    run = Scenario({"nodes": [job("a")]}, parent_run_id=UUID(int=1), parent_node_id="c")
    assert "NodeQueued" not in kinds(run.when(lambda step: decide.start(step, is_wanted=False)))
    assert run.run.status == "cancelled"


# --- while a run is paused --------------------------------------------------------------------------------------------


def pause(run: Scenario) -> list[Any]:
    return run.operation(PauseRun(command_id="p", run_id=str(RUN)), operations.pause)


def resume(run: Scenario, **fields: Any) -> list[Any]:
    return run.operation(ResumeRun(command_id="r", run_id=str(RUN), **fields), operations.resume)


def test_a_delay_that_comes_due_in_a_pause_ends_at_resume():
    run = begun({"id": "d", "type": "delay", "duration_ms": 1000})
    pause(run)
    assert run.timer("wait") == []
    assert kinds(resume(run)) == ["RunResumed", "NodeCompleted", "RunCompleted"]


def test_an_event_that_comes_in_a_pause_is_kept_until_resume():
    run = begun(wait_event(), input_data={"id": 7})
    pause(run)
    assert kinds(came(run, {"id": 7})) == ["EventMatched"]
    resume(run)
    assert run.output()["data"] == {"id": 7}


def test_the_time_for_an_approval_stands_still_in_a_pause():
    run = begun(approval(timeout_ms=1000), input_data={"v": 1})
    due_at = run.unit("ok").due_at
    assert due_at is not None
    pause(run)
    run.pass_ms(5000)
    assert run.timer("wait") == []
    resume(run)
    later = run.unit("ok").due_at
    assert later is not None
    assert 5000 <= (later - due_at).total_seconds() * 1000 <= 5010
    run.timer("wait")
    assert run.unit("ok").status == "failed"
