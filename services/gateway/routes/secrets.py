"""Secrets that workflows name: set and deleted here; their values go no further than the table that keeps them sealed."""

import re
from typing import Annotated

import msgspec
from flowforge.commands import DeleteSecret, SetSecret
from flowforge.definition import IDENTIFIER_PATTERN
from litestar import Response, delete, put
from msgspec import Meta

from infra.http.authentication import EDITOR
from infra.http.described import takes
from infra.http.problems import Problem
from infra.secrets import Secret, owner_of_named
from services.gateway import reply
from services.gateway.body import AnyRequest, json_body, shaped
from services.gateway.context import gateway
from services.gateway.reply import Reply
from services.gateway.settings import secret_chars_max


class NewValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a `PUT`. Its value is not shown."""

    value: Annotated[str, Meta(min_length=1, max_length=secret_chars_max, pattern=r"^[^\x00]*$")]

    def __repr__(self) -> str:
        return "NewValue(…)"


@put("/{name:str}", opt=EDITOR | takes(NewValue), summary="Set a secret")
async def set_secret(request: AnyRequest, name: str) -> Response[bytes]:
    """200 `{name, version, position}`; the value that it has already is no new version. 503 where there is no key."""
    _check_name(name)
    value = shaped(await json_body(request), NewValue).value
    here = gateway(request)
    secrets, owner = here.secrets(), owner_of_named(name)
    ref = secrets.fingerprint(owner, value)

    async def deed(command_id: str) -> Reply:
        await secrets.put([Secret(owner, ref, value)])
        command = SetSecret(command_id=command_id, actor=request.user.name, name=name, ref=ref)
        return reply.of(200, await here.ask(request, command))

    return await here.once(request, ref.encode(), deed)


@delete("/{name:str}", opt=EDITOR, status_code=200, summary="Delete a secret")
async def delete_secret(request: AnyRequest, name: str) -> Response[bytes]:
    """200 `{name, version, position}`; jobs that name it fail from now on. 404 where there is none."""
    _check_name(name)
    return await gateway(request).carry_out(
        request,
        b"",
        lambda command_id, actor: DeleteSecret(command_id=command_id, actor=actor, name=name),
        lambda answer: reply.of(200, answer),
    )


def _check_name(name: str) -> None:
    if not re.fullmatch(IDENTIFIER_PATTERN, name):
        message = "a secret's name is a letter or `_`, then letters, digits and `_`, at most 63 in all"
        error = {"path": "path.name", "message": message}
        raise Problem(422, message, code="INVALID", title="Name invalid", errors=[error])
