"""Subscriptions: made, changed, paused, resumed, replayed, tried out and deleted."""

import base64
import os
from datetime import datetime
from typing import Annotated, Any

import msgspec
from flowforge.command import Command
from flowforge.definition import Slug
from flowforge.events import SubscriptionFilter
from flowforge.subscribing import (
    ChangeSubscription,
    CreateSubscription,
    DeleteSubscription,
    PauseSubscription,
    ReplaySubscription,
    ResumeSubscription,
    TestSubscription,
)
from litestar import Response, delete, patch, post
from msgspec import UNSET, Meta, UnsetType

from infra.http.authentication import EDITOR, OPERATOR
from infra.http.described import MADE, TAGGED, VERSIONED, gives, takes
from infra.http.etags import tag_of
from infra.http.problems import Problem
from infra.secrets import Secret, owner_of_subscription
from services.gateway import reply
from services.gateway.answers import (
    DELETED,
    DELIVERED,
    REPLAYED,
    SUBSCRIPTION_EXAMPLE,
    SUBSCRIPTION_MADE,
    SUBSCRIPTION_WRITTEN,
    SubscriptionWritten,
)
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import expected_version, gateway
from services.gateway.reply import Reply
from services.gateway.settings import subscription_test_wait_s
from services.gateway.signatures import KEY_BYTES_MAX, KEY_BYTES_MIN, STANDARD_PREFIX, standard_keys

_KEY_BYTES = 32
_NEW: dict[str, Any] = {
    "id": "ledger",
    "name": "Failures for the ledger",
    "url": "https://ledger.example.com/flowforge",
    "filter": {"workflow_id": "daily-report", "types": ["RunFailed"]},
}
Name = Annotated[str, Meta(max_length=200)]
Url = Annotated[str, Meta(min_length=1)]


class NewSubscription(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of a `POST`. Without an id and a secret, they are made; the secret is shown in this answer only."""

    id: Slug | None = None
    name: Name = ""
    url: Url
    filter: SubscriptionFilter = SubscriptionFilter()
    secret: str | None = None
    enabled: bool = True


class ChangedSubscription(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of a `PATCH`: what is to change. `secret: null` has a new one made, which is shown in this answer only."""

    name: Name | None = None
    url: Url | None = None
    filter: SubscriptionFilter | None = None
    secret: str | UnsetType | None = UNSET
    enabled: bool | None = None


class Resumption(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a resumption; `skip_missed`: what happened while it was paused is never posted."""

    skip_missed: bool = False


class Replay(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a replay: everything after that position of the log, or since that time."""

    since: int | str


@post("/", opt=EDITOR | takes(NewSubscription, _NEW) | MADE | SUBSCRIPTION_MADE, summary="Subscribe to run events")
async def create_subscription(request: AnyRequest) -> Response[bytes]:
    """201 with the subscription; `secret` where it was made here. 409 where the id is taken, or
    there are as many as there may be; 422 with every fault."""
    body = await json_body(request)
    wanted = shaped(body, NewSubscription)

    async def deed(command_id: str) -> Reply:
        name = wanted.id or f"sub-{command_id.replace('-', '')[-12:]}"
        secret_ref = await _kept(request, name, wanted.secret)
        command = CreateSubscription(
            command_id=command_id,
            actor=request.user.name,
            subscription_id=name,
            url=wanted.url,
            name=wanted.name,
            filter=wanted.filter,
            secret_ref=secret_ref,
            is_enabled=wanted.enabled,
        )
        answer = await gateway(request).ask(request, command)
        return reply.of(201, answer, Location=f"/api/subscriptions/{name}", ETag=tag_of(answer["version"]))

    return await _shown(request, await gateway(request).once(request, body, deed), is_made=wanted.secret is None)


@patch(
    "/{subscription_id:str}",
    opt=EDITOR
    | VERSIONED
    | takes(ChangedSubscription, {"url": "https://ledger.example.com/v2"})
    | TAGGED
    | gives(SubscriptionWritten, SUBSCRIPTION_EXAMPLE | {"url": "https://ledger.example.com/v2", "version": 2}),
    summary="Change a subscription",
)
async def change_subscription(request: AnyRequest, subscription_id: str) -> Response[bytes]:
    """200 with the subscription; what is left out stays. 404 for an unknown id; 422 with every fault."""
    body = await json_body(request)
    wanted = shaped(body, ChangedSubscription)
    has_secret = not isinstance(wanted.secret, UnsetType)
    version = expected_version(request)

    async def deed(command_id: str) -> Reply:
        secret = wanted.secret
        command = ChangeSubscription(
            command_id=command_id,
            actor=request.user.name,
            subscription_id=subscription_id,
            url=wanted.url,
            name=wanted.name,
            filter=wanted.filter,
            secret_ref=None if isinstance(secret, UnsetType) else await _kept(request, subscription_id, secret),
            is_enabled=wanted.enabled,
            expected_version=version,
        )
        answer = await gateway(request).ask(request, command)
        return reply.of(200, answer, ETag=tag_of(answer["version"]))

    response = await gateway(request).once(request, body, deed)
    return await _shown(request, response, is_made=has_secret and wanted.secret is None)


@delete("/{subscription_id:str}", opt=EDITOR | VERSIONED | DELETED, status_code=200, summary="Delete a subscription")
async def delete_subscription(request: AnyRequest, subscription_id: str) -> Response[bytes]:
    """200 `{id, position}`: nothing more is posted, and what is owed is forgotten."""
    fields = {"subscription_id": subscription_id, "expected_version": expected_version(request)}
    return await _carry_out(request, b"", DeleteSubscription, fields)


@post(
    "/{subscription_id:str}/pause", opt=OPERATOR | SUBSCRIPTION_WRITTEN, status_code=200, summary="Pause a subscription"
)
async def pause_subscription(request: AnyRequest, subscription_id: str) -> Response[bytes]:
    """200 with the subscription: nothing is posted until it is resumed; what happens meanwhile is posted then."""
    fields = {"subscription_id": subscription_id}
    return await _carry_out(request, await json_body(request), PauseSubscription, fields)


@post(
    "/{subscription_id:str}/resume",
    opt=OPERATOR | takes(Resumption, {"skip_missed": True}) | SUBSCRIPTION_WRITTEN,
    status_code=200,
    summary="Resume a subscription",
)
async def resume_subscription(request: AnyRequest, subscription_id: str) -> Response[bytes]:
    """200 with the subscription: what is owed is posted at once. `{skip_missed: true}`: only what happens from now on."""
    body = await json_body(request)
    fields = {"subscription_id": subscription_id, "skips_missed": shaped(body, Resumption).skip_missed}
    return await _carry_out(request, body, ResumeSubscription, fields)


@post(
    "/{subscription_id:str}/replay",
    opt=OPERATOR | takes(Replay, {"since": 4000}) | REPLAYED,
    status_code=202,
    summary="Post past events again",
)
async def replay_subscription(request: AnyRequest, subscription_id: str) -> Response[bytes]:
    """202 `{id, since_position, position}`: every event after that is posted again, under the id that it had. 409 where it
    is paused."""
    body = await json_body(request)
    since = shaped(body, Replay).since
    at = _time(since) if isinstance(since, str) else since
    name = "since_position" if isinstance(at, int) else "since_at"
    return await _carry_out(
        request, body, ReplaySubscription, {"subscription_id": subscription_id, name: at}, status=202
    )


@post("/{subscription_id:str}/test", opt=OPERATOR | DELIVERED, status_code=200, summary="Post a test event")
async def try_subscription(request: AnyRequest, subscription_id: str) -> Response[bytes]:
    """200 `{delivered, event_id, status, duration_ms, error}` of one event of type `SubscriptionTested`, posted now."""

    async def deed(command_id: str) -> Reply:
        command = TestSubscription(command_id=command_id, actor=request.user.name, subscription_id=subscription_id)
        return reply.of(200, await gateway(request).ask(request, command, subscription_test_wait_s))

    return await gateway(request).once(request, b"", deed)


async def _carry_out(
    request: AnyRequest, body: bytes, kind: type[Command], fields: dict[str, Any], status: int = 200
) -> Response[bytes]:
    def replied(answer: dict[str, Any]) -> Reply:
        tag = {"ETag": tag_of(answer["version"])} if "version" in answer else {}
        return reply.of(status, {name: value for name, value in answer.items() if name != "secret_ref"}, **tag)

    return await gateway(request).carry_out(
        request, body, lambda command_id, actor: kind(command_id=command_id, actor=actor, **fields), replied
    )


async def _kept(request: AnyRequest, name: str, given: str | None) -> str:
    """The secret, given or made, sealed; what refers to it."""
    if given is not None and not (given.startswith(STANDARD_PREFIX) and _is_key(given)):
        message = (
            f"no signing secret: expected `{STANDARD_PREFIX}` and {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes in base64, "
            "as Standard Webhooks has them; leave it out and one is made"
        )
        raise Problem(422, message, code="INVALID", title="Subscription invalid",
                      errors=[{"path": "$.secret", "message": message}])  # fmt: skip
    value = given or STANDARD_PREFIX + base64.b64encode(os.urandom(_KEY_BYTES)).decode()
    secrets, owner = gateway(request).secrets(), owner_of_subscription(name)
    ref = secrets.fingerprint(owner, value)
    await secrets.put([Secret(owner, ref, value)])
    return ref


def _is_key(secret: str) -> bool:
    keys = standard_keys(secret)
    return len(keys) == 1 and keys[0] != secret.encode()


async def _shown(request: AnyRequest, response: Response[bytes], *, is_made: bool) -> Response[bytes]:
    """The answer without the reference, and with the secret that was made: no answer that is kept has it."""
    answer = msgspec.json.decode(response.content)
    ref = answer.pop("secret_ref", None)
    if ref is not None and is_made:
        values = await gateway(request).secrets().get(owner_of_subscription(answer["id"]), [ref])
        if ref in values:
            answer["secret"] = values[ref]
    response.content = msgspec.json.encode(answer)
    return response


def _time(text: str) -> datetime:
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        message = f"'{text[:40]}' is neither a position of the log nor a time such as 2026-01-31T12:00:00Z"
        raise Problem(422, message, code="INVALID", title="Invalid request",
                      errors=[{"path": "$.since", "message": message}]) from None  # fmt: skip
