"""Triggers one by one: each change is a new version of the workflow."""

from flowforge.commands import AddTrigger, ChangeTrigger, RemoveTrigger
from litestar import Response, delete, patch, post

from infra.http.authentication import EDITOR
from services.gateway.body import AnyRequest, definition_body, json_body
from services.gateway.context import expected_version, gateway, raw
from services.gateway.routes.workflows import saved


@post("/{workflow_id:str}/triggers", opt=EDITOR, summary="Add a trigger")
async def add_trigger(request: AnyRequest, workflow_id: str) -> Response[bytes]:
    """201 `{id, version, position, warnings}` of the workflow; 409 where the trigger's id is taken."""
    body, version = await definition_body(request), expected_version(request)
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: AddTrigger(
            command_id=command_id, actor=actor, workflow_id=workflow_id, trigger=raw(body), expected_version=version
        ),
        lambda answer: saved(answer, 201),
    )


@patch("/{workflow_id:str}/triggers/{trigger_id:str}", opt=EDITOR, summary="Change a trigger")
async def change_trigger(request: AnyRequest, workflow_id: str, trigger_id: str) -> Response[bytes]:
    """200; the body is a JSON merge patch (RFC 7396), such as `{"enabled": false}`."""
    body, version = await json_body(request), expected_version(request)
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: ChangeTrigger(
            command_id=command_id,
            actor=actor,
            workflow_id=workflow_id,
            trigger_id=trigger_id,
            patch=raw(body),
            expected_version=version,
        ),
        saved,
    )


@delete("/{workflow_id:str}/triggers/{trigger_id:str}", opt=EDITOR, status_code=200, summary="Remove a trigger")
async def remove_trigger(request: AnyRequest, workflow_id: str, trigger_id: str) -> Response[bytes]:
    """200; its decisions stay."""
    version = expected_version(request)
    return await gateway(request).carry_out(
        request,
        b"",
        lambda command_id, actor: RemoveTrigger(
            command_id=command_id,
            actor=actor,
            workflow_id=workflow_id,
            trigger_id=trigger_id,
            expected_version=version,
        ),
        saved,
    )
