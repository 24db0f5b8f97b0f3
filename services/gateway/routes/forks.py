"""Forks: a new run from a past moment of another."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from flowforge.commands import ForkRun
from flowforge.definition import NODES_MAX, Slug
from flowforge.raw import ABSENT
from litestar import Response, post
from msgspec import Meta

from infra.eventlog import moment_of
from infra.http.authentication import OPERATOR
from infra.http.described import MADE, takes
from infra.http.problems import Problem
from services.gateway import reply
from services.gateway.answers import STARTED
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import gateway
from services.gateway.routes.operations import known_run
from services.gateway.routes.runs import Label, LabelValue
from services.gateway.settings import breakpoints_max, labels_max, moment_chars_max, priority_max


class Changes(msgspec.Struct, forbid_unknown_fields=True):
    """What a fork has otherwise than its origin had. `variables` lie over those of the origin; `node_outputs` are given to
    nodes, which then do not run; `rerun` are nodes that run anew though nothing about them changed; `version`: a number, or
    `latest`. With other `input_data` every node runs anew. `shadow`: what nodes would do outside is not done, but taken from
    what came of it in the origin.
    """

    input_data: msgspec.Raw = ABSENT
    variables: dict[str, msgspec.Raw] = {}
    node_outputs: Annotated[dict[Slug, msgspec.Raw], Meta(max_length=NODES_MAX)] = {}
    rerun: Annotated[list[Slug], Meta(max_length=NODES_MAX)] = []
    version: Annotated[int, Meta(ge=1)] | Literal["latest"] | None = None
    labels: Annotated[dict[Label, LabelValue], Meta(max_length=labels_max)] | None = None
    priority: Annotated[int, Meta(ge=-priority_max, le=priority_max)] | None = None
    breakpoints: Annotated[list[Slug], Meta(max_length=breakpoints_max)] | None = None
    shadow: bool = False


class ForkOptions(msgspec.Struct, forbid_unknown_fields=True):
    """`override_running`: start beyond the limit of the workflow's `concurrency`."""

    override_running: bool = False


class Fork(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `fork`. `at`: a position of the log, or an ISO 8601 time (UTC where it names no zone); without it, now."""

    at: int | Annotated[str, Meta(max_length=moment_chars_max)] | None = None
    changes: Changes = msgspec.field(default_factory=Changes)
    options: ForkOptions = msgspec.field(default_factory=ForkOptions)


@post(
    "/{run_id:str}/fork",
    opt=OPERATOR | takes(Fork, {"at": 4711, "changes": {"node_outputs": {"extract": {"rows": 3}}}}) | MADE | STARTED,
    status_code=202,
    summary="Go on from a past moment in a new run",
)
async def fork(request: AnyRequest, run_id: str) -> Response[bytes]:
    """202 `{run_id, position}`: a new run. What had completed then is taken over, but for what is changed and all that lies
    below it; what was under way, failed or came later runs anew. 409 where the workflow is archived, what the run was given
    was erased, or its `concurrency` has no room and its `on_conflict` is `skip`. 422 where the run was not there yet, the
    moment lies beyond what has happened, or a change names no node of that version."""
    run_id, body = known_run(run_id), await json_body(request)
    wanted = shaped(body, Fork)
    changes, (position, at) = wanted.changes, _moment(wanted.at)
    version = changes.version
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: ForkRun(
            command_id=command_id,
            actor=actor,
            run_id=run_id,
            position=position,
            at=at,
            input_data=changes.input_data,
            variables=changes.variables,
            node_outputs=changes.node_outputs,
            rerun=list(dict.fromkeys(changes.rerun)),
            version=version if isinstance(version, int) else None,
            is_newest=version == "latest",
            labels=changes.labels,
            priority=changes.priority,
            breakpoints=None if changes.breakpoints is None else list(dict.fromkeys(changes.breakpoints)),
            override_running=wanted.options.override_running,
            is_shadow=changes.shadow,
        ),
        lambda answer: reply.of(202, answer, Location=f"/api/runs/{answer['run_id']}"),
    )


def _moment(given: int | str | None) -> tuple[int | None, datetime | None]:
    """Position or time. Raises a 422 `Problem` for what is neither."""
    if given is None:
        return None, None
    try:
        moment = moment_of(str(given))
    except ValueError as fault:
        raise Problem(422, f"$.at: {fault}", errors=[{"path": "$.at", "message": str(fault)}]) from None
    return (moment, None) if isinstance(moment, int) else (None, moment)
