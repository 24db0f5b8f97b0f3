"""What a request is carried out with."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from flowforge.commands import CheckUpstreams, Command, packed
from flowforge.identity import new_uuid
from flowforge.refusals import ExpectedVersion
from litestar import Response

from infra.http.etags import version_of
from infra.http.observed import traceparent_of
from infra.http.origins import scheme_of
from infra.http.problems import Problem, bad_request, unavailable
from infra.secrets import Secrets
from infra.secrets.tokens import CallbackFor, CallbackTokens
from services.gateway.body import AnyRequest
from services.gateway.commanding import Services
from services.gateway.idempotency import once
from services.gateway.people import People
from services.gateway.reply import Reply
from services.gateway.sessions import Sessions
from services.gateway.settings import advice_wait_s, definition_plain_bytes_max, if_match_versions_max
from services.gateway.store import Store
from services.gateway.webhooks import Webhooks


class Gateway:
    """The one instance of an application; found in its state."""

    def __init__(
        self,
        services: Services,
        store: Store,
        webhooks: Webhooks,
        secrets: Secrets | None,
        tokens: CallbackTokens | None,
        sessions: Sessions,
        people: People,
        public_url: str | None = None,
    ) -> None:
        self.services = services
        self.webhooks = webhooks
        self.sessions = sessions
        self.people = people
        self._public_url = public_url
        self._store = store
        self._secrets = secrets
        self._tokens = tokens

    async def answers(self) -> None:
        """Return when what a write needs is there. Raises what the database's client raises."""
        await self._store.answers()

    def secrets(self) -> Secrets:
        """Where secrets are kept. Raises a 503 `Problem` where there is no key for them."""
        if self._secrets is None:
            raise unavailable("secrets cannot be kept here: there is no key for them; set FLOWFORGE_SECRETS_KEY")
        return self._secrets

    def call_of(self, token: str) -> CallbackFor | None:
        """The call that a callback answers; None for a token that is none. Raises a 503 `Problem` without a key."""
        if self._tokens is None:
            raise unavailable("callbacks cannot be taken here: there is no key for secrets; set FLOWFORGE_SECRETS_KEY")
        return self._tokens.read(token)

    def address(self, request: AnyRequest) -> str:
        """Under which address people reach this server: the one that is set, or that of the request."""
        return self._public_url or f"{scheme_of(request.headers, request.url.scheme)}://{request.url.netloc}"

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

    async def save(
        self,
        request: AnyRequest,
        body: bytes,
        command: Callable[[str, str], Command],
        replied: Callable[[dict[str, Any]], Reply],
        *,
        is_archived: bool = False,
    ) -> Response[bytes]:
        """As `carry_out`, for what changes a definition; the reply's warnings say what it means to other workflows."""

        async def deed(command_id: str) -> Reply:
            answer = await self.ask(request, command(command_id, request.user.name))
            advice = await self.advice(request, answer["id"])
            answer["warnings"] = [*answer["warnings"], *advice["warnings"]]
            if is_archived and advice["dependents"]:
                answer["warnings"].append(_without_upstream(answer["id"], advice["dependents"]))
            return replied(answer)

        return await self.once(request, body, deed)

    async def advice(self, request: AnyRequest, workflow_id: str, upstreams: list[str] | None = None) -> dict[str, Any]:
        """What triggers say about upstreams; nothing where they do not answer, since what was asked for is done."""
        question = CheckUpstreams(command_id=str(new_uuid()), workflow_id=workflow_id, upstreams=upstreams)
        try:
            return await self.ask(request, question, advice_wait_s)
        except Problem:
            return {"warnings": [], "dependents": []}

    async def ask(self, request: AnyRequest, command: Command, wait_s: float | None = None) -> dict[str, Any]:
        """One command and its answer. Raises `Problem`."""
        return await self.services.ask(command, traceparent_of(request), wait_s)

    async def once(self, request: AnyRequest, body: bytes, deed: Callable[[str], Awaitable[Reply]]) -> Response[bytes]:
        """Do it once per idempotency key. What a header asks for is part of the request."""
        if_match = request.headers.get("if-match")
        return await once(self._store, request, body if if_match is None else if_match.encode() + b"\n" + body, deed)


def _without_upstream(workflow_id: str, dependents: list[str]) -> dict[str, Any]:
    names = ", ".join(dependents)
    return {
        "type": "UPSTREAM_ARCHIVED",
        "nodes": [],
        "path": "$.triggers",
        "message": f"triggers of {names} wait for runs of '{workflow_id}', which starts no more",
        "severity": "warning",
        "suggested_resolution": "take it out of their upstreams, or archive them as well",
        "workflows": dependents,
    }


def gateway(request: AnyRequest) -> Gateway:
    """The gateway that serves this request."""
    return request.app.state.gateway


def expected_version(request: AnyRequest) -> ExpectedVersion:
    """The version that If-Match names, as an ETag does; several where it lists them; None without one or for `*`.

    Raises a 400 `Problem` for what is no version. A tag that a proxy has made weak (`W/"3"`) counts as the version too.
    """
    given = request.headers.get("if-match", "*").strip()
    if given == "*":
        return None
    versions = [version_of(tag) for tag in given.split(",")]
    named = list(dict.fromkeys(version for version in versions if version is not None))
    if None in versions or len(named) > if_match_versions_max:
        raise bad_request("header.If-Match", 'versions as in an ETag, such as "3" or "3", "4"; or *')
    return named[0] if len(named) == 1 else named


def definition_fields(body: bytes) -> dict[str, Any]:
    """A definition as part of a command, compressed where it is large."""
    if len(body) <= definition_plain_bytes_max:
        return {"definition": raw(body)}
    return {"definition_packed": packed(body)}


def raw(body: bytes) -> msgspec.Raw:
    """A body as part of a command; none is null."""
    return msgspec.Raw(body or b"null")
