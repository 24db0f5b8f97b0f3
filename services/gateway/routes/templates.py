"""Templates: saved from a definition or from a workflow, deleted, made into workflows."""

import re
from typing import Annotated, Any

import msgspec
from flowforge.commands import DeleteTemplate, InstantiateTemplate, SaveTemplate
from flowforge.definition import Name, Slug, Text, WorkflowStatus
from flowforge.envelope import NULL
from litestar import Response, delete, post, put
from msgspec import Meta

from infra.http.authentication import EDITOR
from infra.http.described import MADE, VERSIONED, takes
from services.gateway import reply
from services.gateway.answers import DELETED, SAVED
from services.gateway.body import DEFINITION_TYPES, AnyRequest, definition_body, json_body, shaped
from services.gateway.context import definition_fields, expected_version, gateway
from services.gateway.reply import Reply
from services.gateway.routes.workflows import saved
from services.gateway.settings import category_chars_max, slug_chars_max

_NO_SLUG = re.compile(r"[^a-z0-9_]+")


class TemplateFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Made of `definition`, or of `version` (default the newest) of the workflow `workflow_id`."""

    name: Annotated[str, Meta(max_length=200)] = ""
    description: Text = ""
    category: Annotated[str, Meta(max_length=category_chars_max)] = ""
    definition: msgspec.Raw = NULL
    workflow_id: Slug | None = None
    version: Annotated[int, Meta(ge=1)] | None = None


class NewTemplate(TemplateFields, kw_only=True):
    """The body of a save."""

    id: Slug


class Template(TemplateFields, kw_only=True):
    """The body of a save of a template that is there; its id may be repeated."""

    id: str | None = None


class Instantiate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the new workflow has of its own: its id (default made of its name), other defaults for the variables of the
    template, secrets for its webhook triggers by trigger id."""

    id: Slug | None = None
    name: Name | None = None
    description: Text | None = None
    experiment_id: Annotated[str, Meta(max_length=200)] | None = None
    tags: list[str] | None = None
    status: WorkflowStatus | None = None
    variables: dict[str, msgspec.Raw] = {}
    secrets: dict[str, str] = {}


@post(
    "/",
    opt=EDITOR
    | VERSIONED
    | takes(NewTemplate, {"id": "report", "workflow_id": "daily-report"}, media_types=DEFINITION_TYPES)
    | MADE
    | SAVED,
    summary="Save a template of one's own",
)
async def create_template(request: AnyRequest) -> Response[bytes]:
    """201 `{id, version, position, warnings}`; 404 for an unknown workflow, 409 where the id is taken, 422 with every
    fault of the definition.
    """
    body = await definition_body(request)
    wanted = shaped(body, NewTemplate)
    return await _save(request, body, wanted.id, wanted, is_new=True)


@put(
    "/{template_id:str}",
    opt=EDITOR
    | VERSIONED
    | takes(Template, {"workflow_id": "daily-report", "version": 3}, media_types=DEFINITION_TYPES)
    | SAVED,
    summary="Save a template anew",
)
async def update_template(request: AnyRequest, template_id: str) -> Response[bytes]:
    """200 `{id, version, position, warnings}`; 404 for an unknown id, 409 for a ready-made one.

    Workflows that were made of it stay as they are.
    """
    body = await definition_body(request)
    return await _save(request, body, template_id, shaped(body, Template), is_new=False)


async def _save(
    request: AnyRequest, body: bytes, template_id: str, wanted: TemplateFields, *, is_new: bool
) -> Response[bytes]:
    version = expected_version(request)

    def replied(answer: dict[str, Any]) -> Reply:
        location = {"Location": f"/api/templates/{template_id}"} if is_new else {}
        return saved(answer, 201 if is_new else 200, **location)

    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: SaveTemplate(
            command_id=command_id,
            actor=actor,
            template_id=template_id,
            is_new=is_new,
            name=wanted.name,
            description=wanted.description,
            category=wanted.category,
            workflow_id=wanted.workflow_id,
            workflow_version=wanted.version,
            **definition_fields(bytes(wanted.definition)),
            expected_version=version,
        ),
        replied,
    )


@delete(
    "/{template_id:str}", opt=EDITOR | VERSIONED | DELETED, status_code=200, summary="Delete a template of one's own"
)
async def delete_template(request: AnyRequest, template_id: str) -> Response[bytes]:
    """200; workflows that were made of it stay. 409 for a ready-made one."""
    version = expected_version(request)
    return await gateway(request).carry_out(
        request,
        b"",
        lambda command_id, actor: DeleteTemplate(
            command_id=command_id, actor=actor, template_id=template_id, expected_version=version
        ),
        lambda answer: reply.of(200, {"id": answer["id"], "position": answer["position"]}),
    )


@post(
    "/{template_id:str}/instantiate",
    opt=EDITOR
    | takes(Instantiate, {"id": "eu-report", "name": "Report (EU)", "variables": {"region": "eu"}})
    | MADE
    | SAVED,
    summary="Make a workflow of a template",
)
async def instantiate(request: AnyRequest, template_id: str) -> Response[bytes]:
    """201 as a save of a workflow; 404 for an unknown template, 409 where the workflow's id is taken."""
    body = await json_body(request)
    wanted = shaped(body, Instantiate)
    return await gateway(request).save(
        request,
        body,
        lambda command_id, actor: InstantiateTemplate(
            command_id=command_id,
            actor=actor,
            template_id=template_id,
            workflow_id=wanted.id or _slug(wanted.name or "") or template_id,
            name=wanted.name or "",
            description=wanted.description,
            experiment_id=wanted.experiment_id,
            tags=wanted.tags,
            status=wanted.status,
            variables=wanted.variables,
            secrets=wanted.secrets,
        ),
        lambda answer: saved(answer, 201, Location=f"/api/workflows/{answer['id']}"),
    )


def _slug(name: str) -> str:
    """An id made of a name: `Daily report (EU)` is `daily-report-eu`."""
    return _NO_SLUG.sub("-", name.lower()).strip("-_")[:slug_chars_max]
