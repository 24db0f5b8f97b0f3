"""A run as it is answered, from its row and those of its nodes: read from the tables, or folded as of a past moment."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from services.projections.api.reads import raw
from services.projections.api.shapes import CauseView, Progress, Run, TriggerView
from services.projections.attempts import duration_ms
from services.projections.graph import Graph


def run_view(row: Mapping[str, Any], graph: Graph, path: Sequence[tuple[str, str]]) -> Run:
    """The row of a run; `path` are the nodes that have begun and how each stands, in the order in which they began."""
    total = row["total_nodes"] or len(graph.nodes)
    running = [node_id for node_id, status in path if status in ("running", "waiting", "queued")]
    is_to_go_on = row["status"] == "pending"  # a retry that waits for its slot: what it ended as is no longer so
    completed_at = None if is_to_go_on else row["completed_at"]
    set_by_run = msgspec.json.decode(row["variables"], type=dict[str, msgspec.Raw])
    return Run(
        run_id=row["run_id"],
        workflow_id=row["workflow_id"],
        workflow_version=row["workflow_version"],
        status=row["status"],
        trigger=TriggerView(row["trigger_type"], row["trigger_id"]),
        cause=CauseView(row["cause_event_id"], row["cause_type"], row["cause_id"], row["cause_source"]),
        parent_run_id=row["parent_run_id"],
        parent_node_id=row["parent_node_id"],
        parent_instance=row["parent_instance"],
        actor=row["actor"],
        labels=raw(row["labels"]),
        input_data=raw(row["input_data"]),
        variables=msgspec.Raw(msgspec.json.encode({**graph.variables, **set_by_run})),
        output_data=raw(None if is_to_go_on else row["output_data"]),
        error=raw(None if is_to_go_on else row["error"]),
        priority=row["priority"],
        depth=row["depth"],
        from_node=row["from_node"],
        forked_from=raw(row["forked_from"]),
        shadow=row["is_shadow"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=completed_at,
        duration_ms=duration_ms(row["started_at"] or row["created_at"], completed_at),
        progress=Progress(
            completed_nodes=row["completed_nodes"],
            total_nodes=total,
            percent=100 if row["status"] == "completed" else 100 * row["ended_nodes"] // total if total else 0,
            current_step=running[-1] if running and completed_at is None else None,
        ),
        estimated_time_remaining_ms=None,
        estimate=None,
        execution_path=[node_id for node_id, _ in path],
        breakpoints=raw(row["breakpoints"] or "[]"),
        paused_at=row["paused_at"],
        paused_before=raw(row["paused_before"] or "[]"),
        retries=row["retries"],
        sla_missed_at=row["sla_missed_at"],
        recovery_actions=raw(row["recovery_actions"] or "[]"),
        position=row["position"],
    )


def path_of(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The nodes that have begun and how each stands, in the order in which they began."""
    begun = sorted((row for row in rows if row["started_position"] is not None), key=_by_start)
    return [(row["node_id"], row["status"]) for row in begun]


def _by_start(row: Mapping[str, Any]) -> int:
    return row["started_position"]
