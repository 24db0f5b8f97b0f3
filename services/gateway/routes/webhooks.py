"""Deliveries to webhook triggers: no key is needed, the sender's own signature is looked at."""

from typing import Any

import msgspec
from flowforge.commands import ReceiveWebhook
from flowforge.identity import new_uuid
from litestar import Response, post

from infra.http.authentication import PUBLIC
from infra.http.described import READS_ONLY, gives, takes
from infra.http.problems import Problem
from services.gateway import reply
from services.gateway.answers import RECEIVED_EXAMPLE, Received
from services.gateway.body import AnyRequest
from services.gateway.context import gateway
from services.gateway.deliveries import DELIVERY_TYPES, Challenge
from services.gateway.settings import webhook_bytes_max
from services.gateway.webhooks import turned_away


@post(
    "/{workflow_id:str}/{trigger_id:str}",
    opt=PUBLIC | READS_ONLY | takes(Any, {"order": 17}, media_types=DELIVERY_TYPES) | gives(Received, RECEIVED_EXAMPLE),
    status_code=202,
    request_max_body_size=webhook_bytes_max,
    summary="Deliver to a webhook",
)
async def receive(request: AnyRequest, workflow_id: str, trigger_id: str) -> Response[bytes]:
    """202 `{id, source, event_id, position, duplicate, differs}` once it is logged; the same delivery again is answered alike.

    401 for a delivery that is not signed as the trigger demands, or for a trigger that is not there; then nothing is
    recorded but a count. 413 above 768 KiB; 415 or 422 for a body that is no JSON. A disabled trigger takes deliveries,
    and its decision is `suppressed`.
    """
    body = await request.body()
    here = gateway(request)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.scope["headers"]}
    delivery = await here.webhooks.admit(workflow_id, trigger_id, headers, body)
    if isinstance(delivery, Challenge):
        return reply.of(200, {"challenge": delivery.challenge}).response()
    command = ReceiveWebhook(
        command_id=str(new_uuid()),
        workflow_id=workflow_id,
        trigger_id=trigger_id,
        delivery_id=delivery.id,
        data=msgspec.Raw(delivery.data),
        subject=delivery.subject,
    )
    try:
        answer = await here.ask(request, command)
    except Problem as problem:
        raise turned_away() if problem.status == 404 else problem from None
    return reply.of(202, answer).response()
