"""Approvals: what a node asks of people, decided."""

import re
from typing import Annotated, Literal

import msgspec
from flowforge.commands import DecideApproval
from litestar import Response, post
from msgspec import Meta

from infra.http.authentication import OPERATOR
from infra.http.described import takes
from infra.http.problems import not_found
from services.gateway import reply
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import gateway
from services.gateway.settings import reason_chars_max

_APPROVAL_ID = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[a-z0-9][a-z0-9_-]{0,62}(:[0-9]{1,9}(\.[0-9]{1,9})*)?:[0-9]{1,9}"
)


class Decide(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a decision."""

    decision: Literal["approve", "reject"]
    comment: Annotated[str, Meta(max_length=reason_chars_max)] = ""


@post("/{approval_id:str}", opt=OPERATOR | takes(Decide), status_code=202, summary="Approve or reject")
async def decide(request: AnyRequest, approval_id: str) -> Response[bytes]:
    """202 `{id, decision, run_id, status, position}`; 403 for who is none of its approvers, 409 once it is decided."""
    body = await json_body(request)
    wanted = shaped(body, Decide)
    if not _APPROVAL_ID.fullmatch(approval_id):
        raise not_found("approval", approval_id)
    return await gateway(request).carry_out(
        request,
        body,
        lambda command_id, actor: DecideApproval(
            command_id=command_id,
            actor=actor,
            approval_id=approval_id,
            decision=wanted.decision,
            comment=wanted.comment,
            role=request.user.role,
        ),
        lambda answer: reply.of(202, {"id": approval_id, "decision": wanted.decision, **answer}),
    )
