"""What each event does to the rows: same events, same rows, whatever the batches."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from flowforge.errors import RunError
from flowforge.events import (
    AnyEvent,
    BackfillRequested,
    Cause,
    Event,
    EventReceived,
    MessageQuarantined,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeProgressed,
    NodeQueued,
    NodeRetried,
    NodeSkipped,
    NodeStarted,
    QueueLeft,
    ReportIgnored,
    RunAdmitted,
    RunCancelled,
    RunCompleted,
    RunDisplaced,
    RunFailed,
    RunFailing,
    RunStarted,
    SlotAwaited,
    SlotFreed,
    SlotTaken,
    SlotWait,
    TriggerDecided,
    TriggerRef,
    WorkflowArchived,
    WorkflowCreated,
    WorkflowTriggered,
    WorkflowUpdated,
)

from infra.eventlog import StoredEvent
from services.projections.fold import _fold_other, fold  # pyright: ignore[reportPrivateUsage]  its cases are counted
from services.projections.state import CLEAN, NEW, NodeRow, ReadModels, RunRow, WorkflowRow

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN = UUID("019b0000-0000-7000-8000-000000000001")
CAUSE = Cause(event_id=RUN, type="order", id="o-1", source="/shop", stream_id=RUN)
ERROR = RunError(code="HTTP_ERROR", message="503")
TRIGGERED = WorkflowTriggered(
    run_id=RUN,
    workflow_id="w",
    workflow_version=1,
    trigger=TriggerRef("event", "t"),
    trigger_version=1,
    cause=CAUSE,
)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


class Told:
    """Events folded one after the other, a second apart."""

    def __init__(self, *events: Event) -> None:
        self.models = ReadModels()
        self.count = 0
        self.tell(*events)

    def tell(self, *events: Event) -> "Told":
        for event in events:
            self.count += 1
            stored = StoredEvent(
                position=self.count,
                stream_type="run",
                stream_id=RUN,
                version=self.count,
                type=type(event).__name__,
                schema_version=1,
                data=b"{}",
                correlation_id=None,
                causation_id=None,
                actor="ada",
                traceparent=None,
                recorded_at=self.at(self.count),
            )
            assert isinstance(event, AnyEvent)
            fold(self.models, stored, event)
        return self

    @staticmethod
    def at(number: int) -> datetime:
        return START + timedelta(seconds=number)

    @property
    def run(self) -> RunRow:
        return self.models.runs[RUN].row

    def node(self, node_id: str = "a", instance: str = "") -> NodeRow:
        return self.models.runs[RUN].nodes[node_id, instance]

    @property
    def workflow(self) -> WorkflowRow:
        return self.models.workflows["w"]


def begun(*events: Event) -> Told:
    return Told(TRIGGERED, RunStarted(total_nodes=2), *events)


def test_a_trigger_that_fired_makes_a_pending_run_and_a_decision():
    told = Told(TRIGGERED)
    assert (told.run.status, told.run.created_at, told.run.change) == ("pending", told.at(1), NEW)
    (decision,) = told.models.changes.decisions
    assert (decision.decision, decision.run_id, decision.cause_id) == ("fired", RUN, "o-1")


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (RunCompleted(output=raw(1)), "completed"),
        (RunFailed(error=ERROR), "failed"),
        (RunCancelled(reason="enough"), "cancelled"),
    ],
)
def test_a_run_ends_when_its_ending_was_recorded(ending: Event, status: str):
    told = begun(ending)
    assert (told.run.status, told.run.started_at, told.run.completed_at) == (status, told.at(2), told.at(3))


def test_a_cancelled_run_says_so_as_an_error():
    assert msgspec.json.decode(begun(RunCancelled(reason="enough")).run.error)["code"] == "CANCELLED"


def test_an_error_always_has_all_its_fields():
    error = msgspec.json.decode(begun(RunFailing(error=ERROR)).run.error)
    assert error == {
        "code": "HTTP_ERROR",
        "message": "503",
        "affected_nodes": [],
        "dependency_chain": [],
        "suggested_resolution": "",
        "retryable": True,
    }


def test_a_job_goes_from_queued_to_running_to_completed():
    told = begun(NodeQueued(node_id="a", job_id=RUN, job_type="work", queue="default", input_from=""))
    assert (told.node().status, told.node().job_type, told.node().input_from) == ("queued", "work", "")
    told.tell(NodeStarted(node_id="a", worker="w1"))
    assert (told.node().status, told.node().worker, told.node().started_at) == ("running", "w1", told.at(4))
    told.tell(NodeProgressed(node_id="a", progress=0.5, message="half"))
    assert (told.node().progress, told.node().progress_message) == (0.5, "half")
    told.tell(NodeCompleted(node_id="a", output=raw([1])))
    assert (told.node().status, told.node().output, told.node().completed_at) == ("completed", "[1]", told.at(6))
    assert (told.run.completed_nodes, told.run.ended_nodes) == (1, 1)


def test_a_node_waits_between_attempts_and_keeps_its_first_start():
    told = begun(
        NodeQueued(node_id="a"),
        NodeStarted(node_id="a"),
        NodeRetried(node_id="a", attempt=2, error=ERROR, due_at=START),
    )
    assert (told.node().status, told.node().attempt, told.node().retry_at) == ("waiting", 1, START)
    told.tell(NodeQueued(node_id="a", attempt=2), NodeStarted(node_id="a", attempt=2))
    assert (told.node().attempt, told.node().started_at, told.node().retry_at) == (2, told.at(4), None)
    assert '"HTTP_ERROR"' in told.node().error
    assert told.tell(NodeCompleted(node_id="a", attempt=2)).node().error == "null"


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (NodeFailed(node_id="a", error=ERROR), "failed"),
        (NodeSkipped(node_id="a", reason="upstream_failed"), "skipped"),
        (NodeCancelled(node_id="a"), "cancelled"),
    ],
)
def test_nodes_that_end_badly_count_as_ended_and_not_as_completed(event: Event, status: str):
    told = begun(event)
    assert told.node().status == status
    assert (told.run.completed_nodes, told.run.ended_nodes) == (0, 1)


def test_instances_of_a_map_do_not_count_for_the_run():
    told = begun(NodeStarted(node_id="a", instances_count=2))
    told.tell(NodeCompleted(node_id="a", instance="0"), NodeCompleted(node_id="a", instance="1"))
    assert (told.node().instances_count, told.node("a", "1").status) == (2, "completed")
    assert told.run.ended_nodes == 0
    assert told.tell(NodeCompleted(node_id="a")).run.ended_nodes == 1


def test_variables_of_the_run_are_set_by_its_nodes_in_order():
    told = Told(
        WorkflowTriggered(
            run_id=RUN,
            workflow_id="w",
            workflow_version=1,
            trigger=TriggerRef("manual", "m"),
            trigger_version=1,
            cause=CAUSE,
            variables={"x": raw(1), "y": raw(1)},
        ),
        NodeCompleted(node_id="a", variables={"x": raw(2)}),
        NodeCompleted(node_id="b", variables={"x": raw(3)}),
    )
    assert msgspec.json.decode(told.run.variables) == {"x": 3, "y": 1}


@pytest.mark.parametrize(("by_worker_s", "expected_s"), [(-5, 3), (3.5, 3.5), (99, 4)])
def test_a_workers_clock_moves_a_start_only_between_two_instants_of_the_log(by_worker_s: float, expected_s: float):
    at = START + timedelta(seconds=by_worker_s)
    told = begun(NodeQueued(node_id="a"), NodeStarted(node_id="a", at=at))
    assert told.node().started_at == START + timedelta(seconds=expected_s)


def test_an_ignored_report_changes_nothing():
    told = begun(NodeStarted(node_id="a"))
    before = msgspec.structs.astuple(told.node())
    told.tell(ReportIgnored(node_id="a", job_id=RUN, report="JobCompleted", attempt=1, delivery=1, reason="late"))
    assert msgspec.structs.astuple(told.node()) == before


def test_each_row_is_written_once_however_often_it_changed():
    told = begun(NodeQueued(node_id="a"), NodeStarted(node_id="a"), NodeCompleted(node_id="a"))
    assert len(told.models.changes.runs) == 1
    assert len(told.models.changes.nodes) == 1
    told.node().change = CLEAN
    told.models.changes.nodes.clear()
    told.tell(NodeProgressed(node_id="a", progress=1), NodeProgressed(node_id="a", progress=1))
    assert len(told.models.changes.nodes) == 1


def test_text_from_outside_never_holds_what_a_column_cannot():
    told = begun(NodeStarted(node_id="a", worker="w\x00"), NodeProgressed(node_id="a", progress=0, message="\x00"))
    assert (told.node().worker, told.node().progress_message) == ("w\ufffd", "\ufffd")
    told.tell(
        EventReceived(id="1", source="s\x00", type="t", data=raw("a\x00"), time=datetime(1, 1, 1, tzinfo=UTC)),
        MessageQuarantined(service="s", subject="x", reason="r\x00", body="b\x00"),
        TriggerDecided(
            trigger_id="t",
            trigger_version=1,
            workflow_id="w",
            cause=CAUSE,
            decision="held",
            reason="\x00",
            detail="\x00",
        ),
    )
    assert told.models.changes.received[0].source == "s\ufffd"
    assert told.models.changes.received[0].data == '"a\\u0000"'
    assert told.models.changes.dead_letters[0].body == "b\ufffd"


def test_a_priority_beyond_all_bounds_is_bounded():
    event = msgspec.structs.replace(TRIGGERED, priority=10**30)
    assert Told(event).run.priority == 2**31 - 1


WAITS = SlotWait(slot_id=RUN, limit=2, place=1, holders=[])
ASKED: dict[str, Any] = {"run_id": RUN, "workflow_id": "w", "limit": 2, "key": "eu"}
AWAITED = SlotAwaited(**ASKED, priority=3, trigger_id="t", trigger_version=1, cause=CAUSE)


def test_a_run_that_waits_has_no_decision_fired():
    waiting = Told(msgspec.structs.replace(TRIGGERED, waits=WAITS))
    assert (waiting.run.status, waiting.models.changes.decisions) == ("pending", [])


@pytest.mark.parametrize(
    ("events", "state", "since"),
    [
        ([SlotTaken(**ASKED)], "holds", 1),
        ([AWAITED], "waits", 1),
        ([AWAITED, RunAdmitted(run_id=RUN, workflow_id="w")], "holds", 2),
        ([AWAITED, QueueLeft(run_id=RUN, workflow_id="w")], "gone", 2),
        ([AWAITED, RunDisplaced(run_id=RUN, workflow_id="w", by_run_id=RUN)], "gone", 2),
        ([SlotTaken(**ASKED), RunDisplaced(run_id=RUN, workflow_id="w", by_run_id=RUN)], "holds", 1),
        ([SlotTaken(**ASKED), SlotFreed(run_id=RUN, workflow_id="w")], "gone", 2),
        ([SlotTaken(**ASKED), SlotFreed(run_id=RUN, workflow_id="w"), AWAITED], "waits", 3),
    ],
)
def test_what_a_run_has_to_do_with_slots(events: list[Event], state: str, since: int):
    told = Told(*events)
    [row] = told.models.changes.slots
    assert (row.state, row.since_position, row.change) == (state, since, NEW)
    assert (row.slot_id, row.key, row.slot_limit, row.pool) == (RUN, "eu", 2, None)


def test_a_workflow_shows_its_newest_version_and_keeps_who_made_it():
    definition = {"name": "W", "tags": ["x"], "status": "active"}
    told = Told(WorkflowCreated(workflow_id="w", workflow_version=1, definition=raw(definition)))
    told.tell(WorkflowUpdated(workflow_id="w", workflow_version=2, definition=raw(definition | {"name": "V"})))
    row = told.workflow
    assert (row.version, row.name, row.created_at, row.updated_at) == (2, "V", told.at(1), told.at(2))
    assert told.tell(WorkflowArchived(workflow_id="w")).workflow.status == "archived"
    again = WorkflowUpdated(workflow_id="w", workflow_version=3, definition=raw(definition))
    assert told.tell(again).workflow.status == "active"
    assert [row.version for row in told.models.changes.versions] == [1, 2, 3]
    assert [row.action for row in told.models.changes.audits] == [
        "create_workflow",
        "update_workflow",
        "archive_workflow",
        "update_workflow",
    ]


def test_who_asked_for_a_backfill_is_in_the_audit_trail():
    asked = BackfillRequested(
        backfill_id=UUID(int=1), command_id="c", workflow_id="w", trigger_id="t", trigger_version=1,
        config=raw({}), since=START, until=START,
    )  # fmt: skip
    assert [(row.action, row.subject) for row in Told(asked).models.changes.audits] == [("backfill", "w/t")]


def test_no_event_type_is_unknown_to_the_fold():
    names = {kind.__name__ for kind in get_args(AnyEvent)}
    source = {*fold.__code__.co_names, *_fold_other.__code__.co_names}
    assert names <= source
