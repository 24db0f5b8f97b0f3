"""Reading workflows: the list, one as it was written, its graph, versions, differences, and what of it runs now."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from flowforge.definition import readable
from flowforge.job_types import BLUEPRINTS, Blueprint, normalised, shown
from litestar import Response, Router, get
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import Parameter
from msgspec import structs

from infra.http.authentication import VIEWER
from infra.http.described import gives
from infra.http.etags import IfNoneMatch, tag_of, tagged
from infra.http.paging import LIMIT_DEFAULT, CursorText, Limit, Page
from infra.http.problems import bad_request, not_found
from services.projections.api import moments, statistics, triggers
from services.projections.api.reads import Reads
from services.projections.api.runs import active_runs
from services.projections.api.shapes import Active, DiffView, GraphView, Version, WorkflowList, WorkflowView
from services.projections.api.slots import slots_of
from services.projections.conditions import Conditions
from services.projections.differences import differences, summary

WorkflowStatus = Literal["draft", "active", "archived"]
VERSION_MAX = 2**31 - 1
_EXAMPLE: dict[str, Any] = {
    "id": "daily-report",
    "name": "Daily report",
    "description": "",
    "experiment_id": None,
    "tags": ["reports"],
    "status": "active",
    "variables": [],
    "input_schema": None,
    "output_mapping": None,
    "settings": {
        "max_parallel_jobs": 5, "fail_fast": True, "timeout_ms": None, "queue_timeout_ms": None, "sla_ms": None,
        "concurrency": None, "recovery": {}, "on_failure": None,
    },
    "nodes": [{"id": "extract", "type": "job", "job_type": "extract"}],
    "edges": [],
    "triggers": [{"id": "nightly", "name": "Nightly", "type": "schedule", "config": {"cron": "0 3 * * *"}}],
    "trigger_configs": [{"trigger_type": "TRAIN", "is_enabled": False}],
    "version": 3,
    "created_at": "2026-01-31T12:00:00Z",
    "updated_at": "2026-01-31T12:00:00Z",
    "created_by": "ada",
}  # fmt: skip
VersionNumber = Annotated[
    int | None, Parameter(ge=1, le=VERSION_MAX, description="which version; without it, the newest")
]
_WORKFLOWS = """
    select w.id, w.version, w.status, w.created_at, w.created_by, w.created_position, w.updated_at, v.definition
    from projections.workflows w
    join projections.workflow_versions v on v.workflow_id = w.id and v.version = w.version
"""
_AT_VERSION = """
    select w.id, v.version, w.version as newest, w.status, w.created_at, w.created_by, w.updated_at, v.definition
    from projections.workflows w join projections.workflow_versions v on v.workflow_id = w.id
    where w.id = $1 and v.version = coalesce($2::int, w.version)
"""
_VERSIONS = (
    "select workflow_id, version, rolled_back_to, created_at, created_by, position from projections.workflow_versions"
)
_DEFINITION = "select definition from projections.workflow_versions where workflow_id = $1 and version = $2"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decode = msgspec.json.decode


@get("/", opt=VIEWER | gives(WorkflowList, {"items": [_EXAMPLE], "next_cursor": None}))
async def list_workflows(
    reads: Reads,
    experiment_id: Annotated[str | None, Parameter(description="only of this experiment")] = None,
    tag: Annotated[str | None, Parameter(description="only with this tag")] = None,
    status: Annotated[WorkflowStatus | None, Parameter(description="only those that stand so")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: CursorText = None,
) -> Page[dict[str, Any]]:
    """Workflows, the newest created first."""
    cursors = await reads.cursors("workflows", experiment_id, tag, status)
    conditions = Conditions().add("w.experiment_id = {}", experiment_id).add("{} = any(w.tags)", tag)
    conditions.add("w.status = {}", status)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("w.created_position < {}", before[0])
    rows = await reads.pool.fetch(_WORKFLOWS + conditions.page("w.created_position desc", limit), *conditions.values)
    page = cursors.page(rows, limit, [[row["created_position"]] for row in rows])
    return Page([_workflow(row) for row in page.items], page.next_cursor)


def _workflow(row: Mapping[str, Any]) -> dict[str, Any]:
    """The definition's fields as written, all six job-type triggers, and what the server knows beside them."""
    fields = _fields.decode(row["definition"])
    return {
        **fields,
        "trigger_configs": _configs(fields),
        "status": row["status"],
        "version": row["version"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "created_by": row["created_by"],
    }


def _configs(fields: Mapping[str, msgspec.Raw]) -> list[dict[str, Any]]:
    stored = fields.get("trigger_configs")
    return shown(normalised(None if stored is None else _decode(stored)))


@get("/trigger_blueprints", opt=VIEWER)
async def list_trigger_blueprints() -> Page[Blueprint]:
    """The six types of job that any workflow may be started by, in their order."""
    return Page(list(BLUEPRINTS))


@get("/{workflow_id:str}", opt=VIEWER | gives(WorkflowView, _EXAMPLE))
async def read_workflow(
    reads: Reads,
    workflow_id: str,
    version: VersionNumber = None,
    at: moments.At = None,
    if_none_match: IfNoneMatch = None,
) -> Response[dict[str, Any]]:
    """A workflow at its newest version, at the one asked for, or as it was at a past moment; the ETag is the version."""
    if at is not None:
        return await _workflow_at(reads, workflow_id, version, at, if_none_match)
    row = await reads.pool.fetchrow(_AT_VERSION, workflow_id, version)
    if row is None:
        raise _missing(workflow_id, version)
    fields = _workflow(row)
    if row["version"] != row["newest"]:
        fields["status"] = _fields.decode(row["definition"]).get("status", "active")
    is_archived = row["status"] == "archived" and row["version"] == row["newest"]
    return tagged(fields, tag_of(row["version"], "archived" if is_archived else ""), if_none_match)


async def _workflow_at(
    reads: Reads, workflow_id: str, version: int | None, at: str, if_none_match: str | None
) -> Response[dict[str, Any]]:
    if version is not None:
        raise bad_request("query.at", "a workflow is read at a moment or at a version, not at both")
    workflow, then = await moments.workflow_at(reads, workflow_id, at)
    fields = _workflow({**structs.asdict(workflow), "definition": then.definition})
    return tagged(fields, tag_of(then.version, "archived" if workflow.status == "archived" else ""), if_none_match)


@get("/{workflow_id:str}/graph", opt=VIEWER)
async def read_graph(reads: Reads, workflow_id: str, version: VersionNumber = None) -> GraphView:
    """Nodes with what they wait for, and edges."""
    chosen = version or await newest_version(reads, workflow_id)
    graph = await reads.graph(workflow_id, chosen)
    if graph is None:
        raise _missing(workflow_id, version)
    return GraphView(workflow_id, chosen, list(graph.nodes.values()), graph.edges, graph.bodies)


@get("/{workflow_id:str}/versions", opt=VIEWER)
async def list_versions(
    reads: Reads, workflow_id: str, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Page[Version]:
    """All versions, newest first."""
    await newest_version(reads, workflow_id)
    cursors = await reads.cursors("versions", workflow_id)
    conditions = Conditions().add("workflow_id = {}", workflow_id)
    if (before := cursors.read(cursor, int)) is not None:
        conditions.add("version < {}", before[0])
    rows = await reads.pool.fetch(_VERSIONS + conditions.page("version desc", limit), *conditions.values)
    return cursors.page([Version(*row) for row in rows], limit, [[row["version"]] for row in rows])


@get("/{workflow_id:str}/diff", opt=VIEWER)
async def read_diff(
    reads: Reads,
    workflow_id: str,
    before: Annotated[int, Parameter(query="from", ge=1, le=VERSION_MAX, description="the older version")],
    after: Annotated[
        int | None, Parameter(query="to", ge=1, le=VERSION_MAX, description="the other; without it, the newest")
    ] = None,
) -> DiffView:
    """What changed from one version to another (the newest, if none is named)."""
    last = after or await newest_version(reads, workflow_id)
    old = readable(_decode(await _definition(reads, workflow_id, before)))
    new = readable(_decode(await _definition(reads, workflow_id, last)))
    changes = list(differences(old, new))
    return DiffView(workflow_id, before, last, summary(changes), changes)


async def _definition(reads: Reads, workflow_id: str, version: int) -> str:
    definition = await reads.pool.fetchval(_DEFINITION, workflow_id, version)
    if definition is None:
        raise _missing(workflow_id, version)
    return definition


@get("/{workflow_id:str}/active", opt=VIEWER)
async def list_active(
    reads: Reads, workflow_id: str, limit: Limit = LIMIT_DEFAULT, cursor: CursorText = None
) -> Active:
    """What runs or waits now, newest first, each with the trigger that started it; and how full its slots are."""
    await newest_version(reads, workflow_id)
    page = await active_runs(reads, workflow_id, limit, cursor)
    return Active(page.items, page.next_cursor, await slots_of(reads, workflow_id, limit))


async def newest_version(reads: Reads, workflow_id: str) -> int:
    """Raises a 404 `Problem` for an unknown workflow."""
    version = await reads.pool.fetchval("select version from projections.workflows where id = $1", workflow_id)
    if version is None:
        raise not_found("workflow", workflow_id)
    return version


def _missing(workflow_id: str, version: int | None) -> Exception:
    return not_found("workflow", workflow_id if version is None else f"{workflow_id} version {version}")


def not_for_browsers(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """The older addresses without `/api` are the console's for whoever asks for HTML."""
    if "text/html" in connection.headers.get("accept", ""):
        raise not_found("page", connection.url.path)


HANDLERS = [list_workflows, list_trigger_blueprints, read_workflow, read_graph, list_versions, read_diff, list_active]


def routers() -> list[Router]:
    """Under today's name and the older one."""
    handlers = [*HANDLERS, *triggers.HANDLERS, statistics.read_workflow_stats]
    return [
        Router("/api/workflows", route_handlers=handlers, tags=["workflows"]),
        Router("/workflows", route_handlers=handlers, guards=[not_for_browsers], include_in_schema=False),
    ]
