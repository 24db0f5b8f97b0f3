"""What depends on what across workflows: circles, upstreams that are not there, and who waits for a workflow (pure)."""

from collections import deque
from collections.abc import Collection
from typing import Any

from services.triggers.index import Index, upstream_names

NAMES_TOLD_MAX = 20


def advice(index: Index, workflow_id: str, upstreams: Collection[str] | None = None) -> dict[str, Any]:
    """`{warnings, dependents}`: findings about the workflow's dependency triggers, and who depends on it.

    `upstreams` are those of a definition that is not saved; else those of the newest version count.
    """
    if upstreams is None:
        workflow = index.workflows.get(workflow_id)
        triggers = [] if workflow is None else workflow.dependency_triggers
        upstreams = {name for trigger in triggers for name in upstream_names(trigger)}
    warnings: list[dict[str, Any]] = []
    circle = _circle(index, workflow_id, set(upstreams))
    if circle:
        told = " → ".join([*circle, circle[0]])
        warnings.append(
            _finding(
                "DEPENDENCY_TRIGGER_CYCLE",
                f"workflows start one another in a circle: {told}",
                "leave one of the dependency triggers out, or have it look at endings that do not follow",
                circle,
            )
        )
    for name in sorted(upstreams):
        upstream = index.workflows.get(name)
        if upstream is None and name != workflow_id:
            mend = "save that workflow, or correct the name in the trigger's upstreams"
            warnings.append(_finding("UNKNOWN_UPSTREAM", f"there is no workflow '{name}' upstream", mend, [name]))
        elif upstream is not None and upstream.status == "archived":
            mend = "revive that workflow, or take it out of the trigger's upstreams"
            message = f"the upstream '{name}' is archived: it starts no runs"
            warnings.append(_finding("UPSTREAM_ARCHIVED", message, mend, [name]))
    dependents = sorted({rule.key[0] for rule in index.dependents(workflow_id)})
    return {"warnings": warnings, "dependents": dependents[:NAMES_TOLD_MAX]}


def _circle(index: Index, workflow_id: str, upstreams: set[str]) -> list[str]:
    """The shortest way on which the end of the workflow leads to its own start, as names from it on; none: empty."""
    came_from: dict[str, str] = {}
    waiting = deque([workflow_id])
    while waiting:
        name = waiting.popleft()
        if name in upstreams:
            way = [name]
            while way[-1] != workflow_id:
                way.append(came_from[way[-1]])
            return way[::-1]
        for rule in index.dependents(name):
            following = rule.key[0]
            if following != workflow_id and following not in came_from:
                came_from[following] = name
                waiting.append(following)
    return []


def _finding(kind: str, message: str, mend: str, names: list[str]) -> dict[str, Any]:
    return {
        "type": kind,
        "nodes": [],
        "path": "$.triggers",
        "message": message,
        "severity": "warning",
        "suggested_resolution": mend,
        "workflows": names,
    }
