"""What is left of an event: its shape and nothing that was given, said or made."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from flowforge.errors import RunError
from flowforge.events import (
    ApprovalDecided,
    Event,
    EventReceived,
    MessageQuarantined,
    NodeCompleted,
    NodeFailed,
    NodeQueued,
    NodeSkipped,
    RunCompleted,
    WorkflowTriggered,
    decode,
    encode,
)
from flowforge.events.triggering import Cause, TriggerRef
from msgspec import Raw

from infra.erasure.blanking import StaysInStructure, blanked, is_erasable

CANARY = "ada@example.org"
SAID = Raw(b'{"mail":"ada@example.org"}')
RUN = UUID("01a00000-0000-7000-8000-000000000001")
BEGINNING = WorkflowTriggered(
    run_id=RUN,
    workflow_id="w",
    workflow_version=1,
    trigger=TriggerRef("manual", "manual"),
    trigger_version=1,
    cause=Cause(event_id=RUN, type="t", id="1", source="s", stream_id=RUN),
    input_data=SAID,
    variables={"mail": SAID},
    labels={"who": CANARY},
)
SAYING = [
    BEGINNING,
    NodeQueued(node_id="a", job_type="bash", queue="q", input=SAID, payload=SAID, cache_key=CANARY),
    NodeCompleted(node_id="a", output=SAID, variables={"mail": SAID}),
    NodeFailed(node_id="a", error=RunError("X", f"no {CANARY}", ["a"], [], CANARY, details=SAID)),
    ApprovalDecided(node_id="a", approval_id="1", decision="approve", comment=CANARY),
    RunCompleted(output=SAID),
    EventReceived(id="1", source="s", type="t", subject=CANARY, data=SAID, extensions={"mail": SAID}),
    MessageQuarantined(service="execution", subject=CANARY, reason=CANARY, body=CANARY, body_encoding="base64"),
]


@pytest.mark.parametrize("event", SAYING, ids=lambda event: type(event).__name__)
def test_nothing_that_was_said_is_left_and_what_is_left_reads_as_before(event: Event):
    kind, data = type(event).__name__, encode(event)
    left = blanked(kind, data)
    assert CANARY.encode() in data
    assert CANARY.encode() not in left
    assert type(decode(kind, left)) is type(event)
    assert blanked(kind, left) == left


def test_how_a_node_ended_and_why_it_was_skipped_is_kept():
    failed = decode("NodeFailed", blanked("NodeFailed", encode(SAYING[3])))
    assert isinstance(failed, NodeFailed)
    assert (failed.node_id, failed.error.code, failed.error.affected_nodes) == ("a", "X", ["a"])
    skipped = encode(NodeSkipped(node_id="a", reason="branch_not_taken"))
    assert blanked("NodeSkipped", skipped) == skipped


def test_a_run_whose_beginning_was_erased_says_so():
    run = decode("WorkflowTriggered", blanked("WorkflowTriggered", encode(BEGINNING)))
    assert isinstance(run, WorkflowTriggered)
    assert (run.is_erased, run.labels, run.variables) == (True, {}, {})


def test_a_text_in_a_name_that_a_sender_gave_is_replaced():
    event = EventReceived(
        id=f"order of {CANARY}", source=f"/users/{CANARY}", type="t", time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    left = decode("EventReceived", blanked("EventReceived", encode(event), (CANARY,)))
    assert isinstance(left, EventReceived)
    assert (left.id, left.source, left.type, left.time) == ("erased", "erased", "t", event.time)


def test_a_text_by_which_events_are_found_stays_and_is_told():
    with pytest.raises(StaysInStructure, match="node_id"):
        blanked("NodeCompleted", encode(NodeCompleted(node_id=CANARY)), (CANARY,))


def test_definitions_are_not_erased():
    kinds = [
        "WorkflowCreated",
        "WorkflowUpdated",
        "TemplateSaved",
        "PromptSaved",
        "SecretSet",
        "PayloadErased",
        "Later",
    ]
    assert not any(is_erasable(kind) for kind in kinds)
    assert is_erasable("WorkflowTriggered")
    assert is_erasable("EventReceived")
