"""What differs between two runs, such as a run and a fork of it: of the runs as such, and node by node."""

from uuid import UUID

import msgspec

from services.projections.api.shapes import NodeRun, Run

_OF_RUNS = ("workflow_version", "status", "input_data", "variables", "output_data", "error", "labels", "priority")
_OF_NODES = ("status", "skip_reason", "attempt", "input", "output", "error")
_RAW = msgspec.Raw(b"null")


class Side(msgspec.Struct):
    """A node in one of the two runs. `cached_from` is whose output it has, where it did not run itself."""

    status: str
    attempt: int
    duration_ms: int | None
    input: msgspec.Raw
    output: msgspec.Raw
    error: msgspec.Raw
    cached_from: msgspec.Raw


class NodeDiff(msgspec.Struct):
    """One node that both have or one has. `changed`: what differs besides how long it took; `is_reused`: the second has
    taken over what the first gave."""

    node_id: str
    before: Side | None
    after: Side | None
    changed: list[str]
    is_reused: bool


class FieldDiff(msgspec.Struct):
    """One field of the runs that differs."""

    field: str
    before: object
    after: object


class RunDiff(msgspec.Struct):
    """From the first run to the second."""

    run_id: UUID
    with_run_id: UUID
    is_fork: bool
    fields: list[FieldDiff]
    nodes: list[NodeDiff]
    duration_ms: int | None
    with_duration_ms: int | None


def difference(before: Run, after: Run) -> RunDiff:
    """Of two runs with their nodes."""
    fork = msgspec.json.decode(after.forked_from)
    nodes = [{row.node_id: row for row in run.node_runs or []} for run in (before, after)]
    return RunDiff(
        run_id=before.run_id,
        with_run_id=after.run_id,
        is_fork=fork is not None and fork["run_id"] == str(before.run_id),
        fields=[
            FieldDiff(name, getattr(before, name), getattr(after, name))
            for name in _OF_RUNS
            if _text(getattr(before, name)) != _text(getattr(after, name))
        ],
        nodes=[_node(name, nodes[0].get(name), nodes[1].get(name)) for name in nodes[0] | nodes[1]],
        duration_ms=before.duration_ms,
        with_duration_ms=after.duration_ms,
    )


def _node(node_id: str, before: NodeRun | None, after: NodeRun | None) -> NodeDiff:
    changed = [
        name
        for name in _OF_NODES
        if before is None or after is None or _text(getattr(before, name)) != _text(getattr(after, name))
    ]
    is_reused = after is not None and after.status == "completed" and bytes(after.cached_from) != bytes(_RAW)
    return NodeDiff(node_id, _side(before), _side(after), changed, is_reused)


def _side(row: NodeRun | None) -> Side | None:
    if row is None:
        return None
    return Side(row.status, row.attempt, row.duration_ms, row.input, row.output, row.error, row.cached_from)


def _text(value: object) -> object:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
