"""Runs: started and stopped by hand."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from flowforge.commands import CancelRun, RequestRun
from flowforge.definition import PositiveMilliseconds
from flowforge.envelope import NULL
from litestar import Response, post
from msgspec import UNSET, Meta, UnsetType

from infra.http.authentication import OPERATOR
from infra.http.problems import Problem, not_found
from services.gateway import reply
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import gateway
from services.gateway.settings import label_chars_max, labels_max, priority_max, reason_chars_max

Label = Annotated[str, Meta(min_length=1, max_length=label_chars_max)]
LabelValue = Annotated[str, Meta(max_length=label_chars_max)]


class RunOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`timeout_ms` of this run, instead of the workflow's; `override_running`: beyond the limit of its `concurrency`."""

    timeout_ms: PositiveMilliseconds | None = None
    override_running: bool = False
    skip_dependency_check: bool = False


class Execute(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `execute`."""

    input_data: msgspec.Raw = NULL
    variables: dict[str, msgspec.Raw] = {}
    version: Annotated[int, Meta(ge=1)] | None = None
    labels: Annotated[dict[Label, LabelValue], Meta(max_length=labels_max)] = {}
    priority: Annotated[int, Meta(ge=-priority_max, le=priority_max)] = 0
    options: RunOptions = RunOptions()
    from_node: Any | UnsetType = UNSET
    breakpoints: Any | UnsetType = UNSET


class Cancel(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `cancel`."""

    reason: Annotated[str, Meta(max_length=reason_chars_max)] = ""


@post("/{workflow_id:str}/execute", opt=OPERATOR, status_code=202, summary="Start a run")
async def execute(request: AnyRequest, workflow_id: str) -> Response[bytes]:
    """202 `{run_id, position}`, also for a run that waits for a slot; 409 where `on_conflict` is `skip` and none is free."""
    body = await json_body(request)
    wanted = shaped(body, Execute)
    _refuse_unavailable(wanted)
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
        ),
        lambda answer: reply.of(202, answer, Location=f"/api/runs/{answer['run_id']}"),
    )


def _refuse_unavailable(wanted: Execute) -> None:
    """What the shape allows and nobody carries out yet is refused, never ignored."""
    options = {
        "$.from_node": wanted.from_node not in (UNSET, None),
        "$.breakpoints": wanted.breakpoints not in (UNSET, None, []),
        "$.options.skip_dependency_check": wanted.options.skip_dependency_check,
    }
    errors = [
        {"path": path, "message": f"{path.rpartition('.')[2]} is not available", "suggested_resolution": "leave it out"}
        for path, is_asked_for in options.items()
        if is_asked_for
    ]
    if errors:
        detail = "; ".join(error["message"] for error in errors)
        raise Problem(422, detail, code="NOT_AVAILABLE", title="Not available", errors=errors)


@post("/{run_id:str}/cancel", opt=OPERATOR, status_code=202, summary="End a run")
async def cancel(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202 `{run_id, position}`; running jobs are told, cleanup nodes still run."""
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
