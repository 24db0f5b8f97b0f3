"""The same done to many runs."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from flowforge.commands import CancelRun, Command, FindRuns, PauseRun, ResumeRun, RetryRun
from flowforge.identity import named_stream
from litestar import Response, post
from msgspec import Meta

from infra.http.authentication import OPERATOR
from infra.http.described import gives, takes
from infra.http.problems import Problem
from services.gateway import reply
from services.gateway.answers import OperatedTogether
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import Gateway, gateway
from services.gateway.reply import Reply
from services.gateway.routes.operations import Reason
from services.gateway.routes.runs import Label, LabelValue
from services.gateway.settings import bulk_at_once_max, bulk_runs_max, labels_max

Action = Literal["cancel", "retry", "pause", "resume"]
Status = Literal["pending", "running", "paused", "completed", "failed", "cancelled", "partial"]
_MEANT: dict[Action, list[str]] = {
    "cancel": ["pending", "running", "paused"],
    "pause": ["pending", "running"],
    "resume": ["paused"],
    "retry": ["failed", "cancelled", "partial"],
}
"""The runs that an action is for, where the filter names neither runs nor a status."""


class Filter(msgspec.Struct, forbid_unknown_fields=True):
    """Which runs are meant: those for which all of it is so. `label` is `name=value`, or an object of several."""

    workflow_id: str | None = None
    status: Status | Annotated[list[Status], Meta(min_length=1)] | None = None
    trigger_type: str | None = None
    label: (
        Annotated[str, Meta(pattern="^[^=]+=")] | Annotated[dict[Label, LabelValue], Meta(max_length=labels_max)] | None
    ) = None
    since: datetime | None = None
    until: datetime | None = None
    run_ids: Annotated[list[UUID], Meta(min_length=1, max_length=bulk_runs_max)] | None = None

    @property
    def labels(self) -> dict[str, str]:
        if isinstance(self.label, str):
            name, _, value = self.label.partition("=")
            return {name: value}
        return self.label or {}


class Bulk(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `bulk`."""

    filter: Filter
    action: Action
    reason: Reason = ""


_EXAMPLE = {"filter": {"workflow_id": "daily-report", "status": "failed"}, "action": "retry"}


@post(
    "/bulk",
    opt=OPERATOR | takes(Bulk, _EXAMPLE) | gives(OperatedTogether),
    status_code=202,
    summary="Cancel, retry, pause or resume many runs",
)
async def bulk(request: AnyRequest) -> Response[bytes]:
    """202 `{action, matched, accepted, run_ids, refused: [{run_id, code, detail}], has_more, position}`.

    At most 1,000 runs, the newest of those that are meant; with `has_more`, ask again for the others. Without `status` and
    `run_ids`, the action is for those runs that it can concern: `cancel` for runs that have not ended, and so on. What `pause`
    finds before it has started, such as in a queue, is named in `refused`: ask again once it runs.
    """
    body = await json_body(request)
    wanted = shaped(body, Bulk)
    if wanted.filter == Filter():
        raise _all_of_them(wanted.action)
    serving = gateway(request)

    async def deed(command_id: str) -> Reply:
        return reply.of(202, await _carry_out(serving, request, command_id, wanted))

    return await serving.once(request, body, deed)


async def _carry_out(serving: Gateway, request: AnyRequest, command_id: str, wanted: Bulk) -> dict[str, Any]:
    found = await serving.ask(request, _question(command_id, wanted))
    limit = asyncio.Semaphore(bulk_at_once_max)

    async def one(run_id: str) -> dict[str, Any] | Problem:
        """The command's id derives from the request's: asked again, it is recognised."""
        command = _command(str(named_stream("bulk", f"{command_id}:{run_id}")), request.user.name, run_id, wanted)
        async with limit:
            try:
                return await serving.ask(request, command)
            except Problem as refused:
                return refused

    run_ids: list[str] = found["run_ids"]
    answers = await asyncio.gather(*map(one, run_ids))
    refused = [
        {"run_id": run_id, "code": answer.code, "detail": answer.detail}
        for run_id, answer in zip(run_ids, answers, strict=True)
        if isinstance(answer, Problem)
    ]
    accepted = {
        run_id: answer["position"]
        for run_id, answer in zip(run_ids, answers, strict=True)
        if not isinstance(answer, Problem)
    }
    unknown = [
        {"run_id": run_id, "code": "NOT_FOUND", "detail": f"there is no run '{run_id}'"} for run_id in found["unknown"]
    ]
    return {
        "action": wanted.action,
        "matched": len(run_ids),
        "accepted": len(accepted),
        "run_ids": list(accepted),
        "refused": [*refused, *unknown],
        "has_more": found["has_more"],
        "position": max(accepted.values(), default=0),
    }


def _question(command_id: str, wanted: Bulk) -> FindRuns:
    given = wanted.filter
    statuses = [given.status] if isinstance(given.status, str) else given.status
    if statuses is None and given.run_ids is None:
        statuses = _MEANT[wanted.action]
    return FindRuns(
        command_id=command_id,
        workflow_id=given.workflow_id,
        statuses=None if statuses is None else list(statuses),
        trigger_type=given.trigger_type,
        labels=given.labels,
        since=_utc("since", given.since),
        until=_utc("until", given.until),
        run_ids=given.run_ids,
        limit=bulk_runs_max,
    )


def _command(command_id: str, actor: str, run_id: str, wanted: Bulk) -> Command:
    match wanted.action:
        case "cancel":
            return CancelRun(command_id=command_id, actor=actor, run_id=run_id, reason=wanted.reason)
        case "pause":
            return PauseRun(command_id=command_id, actor=actor, run_id=run_id, reason=wanted.reason)
        case "resume":
            return ResumeRun(command_id=command_id, actor=actor, run_id=run_id)
        case "retry":
            return RetryRun(command_id=command_id, actor=actor, run_id=run_id, reason=wanted.reason)


def _utc(name: str, at: datetime | None) -> datetime | None:
    """A time without zone is taken as UTC. Raises a 422 `Problem` for one that has no place in the calendar there."""
    if at is None:
        return None
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        message = f"{at.isoformat()} is beyond the calendar; name a time of this era"
        error = {"path": f"$.filter.{name}", "message": message}
        raise Problem(422, message, code="INVALID", title="Invalid request", errors=[error]) from None


def _all_of_them(action: Action) -> Problem:
    remedy = f"name what is to be true of them, such as a workflow_id; {' or '.join(_MEANT[action])} runs are meant"
    error = {
        "path": "$.filter",
        "message": "a filter that asks for nothing means all runs",
        "suggested_resolution": remedy,
    }
    return Problem(422, f"{error['message']}: {remedy}", code="INVALID", title="Invalid request", errors=[error])
