"""Stored prompts: saved as versions, deleted."""

from typing import Annotated

import msgspec
from flowforge.commands import DeletePrompt, SavePrompt
from flowforge.definition import PROMPT_BYTES_MAX, Slug, Text
from flowforge.envelope import NULL
from litestar import Response, delete, post, put
from msgspec import Meta

from infra.http.authentication import EDITOR
from infra.http.described import MADE, VERSIONED, takes
from infra.http.problems import Problem
from services.gateway import reply
from services.gateway.answers import DELETED, SAVED
from services.gateway.body import DEFINITION_TYPES, AnyRequest, definition_body, shaped
from services.gateway.context import expected_version, gateway
from services.gateway.routes.workflows import saved


class PromptFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A whole version: `prompt` is a text or a list of messages, `system` a text; without a name it has its id's."""

    name: Annotated[str, Meta(max_length=200)] = ""
    description: Text = ""
    prompt: msgspec.Raw
    system: msgspec.Raw = NULL


class NewPrompt(PromptFields, kw_only=True):
    """The body of a save."""

    id: Slug


class Prompt(PromptFields, kw_only=True):
    """The body of a save of a prompt that is there; its id may be repeated."""

    id: str | None = None


@post(
    "/",
    opt=EDITOR
    | VERSIONED
    | takes(NewPrompt, {"id": "greet", "prompt": "Say hello to ${input.name}"}, media_types=DEFINITION_TYPES)
    | MADE
    | SAVED,
    summary="Save a prompt",
)
async def save_prompt(request: AnyRequest) -> Response[bytes]:
    """201 `{id, version, position, warnings}`, a new version where the id is taken; 422 with every fault of the prompt."""
    body = await definition_body(request)
    wanted = shaped(body, NewPrompt)
    return await _save(request, body, wanted.id, wanted, may_be_new=True)


@put(
    "/{prompt_id:str}",
    opt=EDITOR
    | VERSIONED
    | takes(Prompt, {"prompt": "Say good morning to ${input.name}"}, media_types=DEFINITION_TYPES)
    | SAVED,
    summary="Save a new version of a prompt",
)
async def update_prompt(request: AnyRequest, prompt_id: str) -> Response[bytes]:
    """200 `{id, version, position, warnings}`; the same prompt again is no new version. 404 for an unknown id."""
    body = await definition_body(request)
    return await _save(request, body, prompt_id, shaped(body, Prompt), may_be_new=False)


async def _save(
    request: AnyRequest, body: bytes, prompt_id: str, wanted: PromptFields, *, may_be_new: bool
) -> Response[bytes]:
    version = expected_version(request)
    if len(bytes(wanted.prompt)) + len(bytes(wanted.system)) > PROMPT_BYTES_MAX:
        raise Problem(413, f"a prompt has at most {PROMPT_BYTES_MAX // 1024} KiB", code="PAYLOAD_TOO_LARGE")
    location = {"Location": f"/api/prompts/{prompt_id}"} if may_be_new else {}
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: SavePrompt(
            command_id=command_id,
            actor=actor,
            prompt_id=prompt_id,
            may_be_new=may_be_new,
            name=wanted.name,
            description=wanted.description,
            prompt=wanted.prompt,
            system=wanted.system,
            expected_version=version,
        ),
        lambda answer: saved(answer, 201 if may_be_new else 200, **location),
    )


@delete("/{prompt_id:str}", opt=EDITOR | VERSIONED | DELETED, status_code=200, summary="Delete a prompt")
async def delete_prompt(request: AnyRequest, prompt_id: str) -> Response[bytes]:
    """200; it is offered no more, and nodes that name one of its versions still find that."""
    version = expected_version(request)
    return await gateway(request).carry_out(
        request,
        b"",
        lambda command_id, actor: DeletePrompt(
            command_id=command_id, actor=actor, prompt_id=prompt_id, expected_version=version
        ),
        lambda answer: reply.of(200, {"id": answer["id"], "position": answer["position"]}),
    )
