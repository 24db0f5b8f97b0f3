"""A run's state as plain data, to be compared: what its history gives must be what is in memory."""

from typing import Any

import msgspec
from flowforge.definition import LoopNode

from services.execution.state import Run


def view(run: Run) -> Any:
    """All that matters of a run's state, as plain data: what its history gives must be the same as what is in memory."""
    return {
        "run": {
            name: getattr(run, name)
            for name in run.__slots__
            if name
            not in (
                "plan", "root", "frames", "dirty", "waiting_slot", "maps", "loops", "jobs", "retries", "blobs",
                "cause_events", "triggered", "position",
            )
        },
        "maps": sorted((node.node_id, node.instance) for node in run.maps),
        "loops": sorted((unit.node_id, unit.instance) for unit in run.loops),
        "jobs": {job_id: (unit.node_id, unit.instance) for job_id, unit in run.jobs.items()},
        "retries": {(unit.node_id, unit.instance): due_at for unit, due_at in run.retries.items()},
        "frames": {key: _view_of_frame(frame) for key, frame in [("", run.root), *run.frames.items()]},
    }  # fmt: skip


def _view_of_frame(frame: Any) -> Any:
    fields = ("path", "index", "item", "ended_count", "failing", "first_failure", "previous")
    return {name: _plain(getattr(frame, name)) for name in fields} | {
        "nodes": {
            node_id: [_view_of_unit(unit) for unit in (node, *node.instances)] for node_id, node in frame.nodes.items()
        }
    }


def _view_of_unit(unit: Any) -> Any:
    names = ["attempt", "first_attempt", "delivery", "due_at", "ending", "error", "ignored", "input_from", "job_id"]
    names += ["progress", "status", "wait", "matched", "callback", "output", "input"]
    if unit.index is None:
        names += ["skip_reason", "has_lost", "items", "undecided", "unended", "active_count"]
    loop = unit.loop
    return {name: _plain(getattr(unit, name)) for name in names} | {
        "loop": loop
        and (loop.total, loop.items, loop.next_index, sorted(loop.frames), [bytes(o) for o in loop.outputs], loop.error)
    }


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, msgspec.Raw) else value


def check_limits(run: Run, is_cut: bool, jobs: int) -> None:
    """Only so many jobs, instances and iterations at once; nothing that could begin idles; an ended run keeps nothing."""
    assert jobs == run.active_jobs
    jobs_max = run.plan.workflow.settings.max_parallel_jobs
    assert jobs <= jobs_max
    if run.status == "running" and not is_cut:
        for frame in (run.root, *run.frames.values()):
            ready = [node for node in frame.nodes.values() if node.status == "idle" and node.undecided == 0]
            forgotten = [n.node_id for n in ready if n.plan.is_map or not n.plan.is_job or jobs < jobs_max]
            assert not forgotten, f"{forgotten} could have begun ({frame.path})"
    if run.is_ended:
        assert (run.frames, run.retries, run.loops, run.maps) == ({}, {}, {}, {})
    for node in run.maps:
        begun = [unit for unit in node.instances if unit.status in ("queued", "running", "waiting")]
        under_way = sum(unit not in run.retries for unit in begun)
        assert under_way <= (node.plan.node.max_parallel or len(node.instances))
    for unit in run.loops:
        loop, node = unit.loop, unit.plan.node
        assert loop is not None
        assert isinstance(node, LoopNode)
        assert len(loop.frames) <= (1 if node.loop_type == "while" else node.max_parallel or 1)
