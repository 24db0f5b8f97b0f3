"""Runs: started and stopped by hand."""

from typing import Annotated
from uuid import UUID

import msgspec
from flowforge.commands import CancelRun, RequestRun
from flowforge.definition import PositiveMilliseconds, Slug
from flowforge.envelope import NULL
from litestar import Response, post
from msgspec import Meta

from infra.http.authentication import OPERATOR
from infra.http.described import MADE, takes
from infra.http.problems import not_found
from services.gateway import reply
from services.gateway.answers import OPERATED, STARTED
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import gateway
from services.gateway.settings import breakpoints_max, label_chars_max, labels_max, priority_max, reason_chars_max

Label = Annotated[str, Meta(min_length=1, max_length=label_chars_max)]
LabelValue = Annotated[str, Meta(max_length=label_chars_max)]


class RunOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`timeout_ms` of this run, instead of the workflow's; `override_running`: beyond the limit of its `concurrency`.

    `skip_dependency_check`: the workflow runs whether or not those upstream of its dependency triggers have ended. So does
    every run by hand; the option is taken, and changes nothing.
    """

    timeout_ms: PositiveMilliseconds | None = None
    override_running: bool = False
    skip_dependency_check: bool = False


class Execute(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `execute`. `from_node`: only that node and what lies below it runs, with `input_data` as its input (which
    the workflow's `input_schema` does not describe). The run is `paused` before each of its `breakpoints`.
    """

    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    version: Annotated[int, Meta(ge=1)] | None = None
    labels: Annotated[dict[Label, LabelValue], Meta(max_length=labels_max)] = {}
    priority: Annotated[int, Meta(ge=-priority_max, le=priority_max)] = 0
    options: RunOptions = RunOptions()
    from_node: Slug | None = None
    breakpoints: Annotated[list[Slug], Meta(max_length=breakpoints_max)] = []


class Cancel(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `cancel`."""

    reason: Annotated[str, Meta(max_length=reason_chars_max)] = ""


@post(
    "/{workflow_id:str}/execute",
    opt=OPERATOR | takes(Execute, {"input_data": {"region": "eu"}, "labels": {"team": "blue"}}) | MADE | STARTED,
    status_code=202,
    summary="Start a run",
)
async def execute(request: AnyRequest, workflow_id: str) -> Response[bytes]:
    """202 `{run_id, position}`, also for a run that waits for a slot; 409 where `on_conflict` is `skip` and none is free,
    or the workflow is archived; 422 where `from_node` or a breakpoint names no node of that version."""
    body = await json_body(request)
    wanted = shaped(body, Execute)
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: RequestRun(
            command_id=command_id,
            actor=actor,
            workflow_id=workflow_id,
            input_data=wanted.input_data,
            variables=wanted.variables,
            version=wanted.version,
            labels=wanted.labels,
            priority=wanted.priority,
            timeout_ms=wanted.options.timeout_ms,
            override_running=wanted.options.override_running,
            from_node=wanted.from_node,
            breakpoints=list(dict.fromkeys(wanted.breakpoints)),
        ),
        lambda answer: reply.of(202, answer, Location=f"/api/runs/{answer['run_id']}"),
    )


@post(
    "/{run_id:str}/cancel",
    opt=OPERATOR | takes(Cancel, {"reason": "started by mistake"}) | OPERATED,
    status_code=202,
    summary="End a run",
)
async def cancel(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202 `{run_id, position}`; running jobs are told, cleanup nodes still run. 409 once it has ended."""
    body = await json_body(request)
    wanted = shaped(body, Cancel)
    try:
        run_id = str(UUID(run_id))
    except ValueError:
        raise not_found("run", run_id) from None
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: CancelRun(command_id=command_id, actor=actor, run_id=run_id, reason=wanted.reason),
        lambda answer: reply.of(202, answer),
    )
