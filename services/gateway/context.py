"""What a request is carried out with."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from flowforge.commands import Command, packed
from litestar import Response

from infra.http.problems import bad_request
from services.gateway.body import AnyRequest
from services.gateway.commanding import Services
from services.gateway.idempotency import once
from services.gateway.reply import Reply
from services.gateway.settings import definition_plain_bytes_max
from services.gateway.store import Store
from services.gateway.webhooks import Webhooks


class Gateway:
    """The one instance of an application; found in its state."""

    def __init__(self, services: Services, store: Store, webhooks: Webhooks) -> None:
        self.services = services
        self.webhooks = webhooks
        self._store = store

    async def carry_out(
        self,
        request: AnyRequest,
        body: bytes,
        command: Callable[[str, str], Command],
        replied: Callable[[dict[str, Any]], Reply],
    ) -> Response[bytes]:
        """Send the command that `command` makes of (command id, actor), once per idempotency key, and reply."""

        async def deed(command_id: str) -> Reply:
            return replied(await self.ask(request, command(command_id, request.user.name)))

        return await self.once(request, body, deed)

    async def ask(self, request: AnyRequest, command: Command, wait_s: float | None = None) -> dict[str, Any]:
        """One command and its answer. Raises `Problem`."""
        return await self.services.ask(command, request.headers.get("traceparent"), wait_s)

    async def once(self, request: AnyRequest, body: bytes, deed: Callable[[str], Awaitable[Reply]]) -> Response[bytes]:
        """Do it once per idempotency key. What a header asks for is part of the request."""
        if_match = request.headers.get("if-match")
        return await once(self._store, request, body if if_match is None else if_match.encode() + b"\n" + body, deed)


def gateway(request: AnyRequest) -> Gateway:
    """The gateway that serves this request."""
    return request.app.state.gateway


def expected_version(request: AnyRequest) -> int | None:
    """The version that If-Match names, as an ETag of a save does; None without one. Raises a 400 `Problem`."""
    given = request.headers.get("if-match", "*").strip()
    if given == "*":
        return None
    version = given.removeprefix("W/").strip('"')
    if not version.isascii() or not version.isdecimal() or len(version) > 9:
        raise bad_request("header.If-Match", 'one version, as in the ETag of a save: "3"')
    return int(version)


def definition_fields(body: bytes) -> dict[str, Any]:
    """A definition as part of a command, compressed where it is large."""
    if len(body) <= definition_plain_bytes_max:
        return {"definition": raw(body)}
    return {"definition_packed": packed(body)}


def raw(body: bytes) -> msgspec.Raw:
    """A body as part of a command; none is null."""
    return msgspec.Raw(body or b"null")
