"""Definitions: saved as versions, checked, archived."""

from typing import Annotated, Any

import msgspec
from flowforge.commands import ArchiveWorkflow, CreateWorkflow, RollbackWorkflow, UpdateWorkflow, ValidateWorkflow
from flowforge.definition import Workflow
from flowforge.identity import new_uuid
from litestar import Response, delete, post, put
from msgspec import Meta

from infra.http.authentication import EDITOR, VIEWER
from infra.http.described import MADE, READS_ONLY, VERSIONED, gives, takes
from services.gateway import reply
from services.gateway.answers import SAVED, Report
from services.gateway.body import DEFINITION_TYPES, AnyRequest, definition_body, json_body, shaped
from services.gateway.context import definition_fields, expected_version, gateway
from services.gateway.reply import Reply


class Rollback(msgspec.Struct, forbid_unknown_fields=True):
    """Which version to repeat."""

    version: Annotated[int, Meta(ge=1)]


def saved(answer: dict[str, Any], status: int = 200, **headers: str) -> Reply:
    """A save's answer, whose version is its ETag."""
    return reply.of(status, answer, ETag=f'"{answer["version"]}"', **headers)


_EXAMPLE = {
    "id": "daily-report",
    "name": "Daily report",
    "nodes": [
        {"id": "extract", "type": "job", "job_type": "extract", "payload": {"region": "${input.region}"}},
        {"id": "report", "type": "data_transform", "expressions": {"rows": "${input.rows}"}},
    ],
    "edges": [{"source_node_id": "extract", "target_node_id": "report"}],
}


@post(
    "/",
    opt=EDITOR | takes(Workflow, _EXAMPLE, media_types=DEFINITION_TYPES) | MADE | SAVED,
    summary="Create a workflow",
)
async def create(request: AnyRequest) -> Response[bytes]:
    """201 `{id, version, position, warnings}`; 409 where the id is taken, 422 with every fault of the definition."""
    body = await definition_body(request)
    return await gateway(request).save(
        request,
        body,
        lambda command_id, actor: CreateWorkflow(command_id=command_id, actor=actor, **definition_fields(body)),
        lambda answer: saved(answer, 201, Location=f"/api/workflows/{answer['id']}"),
    )


@post(
    "/validate",
    opt=VIEWER | READS_ONLY | takes(Any, _EXAMPLE, media_types=DEFINITION_TYPES) | gives(Report),
    status_code=200,
    summary="Check a definition",
)
async def validate(request: AnyRequest) -> Response[bytes]:
    """200 with everything that is wrong with it; nothing is stored."""
    body = await definition_body(request)
    command = ValidateWorkflow(command_id=str(new_uuid()), actor=request.user.name, **definition_fields(body))
    report = await gateway(request).ask(request, command)
    upstreams = upstreams_of(body)
    if upstreams:
        report["warnings"] += (await gateway(request).advice(request, *upstreams))["warnings"]
    return reply.of(200, report).response()


class _Upstreams(msgspec.Struct):
    id: str = ""
    triggers: list[dict[str, Any]] = []


def upstreams_of(body: bytes) -> tuple[str, list[str]] | None:
    """The workflow and those that its dependency triggers name, as far as a definition can be read that far."""
    try:
        head = msgspec.json.decode(body, type=_Upstreams)
        names = [
            upstream["workflow_id"]
            for trigger in head.triggers
            if trigger.get("type") == "dependency"
            for upstream in trigger["config"]["upstreams"]
        ]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return None
    return (head.id, [name for name in names if isinstance(name, str)]) if names else None


@put(
    "/{workflow_id:str}",
    opt=EDITOR | VERSIONED | takes(Workflow, _EXAMPLE, media_types=DEFINITION_TYPES) | SAVED,
    summary="Save a new version",
)
async def update(request: AnyRequest, workflow_id: str) -> Response[bytes]:
    """200 `{id, version, position, warnings}`; the same definition again is no new version. 404 for an unknown id;
    409 where it has a secret and this installation no key to keep it under."""
    body, version = await definition_body(request), expected_version(request)
    return await gateway(request).save(
        request,
        body,
        lambda command_id, actor: UpdateWorkflow(
            command_id=command_id,
            actor=actor,
            workflow_id=workflow_id,
            **definition_fields(body),
            expected_version=version,
        ),
        saved,
    )


@delete("/{workflow_id:str}", opt=EDITOR | VERSIONED | SAVED, status_code=200, summary="Archive a workflow")
async def archive(request: AnyRequest, workflow_id: str) -> Response[bytes]:
    """200; it starts no more runs, its versions and runs stay. PUT of a definition revives it."""
    version = expected_version(request)
    return await gateway(request).save(
        request,
        b"",
        lambda command_id, actor: ArchiveWorkflow(
            command_id=command_id, actor=actor, workflow_id=workflow_id, expected_version=version
        ),
        saved,
        is_archived=True,
    )


@post(
    "/{workflow_id:str}/rollback",
    opt=EDITOR | VERSIONED | takes(Rollback, {"version": 2}) | SAVED,
    status_code=200,
    summary="Repeat an old version",
)
async def roll_back(request: AnyRequest, workflow_id: str) -> Response[bytes]:
    """200 with the new version, which has the old one's content. 409 where it has a secret and this installation no key to
    keep it under."""
    body, version = await json_body(request), expected_version(request)
    wanted = shaped(body, Rollback)
    return await gateway(request).save(
        request,
        body,
        lambda command_id, actor: RollbackWorkflow(
            command_id=command_id,
            actor=actor,
            workflow_id=workflow_id,
            version=wanted.version,
            expected_version=version,
        ),
        saved,
    )
