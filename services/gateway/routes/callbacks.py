"""Answers to calls that wait for one: no key is needed, the token in the address is the right to answer."""

from typing import Any

from flowforge.commands import ReceiveCallback
from flowforge.identity import new_uuid
from litestar import Response, post

from infra.http.authentication import PUBLIC
from infra.http.described import READS_ONLY, takes
from infra.http.problems import not_found
from services.gateway import reply
from services.gateway.answers import STARTED
from services.gateway.body import AnyRequest
from services.gateway.context import gateway
from services.gateway.deliveries import DELIVERY_TYPES, any_body
from services.gateway.settings import webhook_bytes_max


@post(
    "/{token:str}",
    opt=PUBLIC | READS_ONLY | takes(Any, {"approved": True}, media_types=DELIVERY_TYPES) | STARTED,
    status_code=202,
    request_max_body_size=webhook_bytes_max,
    summary="Answer a call that waits for it",
)
async def call_back(request: AnyRequest, token: str) -> Response[bytes]:
    """202 `{run_id, position}` once it is logged; what was posted is the node's output.

    404 for a token that was not given out here, 409 where nobody waits for the answer any more: it was given already,
    or the node or its run has ended. 413 above 768 KiB; 415 or 422 for a body that is neither JSON nor a form.
    """
    here = gateway(request)
    call = here.call_of(token)
    if call is None:
        raise not_found("callback", "…")
    command = ReceiveCallback(
        command_id=str(new_uuid()),
        run_id=str(call.run_id),
        node_id=call.node_id,
        instance=call.instance,
        attempt=call.attempt,
        data=any_body(request.headers.get("content-type", ""), await request.body()),
    )
    answer = await here.ask(request, command)
    return reply.of(202, {"run_id": answer["run_id"], "position": answer["position"]}).response()
