"""What people do to runs: pause, resume, step, retry, decide a node by hand, change. Whether it may be is the run's to say."""

from collections.abc import Callable
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from flowforge.commands import ChangeRun, Command, DecideNode, PauseRun, ResumeRun, RetryRun
from flowforge.definition import NODES_MAX, Slug
from flowforge.envelope import NULL
from litestar import Response, patch, post, put
from msgspec import Meta

from infra.http.authentication import OPERATOR
from infra.http.described import takes
from infra.http.problems import Problem, not_found
from services.gateway import reply
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import gateway
from services.gateway.routes.runs import Label, LabelValue
from services.gateway.settings import labels_max, priority_max, reason_chars_max, steps_max

Reason = Annotated[str, Meta(max_length=reason_chars_max)]
Nodes = Annotated[list[Slug], Meta(max_length=NODES_MAX)]
Instance = Annotated[str, Meta(pattern=r"^$|^[0-9]{1,9}(\.[0-9]{1,9})*$", max_length=300)]


class Pause(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `pause`."""

    reason: Reason = ""


class Resume(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `resume`."""


class TakeSteps(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `step`: how many nodes may start before the run halts again."""

    steps: Annotated[int, Meta(ge=1, le=steps_max)] = 1


class Retry(msgspec.Struct, forbid_unknown_fields=True, rename={"origin": "from"}):
    """The body of `retry`: from what failed, or from these nodes on."""

    origin: Literal["failed", "node"] | None = None
    node_id: Slug | None = None
    node_ids: Nodes = []
    reason: Reason = ""


class Complete(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `complete`: the output that the node is given."""

    output: msgspec.Raw = NULL
    instance: Instance = ""
    comment: Reason = ""


class Fail(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `fail`: the message of its error."""

    message: Reason = ""
    instance: Instance = ""
    comment: Reason = ""


class Skip(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `skip`."""

    instance: Instance = ""
    comment: Reason = ""


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a change; what is left out stays, `labels` and `breakpoints` are given whole."""

    priority: Annotated[int, Meta(ge=-priority_max, le=priority_max)] | None = None
    labels: Annotated[dict[Label, LabelValue], Meta(max_length=labels_max)] | None = None
    breakpoints: Nodes | None = None


class Breakpoints(msgspec.Struct, forbid_unknown_fields=True):
    """The nodes before which a run halts, all of them."""

    breakpoints: Nodes


def known_run(run_id: str) -> str:
    """The id as the log writes it. Raises a 404 `Problem` for what cannot be one."""
    try:
        return str(UUID(run_id))
    except ValueError:
        raise not_found("run", run_id) from None


async def _operate(request: AnyRequest, body: bytes, command: Callable[[str, str], Command]) -> Response[bytes]:
    return await gateway(request).carry_out(request, body, command, lambda answer: reply.of(202, answer))


# --- runs -------------------------------------------------------------------------------------------------------------


@post("/{run_id:str}/pause", opt=OPERATOR | takes(Pause), status_code=202, summary="Pause a run")
async def pause(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202 `{run_id, status, position}`: nothing new starts, running jobs finish; 409 unless the run is running."""
    run_id, body = known_run(run_id), await json_body(request)
    reason = shaped(body, Pause).reason
    return await _operate(
        request,
        body,
        lambda command_id, actor: PauseRun(command_id=command_id, actor=actor, run_id=run_id, reason=reason),
    )


@post("/{run_id:str}/resume", opt=OPERATOR | takes(Resume), status_code=202, summary="Let a paused run go on")
async def resume(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202; timeouts that stood still go on from there. 409 unless the run is paused."""
    run_id, body = known_run(run_id), await json_body(request)
    shaped(body, Resume)
    return await _operate(
        request, body, lambda command_id, actor: ResumeRun(command_id=command_id, actor=actor, run_id=run_id)
    )


@post("/{run_id:str}/step", opt=OPERATOR | takes(TakeSteps), status_code=202, summary="Let a paused run take a step")
async def step(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202; the run halts again once `steps` nodes (1 where it is left out) have started. 409 unless the run is paused."""
    run_id, body = known_run(run_id), await json_body(request)
    steps = shaped(body, TakeSteps).steps
    return await _operate(
        request,
        body,
        lambda command_id, actor: ResumeRun(command_id=command_id, actor=actor, run_id=run_id, steps=steps),
    )


@post("/{run_id:str}/retry", opt=OPERATOR | takes(Retry), status_code=202, summary="Let an ended run go on")
async def retry(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202; `from: failed` (the default) clears what failed, was cancelled or stopped, `from: node` the nodes named, and
    everything below them; the others keep their outputs. 409 unless the run has ended, and where nothing went wrong."""
    run_id, body = known_run(run_id), await json_body(request)
    wanted = shaped(body, Retry)
    node_ids = _retried_from(wanted)
    return await _operate(
        request,
        body,
        lambda command_id, actor: RetryRun(
            command_id=command_id, actor=actor, run_id=run_id, node_ids=node_ids, reason=wanted.reason
        ),
    )


def _retried_from(wanted: Retry) -> list[str]:
    node_ids: list[str] = [] if wanted.node_id is None else [wanted.node_id]
    node_ids += [node_id for node_id in wanted.node_ids if node_id != wanted.node_id]
    if wanted.origin == "node" and not node_ids:
        raise _invalid(
            "$.node_id", "`from: node` needs the node to start from", "name it in node_id, several in node_ids"
        )
    if wanted.origin == "failed" and node_ids:
        raise _invalid("$.from", "`from: failed` takes no nodes", "leave node_id and node_ids out, or say `from: node`")
    return node_ids


@patch("/{run_id:str}", opt=OPERATOR | takes(Change), status_code=202, summary="Change a run")
async def change(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202; its priority, its labels (all of them) or its breakpoints (all of them). Of an ended run only the labels."""
    run_id, body = known_run(run_id), await json_body(request)
    wanted = shaped(body, Change)
    if wanted.priority is None and wanted.labels is None and wanted.breakpoints is None:
        raise _invalid("$", "nothing is to be changed", "give priority, labels or breakpoints")
    return await _operate(
        request,
        body,
        lambda command_id, actor: ChangeRun(
            command_id=command_id,
            actor=actor,
            run_id=run_id,
            priority=wanted.priority,
            labels=wanted.labels,
            breakpoints=wanted.breakpoints,
        ),
    )


@put("/{run_id:str}/breakpoints", opt=OPERATOR | takes(Breakpoints), status_code=202, summary="Set a run's breakpoints")
async def set_breakpoints(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202; the run halts before each of these nodes, and before no other."""
    run_id, body = known_run(run_id), await json_body(request)
    breakpoints = shaped(body, Breakpoints).breakpoints
    return await _operate(
        request,
        body,
        lambda command_id, actor: ChangeRun(command_id=command_id, actor=actor, run_id=run_id, breakpoints=breakpoints),
    )


# --- nodes ------------------------------------------------------------------------------------------------------------


@post(
    "/{run_id:str}/nodes/{node_id:str}/complete",
    opt=OPERATOR | takes(Complete),
    status_code=202,
    summary="Complete a node by hand",
)
async def complete_node(request: AnyRequest, run_id: str, node_id: str) -> Response[bytes]:
    """202; whatever the node is doing is stopped, and `output` is what it gave. 409 once it has ended."""
    run_id, body = known_run(run_id), await json_body(request)
    wanted = shaped(body, Complete)
    return await _operate(
        request,
        body,
        lambda command_id, actor: DecideNode(
            command_id=command_id,
            actor=actor,
            run_id=run_id,
            node_id=node_id,
            action="complete",
            instance=wanted.instance,
            output=wanted.output,
            comment=wanted.comment,
        ),
    )


@post(
    "/{run_id:str}/nodes/{node_id:str}/fail", opt=OPERATOR | takes(Fail), status_code=202, summary="Fail a node by hand"
)
async def fail_node(request: AnyRequest, run_id: str, node_id: str) -> Response[bytes]:
    """202; for good, whatever its retry policy says. 409 once it has ended."""
    run_id, body = known_run(run_id), await json_body(request)
    wanted = shaped(body, Fail)
    return await _operate(
        request,
        body,
        lambda command_id, actor: DecideNode(
            command_id=command_id,
            actor=actor,
            run_id=run_id,
            node_id=node_id,
            action="fail",
            instance=wanted.instance,
            message=wanted.message,
            comment=wanted.comment,
        ),
    )


@post(
    "/{run_id:str}/nodes/{node_id:str}/skip", opt=OPERATOR | takes(Skip), status_code=202, summary="Skip a node by hand"
)
async def skip_node(request: AnyRequest, run_id: str, node_id: str) -> Response[bytes]:
    """202; what lies below it is decided as below any skipped node. 409 once it has ended."""
    run_id, body = known_run(run_id), await json_body(request)
    wanted = shaped(body, Skip)
    return await _operate(
        request,
        body,
        lambda command_id, actor: DecideNode(
            command_id=command_id,
            actor=actor,
            run_id=run_id,
            node_id=node_id,
            action="skip",
            instance=wanted.instance,
            comment=wanted.comment,
        ),
    )


def _invalid(path: str, message: str, remedy: str) -> Problem:
    error = {"path": path, "message": message, "suggested_resolution": remedy}
    return Problem(422, f"{message}: {remedy}", code="INVALID", title="Invalid request", errors=[error])
