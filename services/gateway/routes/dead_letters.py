"""Messages that could not be handled: once more."""

from uuid import UUID

import msgspec
from flowforge.commands import FindDeadLetter, RetryDeadLetter
from litestar import Response, post

from infra.http.authentication import OPERATOR
from infra.http.described import takes
from infra.http.problems import not_found
from services.gateway import reply
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import gateway
from services.gateway.reply import Reply


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `retry`: nothing."""


@post(
    "/{dead_letter_id:str}/retry",
    opt=OPERATOR | takes(Retry),
    status_code=202,
    summary="Have a dead letter handled once more",
)
async def retry_dead_letter(request: AnyRequest, dead_letter_id: str) -> Response[bytes]:
    """202 `{id, service, position}`: the service that put the message aside takes it up again; where that fails, it is a
    dead letter again. 409 while it is not known to have failed again."""
    body = await json_body(request)
    shaped(body, Retry)
    try:
        letter = UUID(dead_letter_id)
    except ValueError:
        raise not_found("dead letter", dead_letter_id) from None
    serving = gateway(request)

    async def deed(command_id: str) -> Reply:
        found = await serving.ask(request, FindDeadLetter(command_id=command_id, dead_letter_id=letter))
        command = RetryDeadLetter(
            command_id=command_id,
            actor=request.user.name,
            dead_letter_id=dead_letter_id,
            service=found["service"],
            stream_id=UUID(found["stream_id"]),
        )
        return reply.of(202, await serving.ask(request, command))

    return await serving.once(request, body, deed)
