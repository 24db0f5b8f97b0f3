"""Triggers one by one: each change is a new version of the workflow."""

from datetime import datetime
from typing import Annotated

import msgspec
from flowforge.commands import (
    AddTrigger,
    BackfillSchedule,
    ChangeTrigger,
    ChangeTriggers,
    RemoveTrigger,
    RequestRun,
    SetTriggerConfigs,
    TriggerChange,
)
from flowforge.definition import Trigger
from flowforge.envelope import NULL
from flowforge.identity import new_uuid
from flowforge.job_types import TRIGGER_TYPES
from litestar import Response, delete, patch, post, put
from msgspec import UNSET, Meta, UnsetType

from infra.http.authentication import EDITOR, OPERATOR
from infra.http.described import MADE, VERSIONED, gives, takes
from infra.http.problems import Problem
from services.gateway import reply
from services.gateway.answers import SAVED, STARTED, Backfilled, SavedTogether
from services.gateway.body import DEFINITION_TYPES, AnyRequest, definition_body, json_body, shaped
from services.gateway.context import expected_version, gateway, raw
from services.gateway.routes.runs import Label, LabelValue
from services.gateway.routes.workflows import saved
from services.gateway.settings import bulk_items_max, labels_max


class BulkItem(msgspec.Struct, forbid_unknown_fields=True):
    """One trigger, and either whether it is enabled or a JSON merge patch for it."""

    workflow_id: str
    trigger_id: str
    enabled: bool | UnsetType = UNSET
    patch: dict[str, msgspec.Raw] | UnsetType = UNSET


class Bulk(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a bulk change."""

    items: Annotated[list[BulkItem], Meta(min_length=1, max_length=bulk_items_max)]


class Configs(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `trigger_configs`: all six job types, `[{trigger_type, is_enabled}]` and their options."""

    configs: msgspec.Raw = NULL


class Fire(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `fire`: the run's input, variables and labels."""

    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    labels: Annotated[dict[Label, LabelValue], Meta(max_length=labels_max)] = {}


class Backfill(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `backfill`: a span [since, until) of the past, `until` now where it is left out."""

    since: datetime
    until: datetime | None = None
    repeat: bool = False
    dry_run: bool = False


_TRIGGER = {"id": "nightly", "type": "schedule", "config": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"}}
_PATCH_TYPES = ("application/merge-patch+json", "application/json")
_CONFIGS = {"configs": [{"trigger_type": name, "is_enabled": name == "EVAL"} for name in TRIGGER_TYPES]}
_ITEMS = {"items": [{"workflow_id": "daily-report", "trigger_id": "nightly", "enabled": False}]}


@post(
    "/{workflow_id:str}/triggers",
    opt=EDITOR | VERSIONED | takes(Trigger, _TRIGGER, media_types=DEFINITION_TYPES) | SAVED,
    summary="Add a trigger",
)
async def add_trigger(request: AnyRequest, workflow_id: str) -> Response[bytes]:
    """201 `{id, version, position, warnings}` of the workflow; 409 where the trigger's id is taken, or
    the workflow is archived."""
    body, version = await definition_body(request), expected_version(request)
    return await gateway(request).save(
        request,
        body,
        lambda command_id, actor: AddTrigger(
            command_id=command_id, actor=actor, workflow_id=workflow_id, trigger=raw(body), expected_version=version
        ),
        lambda answer: saved(answer, 201),
    )


@patch(
    "/{workflow_id:str}/triggers/{trigger_id:str}",
    opt=EDITOR | VERSIONED | takes(dict[str, object], {"enabled": False}, media_types=_PATCH_TYPES) | SAVED,
    summary="Change a trigger",
)
async def change_trigger(request: AnyRequest, workflow_id: str, trigger_id: str) -> Response[bytes]:
    """200; the body is a JSON merge patch (RFC 7396), such as `{"enabled": false}`. 409 where the workflow
    is archived."""
    body, version = await json_body(request), expected_version(request)
    return await gateway(request).save(
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


@delete(
    "/{workflow_id:str}/triggers/{trigger_id:str}",
    opt=EDITOR | VERSIONED | SAVED,
    status_code=200,
    summary="Remove a trigger",
)
async def remove_trigger(request: AnyRequest, workflow_id: str, trigger_id: str) -> Response[bytes]:
    """200; its decisions stay. 409 where the workflow is archived."""
    version = expected_version(request)
    return await gateway(request).save(
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


@put(
    "/{workflow_id:str}/trigger_configs",
    opt=EDITOR | VERSIONED | takes(Configs, _CONFIGS) | SAVED,
    summary="Set the job-type triggers",
)
async def set_trigger_configs(request: AnyRequest, workflow_id: str) -> Response[bytes]:
    """200 `{id, version, position, warnings, trigger_configs}`. What stands in `configs` replaces all that was set.

    422 unless each of the six types is named exactly once, with booleans: with the path of all that is missing, doubled,
    unknown or of a wrong type. 409 where the workflow is archived.
    """
    body, version = await json_body(request), expected_version(request)
    configs = shaped(body, Configs).configs
    return await gateway(request).save(
        request,
        body,
        lambda command_id, actor: SetTriggerConfigs(
            command_id=command_id, actor=actor, workflow_id=workflow_id, configs=configs, expected_version=version
        ),
        saved,
    )


@post(
    "/{workflow_id:str}/triggers/{trigger_id:str}/fire",
    opt=OPERATOR | takes(Fire, {"input_data": {"region": "eu"}}) | MADE | STARTED,
    status_code=202,
    summary="Fire a trigger by hand",
)
async def fire(request: AnyRequest, workflow_id: str, trigger_id: str) -> Response[bytes]:
    """202 `{run_id, position}`: the run counts under this trigger, whatever its type and filter; `input_data` is its input.

    404 for an unknown trigger; 409 while it is disabled or the workflow is not active: then nothing is recorded.
    """
    body = await json_body(request)
    wanted = shaped(body, Fire)
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: RequestRun(
            command_id=command_id,
            actor=actor,
            workflow_id=workflow_id,
            trigger_id=trigger_id,
            input_data=wanted.input_data,
            variables=wanted.variables,
            labels=wanted.labels,
        ),
        lambda answer: reply.of(202, answer, Location=f"/api/runs/{answer['run_id']}"),
    )


@post(
    "/{workflow_id:str}/triggers/{trigger_id:str}/backfill",
    opt=OPERATOR | takes(Backfill, {"since": "2026-01-01T00:00:00Z", "dry_run": True}) | gives(Backfilled),
    status_code=202,
    summary="Make up for a schedule's past",
)
async def backfill(request: AnyRequest, workflow_id: str, trigger_id: str) -> Response[bytes]:
    """One run for each nominal time of the schedule in [since, until) that has not fired; times have to be in the past.

    With `dry_run`, 200 and nothing is recorded: `{count, fired, pending, items, has_more, …}`, each item
    `{scheduled_at, previous_at, next_at, state, fires}`, `state` one of missing, fired, pending (about to fire). Else 202
    `{backfill_id, position, count, label, …}`; the runs start in order, in portions, and carry the label. The schedule is
    meant as it is now, and both answers give it. `repeat` fires the other times too. 409 while the trigger is disabled or
    the workflow is not active; 422 for a trigger of another type, and for too many times.
    """
    body = await json_body(request)
    wanted = shaped(body, Backfill)

    def command(command_id: str, actor: str) -> BackfillSchedule:
        return BackfillSchedule(
            command_id=command_id,
            actor=actor,
            workflow_id=workflow_id,
            trigger_id=trigger_id,
            since=wanted.since,
            until=wanted.until,
            repeat=wanted.repeat,
            dry_run=wanted.dry_run,
        )

    if wanted.dry_run:
        answer = await gateway(request).ask(request, command(str(new_uuid()), request.user.name))
        return reply.of(200, answer).response()
    return await gateway(request).carry_out(request, body, command, lambda answer: reply.of(202, answer))


@put("/", opt=EDITOR | takes(Bulk, _ITEMS) | gives(SavedTogether), summary="Change many triggers")
async def change_together(request: AnyRequest) -> Response[bytes]:
    """200 `{items: [{id, version, position, warnings}], position}`, one item per workflow: all are changed, or none.

    Each item of the request names a trigger, and `enabled` or `patch` (RFC 7396). A workflow named by several gets one
    new version. 422 with the path of every item that cannot be carried out; then nothing is.
    """
    body = await json_body(request)
    changes = [_change(number, item) for number, item in enumerate(shaped(body, Bulk).items)]
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: ChangeTriggers(command_id=command_id, actor=actor, items=changes),
        lambda answer: reply.of(200, answer),
    )


def _change(number: int, item: BulkItem) -> TriggerChange:
    if (item.enabled is UNSET) == (item.patch is UNSET):
        message = "give either enabled or patch"
        error = {"path": f"$.items[{number}]", "message": message}
        raise Problem(422, f"{message} (at {error['path']})", code="INVALID", title="Invalid request", errors=[error])
    patch_ = {"enabled": item.enabled} if item.patch is UNSET else item.patch
    return TriggerChange(item.workflow_id, item.trigger_id, msgspec.Raw(msgspec.json.encode(patch_)))
