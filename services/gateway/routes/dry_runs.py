"""Dry runs of triggers: one event, or the recorded history; nothing is stored."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import msgspec
from flowforge.commands import RehearseTrigger, TryTrigger, ValidateWorkflow
from flowforge.events import WebhookReceived
from flowforge.identity import new_uuid
from litestar import Response, post
from litestar.params import Parameter
from litestar.response import Stream

from infra.http.authentication import VIEWER
from infra.http.described import READS_ONLY, STREAMED, gives, takes
from infra.http.paging import Cursors, CursorText
from infra.http.problems import Problem
from services.gateway import reply
from services.gateway.answers import Rehearsed, Tried
from services.gateway.body import DEFINITION_TYPES, AnyRequest, definition_body, shaped
from services.gateway.commanding import Services
from services.gateway.context import gateway
from services.gateway.settings import rehearsal_wait_s, what_if_items_default, what_if_items_max

_AS_READ = ("workflow_id", "version")
"""What a trigger as read has besides its own fields."""
_AT = "$.triggers[0]"
_NO_SECRET = {"id": "0" * 32}
_STREAM = "text/event-stream"


class Try(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `test`: a trigger as it is written in a definition, and a CloudEvent."""

    trigger: dict[str, Any]
    event: dict[str, Any]
    workflow_id: str | None = None


class WhatIf(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `what-if`: a trigger, and the window [since, until) of the recorded history."""

    trigger: dict[str, Any]
    workflow_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_TRIGGER = {
    "id": "on-order",
    "type": "event",
    "config": {"event_type": "order.placed", "filter": "event.data.total > 100"},
}
_EVENT = {"type": "order.placed", "source": "/shop", "data": {"total": 120}}


@post(
    "/test",
    opt=VIEWER
    | READS_ONLY
    | takes(Try, {"trigger": _TRIGGER, "event": _EVENT}, media_types=DEFINITION_TYPES)
    | gives(Tried),
    status_code=200,
    summary="Try a trigger on one event",
)
async def try_trigger(request: AnyRequest) -> Response[bytes]:
    """200 `{decision, reason, detail, input?}`: what the trigger would answer to the event; nothing is stored.

    The trigger may be new or changed. With `workflow_id`, or a trigger as it was read, the workflow's status, variables
    and input schema count as they would. `specversion` and `id` of the event may be left out; for a webhook all but
    `data`, which is the body. 404 for an unknown workflow; 422 with every fault of
    the trigger.
    """
    wanted = shaped(await definition_body(request), Try)
    trigger, workflow_id = await _sound(request, wanted.trigger, wanted.workflow_id)
    event = {"specversion": "1.0", "id": "test", **wanted.event}
    if wanted.trigger.get("type") == "webhook":
        event = {"source": "/webhooks", "type": WebhookReceived.__name__, **event}
    command = TryTrigger(
        command_id=str(new_uuid()),
        actor=request.user.name,
        trigger=trigger,
        event=msgspec.Raw(msgspec.json.encode(event)),
        workflow_id=workflow_id,
    )
    return reply.of(200, await gateway(request).ask(request, command)).response()


@post(
    "/what-if",
    opt=VIEWER
    | READS_ONLY
    | STREAMED
    | takes(WhatIf, {"trigger": _TRIGGER, "since": "2026-01-01T00:00:00Z"}, media_types=DEFINITION_TYPES)
    | gives(Rehearsed)
    | {"also_queries": ("limit", "cursor")},
    status_code=200,
    summary="Try a trigger on history",
)
async def what_if(
    request: AnyRequest,
    limit: Annotated[
        int, Parameter(ge=1, le=what_if_items_max, description="decisions per page")
    ] = what_if_items_default,
    cursor: CursorText = None,
) -> Response[bytes] | Stream:
    """200 `{evaluated, would_fire, did_fire, decisions {items, next_cursor}}` over the events received in the window.

    `evaluated` counts the events whose type and source concern the trigger; `did_fire` what the trigger of that id in
    `workflow_id` started in the same time, and each of the decisions, newest first, says whether it did. Asked for as
    `text/event-stream`, it tells its `progress` first, then its `answer` (or `problem`). 404 for an unknown workflow.
    """
    wanted = shaped(await definition_body(request), WhatIf)
    trigger, workflow_id = await _sound(request, wanted.trigger, wanted.workflow_id)
    since, until = _utc(wanted.since), _utc(wanted.until)
    cursors = Cursors("what-if", bytes(trigger), workflow_id, since, until)
    before = cursors.read(cursor, int)
    command = RehearseTrigger(
        command_id=str(new_uuid()),
        actor=request.user.name,
        trigger=trigger,
        workflow_id=workflow_id,
        since=since,
        until=until,
        limit=limit,
        before=None if before is None else before[0],
    )

    async def answered() -> dict[str, Any]:
        answer = await gateway(request).ask(request, command, rehearsal_wait_s)
        items, following = answer.pop("items"), answer.pop("next_position")
        next_cursor = None if following is None else cursors.write([following])
        return {**answer, "decisions": {"items": items, "next_cursor": next_cursor}}

    if _STREAM in request.headers.get("accept", ""):
        return Stream(with_progress(gateway(request).services, command, answered), media_type=_STREAM)
    return reply.of(200, await answered()).response()


async def with_progress(
    services: Services, command: RehearseTrigger, answered: Callable[[], Awaitable[dict[str, Any]]]
) -> AsyncGenerator[bytes]:
    """`progress {evaluated, position, last}` as it goes on, then `answer`, or `problem`."""
    async with services.hearing(services.subjects.rehearsal(command.command_id)) as heard:
        answering = asyncio.create_task(_as_message(answered))
        listening = asyncio.create_task(heard.get())
        try:
            while not answering.done():
                await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done():
                    progress = listening.result()
                    listening = asyncio.create_task(heard.get())
                    yield b"event: progress\ndata: " + progress + b"\n\n"
            yield await answering
        finally:
            answering.cancel()
            listening.cancel()


async def _as_message(answered: Callable[[], Awaitable[dict[str, Any]]]) -> bytes:
    try:
        event, content = b"answer", await answered()
    except Problem as problem:
        event, content = b"problem", problem.document()
    return b"event: " + event + b"\ndata: " + msgspec.json.encode(content) + b"\n\n"


async def _sound(
    request: AnyRequest, trigger: dict[str, Any], workflow_id: str | None
) -> tuple[msgspec.Raw, str | None]:
    """The trigger, checked as a save would, and its workflow. Raises a 422 `Problem` with every fault.

    The secret of a webhook has no part in it and goes no further.
    """
    written = {name: value for name, value in trigger.items() if name not in _AS_READ}
    if written.get("type") == "webhook" and isinstance(written.get("config"), dict):
        settings = {name: value for name, value in written["config"].items() if name != "secret"}
        written["config"] = {**settings, "secret_refs": [_NO_SECRET]}
    named = workflow_id if workflow_id is not None else cast("str | None", trigger.get("workflow_id"))
    if named is not None and not isinstance(named, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise Problem(422, "workflow_id is a text", code="INVALID", errors=[{"path": "$.trigger.workflow_id"}])
    document = {"id": "dry-run", "name": "dry run", "nodes": [{"id": "start", "type": "start"}], "triggers": [written]}
    command = ValidateWorkflow(
        command_id=str(new_uuid()),
        actor=request.user.name,
        definition=msgspec.Raw(msgspec.json.encode(document)),
    )
    report = await gateway(request).ask(request, command)
    if errors := report["errors"]:
        for error in errors:
            error["path"] = "$.trigger" + error["path"].removeprefix(_AT).removeprefix("$")
        detail = f"{errors[0]['message']} (at {errors[0]['path']})"
        raise Problem(422, detail, code="INVALID", title="Trigger invalid", errors=errors)
    return msgspec.Raw(msgspec.json.encode(written)), named


def _utc(given: datetime | None) -> datetime | None:
    """A time without an offset is UTC."""
    return given if given is None or given.tzinfo is not None else given.replace(tzinfo=UTC)
