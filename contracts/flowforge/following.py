"""Server-sent events, read so that a broken connection is continued where it broke.

Source: the HTML standard, 9.2 (server-sent events): fields by line, a message ends at an empty line, `Last-Event-ID`
names the last one seen.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from flowforge.asking import RETRY_WAIT_MAX_S, RETRY_WAIT_S, Asking
from flowforge.errors import Unreachable, refusal

INCARNATION = "FlowForge-Incarnation"
"""The header in which a server says which log its positions are of."""
POSITION = "FlowForge-Position"
"""The header in which a server says after which position a stream begins."""


class Message(msgspec.Struct, frozen=True):
    """One server-sent event; `id` is the last one named on the stream."""

    event: str
    data: str
    id: str


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """The lines in a stream of bytes; only CR and LF end one, other separators of Unicode may stand in JSON."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")


async def messages(lines: AsyncIterator[str], last_id: str = "") -> AsyncGenerator[Message]:
    """The messages in the lines of a stream; comments are left out, an unfinished last message too."""
    async for message in _messages_and_ids(lines, last_id):
        if message.event:
            yield message


async def _messages_and_ids(lines: AsyncIterator[str], last_id: str) -> AsyncGenerator[Message]:
    """Besides, where a message without data moves the id, one without a name."""
    event, data, known_id = "", list[str](), last_id
    async for line in lines:
        if not line:
            if data:
                yield Message(event or "message", "\n".join(data), last_id)
            elif last_id != known_id:
                yield Message("", "", last_id)
            event, data, known_id = "", [], last_id
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                event = value
            case "data":
                data.append(value)
            case "id":
                last_id = value
            case _:
                pass  # a comment, or `retry`: when to come back is decided here


async def follow(asking: Asking, path: str, last_id: str = "", **query: Any) -> AsyncGenerator[Message]:
    """Every message of a stream once, from after `last_id`, across disconnects and restarts of the server; ends when the
    server says that nothing more will come (204).

    Raises Refused, also (409) when the server comes back with another log, in which positions mean something else; and
    Unreachable when the first connection already fails.
    """
    is_known, wait_s, incarnation = False, RETRY_WAIT_S, ""
    while True:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        if incarnation:
            headers[INCARNATION] = incarnation
        before = last_id
        try:
            async with asking.stream(path, headers, **query) as response:
                if response.status_code == HTTPStatus.NO_CONTENT:
                    return
                is_known = True
                incarnation = incarnation or response.headers.get(INCARNATION, "")
                last_id = last_id or response.headers.get(POSITION, "").removeprefix("0")
                async for message in _messages_and_ids(lines_of(response.aiter_bytes()), last_id):
                    last_id, wait_s = message.id, RETRY_WAIT_S
                    if message.event:
                        yield message
        except (httpx.TransportError, Unreachable) as fault:
            if not is_known:
                raise asking.unreachable(fault) from fault
        else:
            if last_id != before:  # it was ended, not broken: who asks again learns at once whether that was all
                continue
        await asyncio.sleep(wait_s)
        wait_s = min(RETRY_WAIT_MAX_S, wait_s * 2)


async def answer_of(
    asking: Asking,
    path: str,
    question: object,
    progress: Callable[[dict[str, Any]], None],
    silence_s: float,
    **query: Any,
) -> dict[str, Any]:
    """The answer to a question that takes long, its progress told meanwhile. Raises Refused, Unreachable."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    try:
        async with asking.stream(path, headers, question=question, silence_s=silence_s, **query) as response:
            async for message in messages(lines_of(response.aiter_bytes())):
                content = msgspec.json.decode(message.data)
                if message.event == "answer":
                    return content
                if message.event == "problem":
                    raise refusal(content)
                progress(content)
    except httpx.TransportError as fault:
        raise asking.unreachable(fault) from fault
    raise Unreachable(f"{asking.url} broke off before it answered; ask again")
