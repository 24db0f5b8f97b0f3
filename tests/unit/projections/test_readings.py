"""What is computed when it is asked for: graphs, attempts, metrics, differences, messages of a stream."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from flowforge.errors import RunError
from flowforge.events import (
    ApprovalWait,
    Event,
    NodeCompleted,
    NodeFailed,
    NodeQueued,
    NodeRetried,
    NodeStarted,
    NodeWaiting,
    PoolWait,
    encode,
)

from infra.eventlog import StoredEvent
from services.projections.api.live import KEEP_ALIVE
from services.projections.attempts import attempts_of
from services.projections.batches import message
from services.projections.differences import differences
from services.projections.graph import graph_of
from services.projections.metrics import metrics_of
from services.projections.settings import job_log_settings

START = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = RunError(code="NODE_EXECUTION_FAILED", message="no")
RUN = UUID("019b0000-0000-7000-8000-000000000001")


def stored(*events: Event) -> list[StoredEvent]:
    return [
        StoredEvent(
            position=number,
            stream_type="run",
            stream_id=RUN,
            version=number,
            type=type(event).__name__,
            schema_version=1,
            data=encode(event),
            correlation_id=None,
            causation_id=None,
            actor=None,
            traceparent=None,
            recorded_at=START + timedelta(seconds=number),
        )
        for number, event in enumerate(events, 1)
    ]


def diamond(**fields: Any) -> str:
    nodes = [{"id": name, "type": "job", "job_type": "work"} for name in ("a", "b", "c", "d")]
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    return json.dumps(
        {
            "id": "w",
            "name": "W",
            "nodes": nodes,
            "edges": [{"source_node_id": one, "target_node_id": two} for one, two in edges],
            **fields,
        }
    )


def test_a_node_that_waits_is_an_attempt_from_when_it_began_to():
    approval = ApprovalWait(approval_id="x")
    [attempt] = attempts_of(stored(NodeWaiting(node_id="a", wait=approval), NodeCompleted(node_id="a")))
    assert (attempt.status, attempt.duration_ms, attempt.job_id) == ("completed", 1_000, None)
    [attempt] = attempts_of(stored(NodeWaiting(node_id="a", wait=PoolWait(pool="p", limit=1)), NodeQueued(node_id="a")))
    assert (attempt.status, attempt.started_at) == ("queued", None)


def test_an_iteration_that_a_retry_repeats_is_another_attempt():
    begun = NodeQueued(node_id="a", instance="0")
    failed, completed = NodeFailed(node_id="a", instance="0", error=ERROR), NodeCompleted(node_id="a", instance="0")
    attempts = attempts_of(stored(begun, failed, begun, completed))
    assert [(each.status, each.position) for each in attempts] == [("failed", 1), ("completed", 3)]


def test_a_graph_tells_what_each_node_waits_for():
    graph = graph_of(diamond(variables=[{"name": "x", "default_value": 3}]))
    assert graph.nodes["d"].dependencies == ["b", "c"]
    assert graph.nodes["a"].dependents == ["b", "c"]
    assert [node.level for node in graph.nodes.values()] == [0, 1, 1, 2]
    assert graph.variables == {"x": 3}


def test_order_makes_a_chain_where_no_edges_are_written():
    nodes = [{"id": name, "type": "start", "order_index": order} for name, order in (("b", 2), ("a", 1))]
    graph = graph_of(diamond(nodes=nodes, edges=[]))
    assert graph.nodes["b"].dependencies == ["a"]


def test_a_definition_that_cannot_be_read_says_where():
    with pytest.raises(ValueError, match=r"nodes\[0\]"):
        graph_of(diamond(nodes=[{"id": "a", "type": "teleport"}], edges=[]))


def test_a_chain_of_thousands_has_levels():
    names = [f"n{number}" for number in range(3000)]
    nodes = [{"id": name, "type": "start", "order_index": order} for order, name in enumerate(names)]
    assert graph_of(diamond(nodes=nodes, edges=[])).nodes["n2999"].level == 2999


def test_every_attempt_is_told_with_its_own_times_and_error():
    error = RunError(code="HTTP_ERROR", message="503")
    attempts = attempts_of(
        stored(
            NodeQueued(node_id="a", job_id=RUN),
            NodeStarted(node_id="a", worker="w1"),
            NodeRetried(node_id="a", attempt=2, error=error, due_at=START),
            NodeQueued(node_id="a", attempt=2, job_id=RUN),
            NodeStarted(node_id="a", attempt=2, worker="w2"),
            NodeFailed(node_id="a", attempt=2, error=error),
            NodeQueued(node_id="b", instance="0"),
            NodeCompleted(node_id="b", instance="0"),
        )
    )
    assert [(one.node_id, one.instance, one.attempt, one.status, one.worker) for one in attempts] == [
        ("a", "", 1, "failed", "w1"),
        ("a", "", 2, "failed", "w2"),
        ("b", "0", 1, "completed", None),
    ]
    assert attempts[0].duration_ms == 1000
    assert attempts[0].error is not None
    assert attempts[0].error["code"] == "HTTP_ERROR"


def test_the_critical_path_is_the_longest_chain():
    metrics = metrics_of(graph_of(diamond()), {"a": 10, "b": 50, "c": 20, "d": 10}, 70, {})
    assert metrics.critical_path == ["a", "b", "d"]
    assert (metrics.critical_path_duration_ms, metrics.sequential_duration_ms) == (70, 90)
    assert metrics.bottleneck_nodes == ["b"]
    assert metrics.longest_running_node == "b"
    assert metrics.parallelism_utilization == round(90 / 70 / 4, 4)


def test_a_run_of_which_nothing_ran_has_no_metrics():
    metrics = metrics_of(graph_of(diamond()), {}, None, {})
    assert (metrics.average_node_duration_ms, metrics.longest_running_node, metrics.critical_path) == (None, None, [])


def test_differences_name_items_and_not_their_places():
    before = json.loads(diamond())
    after = json.loads(diamond())
    after["nodes"].insert(0, {"id": "z", "type": "start"})
    after["nodes"][2]["queue"] = "fast"
    del after["edges"][0]
    after["name"] = "V"
    found = {(one.path, one.change) for one in differences(before, after)}
    assert found == {
        ("$.nodes[z]", "added"),
        ("$.nodes[b].queue", "added"),
        ("$.edges[a→b]", "removed"),
        ("$.name", "changed"),
    }
    assert list(differences(before, before)) == []


def test_a_message_of_a_stream_is_three_lines_whatever_its_json_looks_like():
    (event,) = stored(NodeStarted(node_id="a"))
    spread = msgspec.structs.replace(event, data=b'{\r\n "node_id":\n\n "a\\n"\r}')
    lines = message(spread).decode().split("\n")
    assert lines[0] == "event: NodeStarted"
    assert lines[1] == "id: 1"
    assert lines[2].startswith("data: {")
    assert lines[3:] == ["", ""]
    assert json.loads(lines[2].removeprefix("data: "))["data"] == {"node_id": "a\n"}
    assert KEEP_ALIVE.startswith(b":")


def test_retention_is_a_number_of_days():
    assert job_log_settings({}).retention_days == 30
    assert job_log_settings({"FLOWFORGE_JOB_LOG_RETENTION_DAYS": "7"}).retention_days == 7
    with pytest.raises(ValueError, match="FLOWFORGE_JOB_LOG_RETENTION_DAYS"):
        job_log_settings({"FLOWFORGE_JOB_LOG_RETENTION_DAYS": "0"})
