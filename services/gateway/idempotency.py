"""`Idempotency-Key`: the same request again, by the same caller on the same route, is answered as the first time.

The command id derives from (actor, route, key), and from when the key was taken, in portions of time: the services know a
command for ever, and a key is free again. So a request that was carried out and never answered, because a process died in
between, is recognised by the services as well; and one that comes while the first is under way joins it.
"""

import logging
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from uuid import UUID

import asyncpg
import msgspec
from flowforge.identity import named_stream, new_uuid
from litestar import Response

from infra.failpoints import failpoint
from infra.http.problems import Problem, bad_request
from services.gateway import reply
from services.gateway.body import AnyRequest
from services.gateway.reply import Reply
from services.gateway.settings import idempotency_key_chars_max
from services.gateway.store import Store

HEADER = "Idempotency-Key"
REPLAYED = {"Idempotency-Replayed": "true"}
_log = logging.getLogger(__name__)
Deed = Callable[[str], Awaitable[Reply]]
"""Carries a request out under a command id."""


async def once(store: Store, request: AnyRequest, body: bytes, deed: Deed) -> Response[bytes]:
    """Carry it out, or answer again. Raises `Problem`."""
    key = request.headers.get(HEADER)
    if key is None:
        return (await deed(str(new_uuid()))).response()
    if not 0 < len(key) <= idempotency_key_chars_max or not (key.isascii() and key.isprintable()):
        raise bad_request(f"header.{HEADER}", f"1 to {idempotency_key_chars_max} printable ASCII characters")
    parts = (request.user.name, request.method, request.url.path, key)
    row = blake2b("\x1f".join(parts).encode(), digest_size=32).digest()
    claim = await store.claim(row, blake2b(body, digest_size=16).digest())
    if claim.is_other_body:
        raise Problem(
            422,
            f"the {HEADER} '{key}' was used here with another body; take a new key for a new request",
            code="IDEMPOTENCY_KEY_REUSED",
            title="Key used already",
        )
    if claim.answer is not None:
        return msgspec.json.decode(claim.answer, type=Reply).response(**REPLAYED)
    name = row.hex() if claim.period is None else f"{row.hex()}/{claim.period}"
    answer = await _answer_of(deed, named_stream("command", name))
    await _keep(store, row, answer)
    failpoint("gateway.before_reply")
    return answer.response()


async def _answer_of(deed: Deed, command_id: UUID) -> Reply:
    """The answer; a refusal is one, unless asking again may change it."""
    try:
        return await deed(str(command_id))
    except Problem as problem:
        if problem.status >= 500:
            raise
        return reply.of_problem(problem)


async def _keep(store: Store, row: bytes, answer: Reply) -> None:
    """An answer that could not be kept is found again by the command id."""
    try:
        await store.keep(row, msgspec.json.encode(answer))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as fault:
        _log.warning("an answer is not kept: %s", fault)
